"""`ecs-simulator serve` as a user meets it: start-up lines, signals, and what goes wrong."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.executable).with_name("ecs-simulator"))]
ENVIRONMENT = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=ENVIRONMENT,
        check=False,
    )


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        assert process.stdout is not None
        yield process, [process.stdout.readline(), process.stdout.readline()]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_is_and_ends_on_a_signal(number: signal.Signals) -> None:
    """Two lines: the endpoint with what it plays, and a command to try; then exit code 0."""
    with serving("--instances", "3", "--cluster", "batch", "--seed", "9") as (process, lines):
        assert re.match(
            r"Simulated ECS at http://127\.0\.0\.1:\d+ "
            r"\(region us-east-1, cluster batch, 3 container instances, seed 9\)",
            lines[0],
        )
        assert "aws ecs list-container-instances --cluster batch" in lines[1]
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_clients_that_go_away_are_no_error_of_the_server() -> None:
    """Cut off in the middle of a request, or no HTTP at all: the next one is served, and nothing is
    written to a stderr that nobody may be reading."""
    with serving("--instances", "1") as (process, lines):
        found = re.search(r"127\.0\.0\.1:(\d+)", lines[0])
        assert found is not None
        address = ("127.0.0.1", int(found[1]))
        for beginning in (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            b"POST /_simulator/advance HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            b"NONSENSE\r\n\r\n",
        ):
            with socket.create_connection(address) as cut_off:
                cut_off.sendall(beginning)
                cut_off.shutdown(socket.SHUT_WR)
                cut_off.recv(1000)
        client = http.client.HTTPConnection(*address, timeout=10)
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_taken_port_is_said_clearly() -> None:
    """Names address and reason, and exits with 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "99999"], "--port"),
        (["--instances", "many"], "--instances"),
        (["--speed", "0"], "--speed"),
        (["--bogus"], "--bogus"),
        (["--instance-type", "x9.huge"], "x9.huge"),
        (["--fleet", "/nowhere.toml"], "/nowhere.toml: cannot be read: No such file"),
        (["--faults", "/nowhere.toml"], "/nowhere.toml: cannot be read: No such file"),
        (["--speed", "inf"], "--speed"),
        (["--region", "a b"], "--region: a name such as us-east-1, not 'a b'"),
        (["--events", ""], "--events: 1 to 80 letters, digits, _ or -, not ''"),
        (["--cluster", "a b"], "--cluster: 1 to 255 letters, digits, _ or -, not 'a b'"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str) -> None:
    """What is wrong is named, and nothing is served."""
    ended = run("serve", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_fleet_names_line_and_field(tmp_path: Path) -> None:
    """The second line of the file, and the field in it."""
    fleet = tmp_path / "fleet.jsonl"
    fleet.write_text('{"count": 1}\n{"count": 1, "gpu": 2}\n')
    ended = run("serve", "--fleet", str(fleet))
    assert (ended.returncode, "fleet.jsonl:2: gpu: unknown field" in ended.stderr) == (2, True)


def test_help_is_quick_and_complete() -> None:
    """Every option shows, and no heavy library is loaded for it."""
    shown = run("serve", "--help")
    assert shown.returncode == 0
    for option in ("--port", "--fleet", "--seed", "--no-throttle", "--speed"):
        assert option in shown.stdout
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import ecs_simulator.cli, sys; print({'aiohttp', 'aiobotocore'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "set()"
