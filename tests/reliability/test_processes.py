"""Real processes on a real Valkey: frozen, killed, and on a wire that loses answers."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobRecord, JobState
from ecs_queue.sync import SyncQueue

if TYPE_CHECKING:
    from tests.reliability.conftest import FaultyProxy, Wire

JOBS = 60
DEADLINE_S = 150.0
Start = Callable[[str, int], "subprocess.Popen[bytes]"]


def job(number: int) -> Job:
    command = ["sleep", str(1 + number % 4)]
    overrides = {"containerOverrides": [{"name": "main", "command": command}]}
    document = {"id": f"j{number}", "task_definition": "batch", "overrides": overrides}
    return Job.model_validate(document)


def until_succeeded(queue: SyncQueue, at_least: int) -> None:
    """Polls, since these processes live in real time."""
    deadline = time.monotonic() + DEADLINE_S
    while queue.counts()[JobState.SUCCEEDED] < at_least:
        assert time.monotonic() < deadline, queue.counts()


def records(queue: SyncQueue) -> list[JobRecord]:
    return [queue.job(JobId(f"j{number}")) for number in range(JOBS)]


def strays(ecs: Any, books: list[JobRecord]) -> list[dict[str, Any]]:
    """Tasks that ECS ran and no job knows."""
    known = {attempt.task_arn for record in books for attempt in record.attempts}
    pages = ecs.get_paginator("list_tasks")
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for page in pages.paginate(cluster="demo", desiredStatus=status)
        for arn in page["taskArns"]
        if arn not in known
    ]
    return ecs.describe_tasks(cluster="demo", tasks=arns)["tasks"] if arns else []


@pytest.mark.slow
def test_a_frozen_leader_that_wakes_up_does_no_harm(
    ecs_port: int, ecs: Any, scheduler: Start
) -> None:
    """SIGSTOP for longer than the lease in the middle of its launches, then SIGCONT: the other one
    took over, and each job ran once.
    """
    with EmbeddedValkey() as valkey:
        queue = SyncQueue(connect_sync(valkey.url))
        first = scheduler(valkey.url, ecs_port)
        queue.submit([job(number) for number in range(JOBS)])
        until_succeeded(queue, 5)
        second = scheduler(valkey.url, ecs_port)
        first.send_signal(signal.SIGSTOP)
        until_succeeded(queue, 40)
        first.send_signal(signal.SIGCONT)
        until_succeeded(queue, JOBS)
        for each in (first, second):
            each.terminate()
            assert each.wait(timeout=30) == 0
        books = records(queue)
        queue.close()
    assert {record.launches for record in books} == {1}
    assert [each for each in strays(ecs, books) if each["desiredStatus"] == "RUNNING"] == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_wires_fail_and_both_schedulers_die_in_turn(
    ecs_port: int,
    ecs: Any,
    faulty_wire: "Callable[[int, Wire], FaultyProxy]",
    scheduler: Start,
) -> None:
    """Before ECS and before Valkey answers and requests are cut off half-way, reset, come late, or
    vanish with the connection left open; SIGKILL twice. Each job runs once, no task is nobody's.
    """
    from tests.reliability.conftest import Wire

    before_ecs = faulty_wire(ecs_port, Wire(cut=0.03, reset=0.05, half_open=0.02, slow=0.05))
    redis_port = free_port()
    with EmbeddedValkey(port=redis_port) as valkey:
        before_redis = faulty_wire(redis_port, Wire(0.005, 0.005, half_open=0.002, slow=0.005))
        url = f"redis://127.0.0.1:{before_redis.port}"
        queue = SyncQueue(connect_sync(valkey.url))
        first, second = (scheduler(url, before_ecs.port) for _ in range(2))
        queue.submit([job(number) for number in range(JOBS)])
        until_succeeded(queue, 10)
        first.kill()
        until_succeeded(queue, 30)
        second.kill()
        scheduler(url, before_ecs.port)
        until_succeeded(queue, JOBS)
        books = records(queue)
        queue.close()
    for proxy in (before_ecs, before_redis):
        assert {"cut", "reset", "half-open", "slow"} <= proxy.happened.keys()
    assert {record.launches for record in books} == {1}
    assert strays(ecs, books) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_valkey_is_frozen_and_then_killed(
    ecs_port: int, ecs: Any, scheduler: Start, tmp_path: Path
) -> None:
    """SIGSTOP of Valkey for longer than the lease, SIGKILL of it and a start from its append-only
    file, and between them a leader that dies: each job ran once, and no task is nobody's.
    """
    port = free_port()
    redis_url = f"redis://127.0.0.1:{port}"
    with EmbeddedValkey(data_dir=tmp_path, port=port) as valkey:
        queue = SyncQueue(connect_sync(redis_url))
        first, second = scheduler(redis_url, ecs_port), scheduler(redis_url, ecs_port)
        queue.submit([job(number) for number in range(JOBS)])
        until_succeeded(queue, 5)
        os.kill(valkey.pid, signal.SIGSTOP)
        runs_on(first, for_s=4)
        os.kill(valkey.pid, signal.SIGCONT)
        until_succeeded(queue, 15)
        first.kill()
        until_succeeded(queue, 25)
        runs_on(second, for_s=2)  # what was written a second ago is on disk
        os.kill(valkey.pid, signal.SIGKILL)
        queue.close()
    with EmbeddedValkey(data_dir=tmp_path, port=port):
        queue = SyncQueue(connect_sync(redis_url))
        until_succeeded(queue, JOBS)
        second.terminate()
        assert second.wait(timeout=30) == 0
        books = records(queue)
        queue.close()
    assert {record.launches for record in books} == {1}
    assert strays(ecs, books) == []


def runs_on(process: "subprocess.Popen[bytes]", for_s: float) -> None:
    """It does not end in this time, whatever is wrong around it."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=for_s)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
