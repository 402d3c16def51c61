"""`ecs-scheduler run` and what else runs until a signal: what keeps it from starting, its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

PROGRAMS = Path(sys.executable).parent

BAD_FLAGS = {
    "not-a-number": (
        ["--window", "many"],
        "--window: should be a valid integer, unable to parse string as an integer; it is 'many'",
    ),
    "out-of-bounds": (["--http-port", "70000"], "--http-port: should be less than or equal to"),
    "nested": (["--policy.w-cpu", "-1"], "--policy.w-cpu: should be greater than or equal to 0"),
    "no-json": (["--fallback", "{"], "--fallback: should be JSON: "),
    "inside-json": (
        ["--fallback", '{"after_s": 1, "launch_type": "SPOT"}'],
        "--fallback.launch-type: should be 'EC2', 'FARGATE' or 'EXTERNAL'; it is 'SPOT'",
    ),
    "no-choice": (["--log-format", "xml"], "--log-format"),
    "relation": (
        ["--settle-after-s", "5"],
        "settle_after_s (--settle-after-s): should exceed ecs_connect_timeout_s + "
        "ecs_read_timeout_s = 18",
    ),
    "no-such-file": (["--config", "nope.toml"], "--config: there is no file nope.toml"),
    "bad-cluster": (
        ["--cluster", "my cluster"],
        "--cluster: should look like 'batch' or 'arn:aws:ecs:",
    ),
    "unknown": (["--clutser", "x"], "Unknown option: --clutser. Did you mean --cluster?"),
}


@pytest.fixture
def credentials(queue_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, a Region, a queue, and any free port."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("ECS_SCHEDULER_HTTP_PORT", "0")


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS.values(), ids=BAD_FLAGS)
def test_bad_settings_are_usage(cli: Callable[..., Any], flags: list[str], message: str) -> None:
    """Exit code 2, with the flag and what it should be."""
    answer = cli("run", *flags)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_missing_credentials_are_exit_code_three(cli: Callable[..., Any], queue_name: str) -> None:
    """The message says which settings would help."""
    answer = cli("run", "--no-http", "--region", "us-east-1")
    assert answer.code == 3
    assert "no AWS credentials found; set AWS_PROFILE (or --profile)" in answer.err
    assert "Traceback" not in answer.err


def test_a_missing_region_is_exit_code_three(
    cli: Callable[..., Any], credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--region is named."""
    monkeypatch.delenv("AWS_REGION")
    answer = cli("run", "--no-http")
    assert answer.code == 3
    assert "--region" in answer.err
    assert "Traceback" not in answer.err


def test_an_unreachable_ecs_is_exit_code_three(cli: Callable[..., Any], credentials: None) -> None:
    """--endpoint-url is named."""
    answer = cli("run", "--endpoint-url", "http://127.0.0.1:1")
    assert answer.code == 3
    assert "ECS does not answer" in answer.err
    assert "--endpoint-url" in answer.err
    assert "Traceback" not in answer.err


