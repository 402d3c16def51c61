"""The demo for real: embedded Valkey, simulated ECS, the service; exit codes and remains."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ecs_queue.embedded import EmbeddedValkey
from ecs_scheduler.cli import main
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.demo.run import Performance
from ecs_scheduler.demo.stage import built, served
from ecs_scheduler.demo.stillness import GIVE_UP_AFTER_S
from ecs_scheduler.demo.workload import Wanted, Workload, prepare
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document

LAST_WORD = "stopped after [0-9]+ s; nothing is left behind\n"
RUN_MAIN = (  # a shell that starts the tests in the background has them ignore Ctrl-C
    "import signal, sys; from ecs_scheduler.cli import main;"
    " signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the demo has to ignore; and what it sets for itself is put back afterwards."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "of-no-use")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/")


def test_every_job_ends_as_its_container_does(
    short_trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 after an independent check; the environment's Redis is left alone."""
    assert main(["demo", "--trace", str(short_trace), "--instances", "3"]) == 0
    told = capsys.readouterr().out
    assert "12 jobs: 11 SUCCEEDED, 1 FAILED (1 were made to fail)" in told
    assert "none lost, none ran twice" in told
    assert "12 tasks launched by" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], 'Invalid value "0" for --jobs'),
        (["--minutes", "0"], 'Invalid value "0.0" for --minutes'),
        (["--trace", "missing.jsonl"], "--trace: missing.jsonl: No such file or directory"),
        (["--fleet", "nope"], "--fleet: nope: cannot be read: No such file or directory\n"),
        (["--redis-url", "http://x"], "no Redis URL"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started, and the message names the flag or the file."""
    assert main(["demo", *arguments]) == 2
    told = capsys.readouterr()
    assert (message in told.err, told.out) == (True, "")


def test_an_unreachable_redis_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    """Port 1 answers nobody."""
    assert main(["demo", "--redis-url", "redis://127.0.0.1:1/"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_a_redis_of_the_user_s_is_left_as_it_was(
    short_trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo takes a queue of its own there and removes it."""
    import redis

    with EmbeddedValkey() as server, redis.Redis.from_url(server.url) as client:
        client.set("mine", "kept")
        assert main(["demo", "--trace", str(short_trace), "--redis-url", server.url]) == 0
        assert client.keys() == [b"mine"]


async def test_a_broken_promise_is_found(short_trace: Path) -> None:
    """With an expectation that no container keeps, the same run counts as broken."""
    kept = prepare(Wanted(trace=short_trace, instances=3))
    broken = replace(kept, asked=(replace(kept.asked[0], exit_code=9), *kept.asked[1:]))
    (problem,) = await problems_of(broken)
    assert problem.startswith("short-0 should have FAILED (exit code 9) and is SUCCEEDED: ")


async def test_a_job_that_does_not_end_in_time_is_found(short_trace: Path) -> None:
    """The demo never waits for ever."""
    hurried = replace(prepare(Wanted(trace=short_trace, instances=3)), limit_s=1.0)
    problems = await problems_of(hurried)
    assert problems
    assert all("is still " in problem or "is lost" in problem for problem in problems)


async def test_a_job_that_is_stuck_is_given_up(tmp_path: Path) -> None:
    """A minute after the last job should have ended, here at once, nobody waits any longer."""
    path = tmp_path / "long.jsonl"
    write_trace([Arrival(0.0, job_document("long", Size(512, 256), Run(3600.0)))], path)
    workload = replace(prepare(Wanted(trace=path, minutes=90)), longest_run_s=1 - GIVE_UP_AFTER_S)
    assert workload.limit_s > 3600
    (problem,) = await problems_of(workload)
    assert problem.startswith("long is still ")


async def problems_of(workload: Workload) -> tuple[str, ...]:
    clock = SystemClock()
    async with built(workload, None, 1, clock) as stage, served(stage.service) as service:
        performance = Performance(stage, workload, lambda frame: None, clock.monotonic_s())
        return tuple((await performance.run(service)).problems)


# Signals ------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder for the demo alone, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_everything(folder: Path, number: signal.Signals, code: int) -> None:
    """Whatever ends the demo ends its Valkey; an orderly end leaves no files behind either."""
    with started(folder, "--jobs", "100") as demo:
        wait_for(demo, "launched 1")
        assert ended_by(demo, number, folder, "" if code < 0 else LAST_WORD) == code
    if number is not signal.SIGKILL:
        assert list(folder.iterdir()) == []


def test_keep_running_leaves_the_doors_open(folder: Path, short_trace: Path) -> None:
    """After the summary the HTTP side and the simulated ECS answer, until Ctrl-C: exit code 130."""
    with started(folder, "--trace", str(short_trace), "--keep-running") as demo:
        wait_for(demo, "checked against the simulated ECS")
        offered = wait_for(demo, "aws ecs list-tasks")
        http = re.findall(r"curl (http://\S+)/v1/jobs", offered)[0]
        job = urllib.request.Request(
            f"{http}/v1/jobs",
            data=b'{"id": "by-http", "task_definition": "batch"}',
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(job) as answer:
            assert json.load(answer) == {"id": "by-http", "outcome": "accepted"}
        endpoint = re.findall(r"--endpoint-url (http://\S+)", offered)[0]
        with urllib.request.urlopen(f"{endpoint}/healthz") as answer:
            assert answer.status == 200
        assert ended_by(demo, signal.SIGINT, folder, LAST_WORD) == 130
    assert list(folder.iterdir()) == []


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo in a process of its own, with its temporary files in `folder`."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN_MAIN, "demo", *arguments],
        env=os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(demo: subprocess.Popen[str], words: str) -> str:
    """Everything that the demo says up to the line with these words."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"ended without saying {words!r}:\n{said}")


def ended_by(
    demo: subprocess.Popen[str], number: signal.Signals, folder: Path, last_word: str
) -> int:
    """The exit code after this signal; its Valkey ended as well, and nobody complained."""
    servers = [os.pidfd_open(pid) for pid in processes_naming(folder)]
    assert len(servers) == 1
    demo.send_signal(number)
    said, complaints = demo.communicate(timeout=20)
    assert complaints == ""
    assert re.search(rf"{last_word}\Z", said)
    ended, _, _ = select.select(servers, [], [], 5)
    assert ended == servers
    os.close(servers[0])
    return demo.returncode


def processes_naming(folder: Path) -> list[int]:
    """Processes with a path in this folder on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # ended in the meantime
        if f"{folder}/" in command:
            found.append(int(path.parent.name))
    return found
