"""Real processes: the service is killed in the middle of its work, and another one takes over."""

import signal
import subprocess
import time
from collections import Counter
from typing import Any

import pytest
from tests.processes.conftest import BIN, ENVIRONMENT, registered

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState
from ecs_queue.sync import SyncQueue

JOBS = 120
DEADLINE_S = 90.0


def service(redis_url: str, endpoint: str) -> subprocess.Popen[bytes]:
    """`ecs-scheduler run` with a short lease: the next one need not wait for half a minute."""
    flags = ["--redis-url", redis_url, "--endpoint-url", endpoint, "--cluster", "demo"]
    flags += ["--lease-s", "3", "--no-http", "--track-interval-s", "0.5"]
    flags += ["--settle-after-s", "4", "--certain-after-s", "8"]
    flags += ["--ecs-connect-timeout-s", "1", "--ecs-read-timeout-s", "2"]
    return subprocess.Popen([BIN / "ecs-scheduler", "run", *flags], env=ENVIRONMENT)


def job(number: int) -> Job:
    command = ["sleep", str(1 + number % 4)]
    overrides = {"containerOverrides": [{"name": "main", "command": command}]}
    document = {"id": f"j{number}", "task_definition": "batch", "overrides": overrides}
    return Job.model_validate(document)


def until(queue: SyncQueue, what: JobState, at_least: int) -> None:
    """Wait until so many jobs are in this state; polls, since these processes live in real time."""
    deadline = time.monotonic() + DEADLINE_S
    while queue.counts()[what] < at_least:
        assert time.monotonic() < deadline, queue.counts()
        time.sleep(0.05)


def tasks_run(ecs: Any) -> list[str]:
    """ARNs of every task that the simulated ECS ever started; it shows stopped ones for an hour."""
    pages = ecs.get_paginator("list_tasks")
    return [
        arn
        for status in ("RUNNING", "STOPPED")
        for page in pages.paginate(cluster="demo", desiredStatus=status)
        for arn in page["taskArns"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("killed_when_succeeded", [0, 20, 60])
def test_kill_minus_nine_loses_and_repeats_nothing(
    endpoint: str, killed_when_succeeded: int
) -> None:
    """SIGKILL before, early and late in the workload: each job ends exactly once all the same."""
    ecs = registered(endpoint)
    with EmbeddedValkey() as valkey:
        queue = SyncQueue(connect_sync(valkey.url))
        first = service(valkey.url, endpoint)
        queue.submit([job(number) for number in range(JOBS)])
        until(queue, JobState.SUCCEEDED, killed_when_succeeded)
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = service(valkey.url, endpoint)
        until(queue, JobState.SUCCEEDED, JOBS)
        second.terminate()
        assert second.wait(timeout=30) == 0
        records = [queue.job(JobId(f"j{number}")) for number in range(JOBS)]
        queue.close()
    launched = [attempt.task_arn for record in records for attempt in record.attempts]
    assert Counter(launched) == Counter(tasks_run(ecs))
    assert {record.launches for record in records} == {1}