def test_a_taken_port_is_exit_code_one(cli: Callable[..., Any], credentials: None) -> None:
    """The message says which port, and what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = cli("run", "--http-port", str(port))
    assert answer.code == 1
    assert answer.err.endswith(
        f"ecs-scheduler: the HTTP side cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another --http-port (0: any free one) or --http-host, "
        "or leave it away with --no-http\n"
    )


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is killed at the end, if it has not ended by itself."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_matching(output: IO[str] | None, pattern: str) -> str:
    """Read on until a line matches; the first group of the match."""
    assert output is not None
    seen = []
    for line in output:
        seen.append(line)
        if found := re.search(pattern, line):
            return found.group(1)
    raise AssertionError(f"no line matches {pattern}: {''.join(seen)}")


@pytest.fixture
def endpoint(credentials: None) -> Iterator[str]:
    """A simulated ECS with a cluster "demo", as a server of its own."""
    command = ("serve", "--port", "0", "--instances", "2", "--speed", "20")
    with running(str(PROGRAMS / "ecs-simulator"), *command) as simulator:
        yield line_matching(simulator.stdout, r"(http://127\.0\.0\.1:\d+)")


def test_an_unknown_cluster_is_exit_code_three(cli: Callable[..., Any], endpoint: str) -> None:
    """--cluster is named, and the Region that was looked in."""
    answer = cli("run", "--endpoint-url", endpoint, "--cluster", "nope")
    assert answer.code == 3
    assert "no active ECS cluster 'nope' in us-east-1" in answer.err
    assert "--cluster" in answer.err


def test_a_job_runs_and_sigterm_drains(
    program: Callable[..., Any], endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitted by HTTP, run on the simulated ECS, awaited on the command line, then SIGTERM."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", endpoint)
    fallback = '{"after_s": 600, "launch_type": "FARGATE"}'
    flags = (
        "--fallback",
        fallback,
        "--cluster",
        "demo",
        "--log-format",
        "json",
        "--track-interval-s",
        "0.2",
    )
    register_task_definition(endpoint)
    with running(str(PROGRAMS / "ecs-scheduler"), "run", *flags) as scheduler:
        url = line_matching(scheduler.stdout, r'"http side listens", "url": "([^"]+)"')
        line_matching(scheduler.stdout, r"(scheduler started)")
        assert program("health", "--url", url).code == 0
        document = json.dumps({"id": "a", "task_definition": "etl"}).encode()
        with urllib.request.urlopen(f"{url}/v1/jobs", data=document, timeout=5) as answer:
            assert answer.status == 201
        assert program("wait", "a", "--timeout-s", "30").code in (0, 4)  # the simulator decides
        assert program("health", "--ready", "--url", url).code == 0
        scheduler.send_signal(signal.SIGTERM)
        output, _ = scheduler.communicate(timeout=30)
    assert scheduler.returncode == 0
    assert '"draining; a second signal leaves at once", "signal": "SIGTERM"' in output
    assert "Traceback" not in output
    record = json.loads(program("job", "a", "-o", "json").out)
    assert record["launches"] == 1
    assert record["state"] in ("SUCCEEDED", "FAILED")


def test_following_events_ends_with_ctrl_c(cli: Callable[..., Any], queue_name: str) -> None:
    """`events --follow` shows each transition as it comes; Ctrl-C is exit code 130, silently."""
    cli("submit", "etl", "--id", "before")
    with running(str(PROGRAMS / "ecs-scheduler"), "events", "--follow") as following:
        line_matching(following.stdout, "RUNNABLE   (before)")
        cli("cancel", "before")
        line_matching(following.stdout, "CANCELLED  (before)")
        following.send_signal(signal.SIGINT)
        output, _ = following.communicate(timeout=10)
    assert (following.returncode, output) == (130, "")


ENDLESS = """
import asyncio
from ecs_scheduler.signals import stop_on_signals

async def endless():
    stop_on_signals(lambda: print("draining", flush=True))
    print("running", flush=True)
    await asyncio.Event().wait()

asyncio.run(endless())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(bare: Path, number: signal.Signals) -> None:
    """Even if draining never ends; the exit code says which signal it was."""
    with running(sys.executable, "-c", ENDLESS) as process:
        line_matching(process.stdout, "(running)")
        process.send_signal(number)
        line_matching(process.stdout, "(draining)\n")
        process.send_signal(number)
        assert process.wait(timeout=10) == 128 + number


def register_task_definition(endpoint: str) -> None:
    """Register the family "etl" by ECS's own wire protocol."""
    body = {"family": "etl", "containerDefinitions": [{"name": "c", "image": "i", "memory": 64}]}
    request = urllib.request.Request(
        endpoint,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition",
            "Authorization": "AWS4-HMAC-SHA256 Credential="
            f"{os.environ['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/ecs/aws4_request",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
