"""End to end: from Redis through placement and StartTask to SUCCEEDED, on the simulated ECS.

Everything is real but ECS itself: Valkey over a unix socket, aiobotocore's serialisation, the
service as it ships. The simulated ECS shares the process, so its work counts against the figure.
A Python process uses one core, so two cores are two processes, a queue and a cluster each, or
three: they share the cores with Valkey and wait for it a part of the time.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.report import Row, main

from ecs_queue.client import Queue
from ecs_queue.connection import connect as connect_redis
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.states import JobState, QueueName
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.interpreter import collecting_seldom
from ecs_scheduler.logs import configure_logging
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Lifecycle,
    Options,
    SimulatedEcs,
    http_session_class,
)

INSTANCES = 200
LIMIT_S = 300
GOAL_PER_S = {"equal jobs": 5_000, "distinct jobs": 800}
"""Launches that two cores shall reach."""

FIRST = 50
"""Launches that count for nothing: until they are there, the service is starting."""
INSTANT = Lifecycle(accept_s=0, image_pull_s=0, cached_pull_s=0, stopping_s=0)
UNTHROTTLED = Options(throttled=False, lifecycle=INSTANT, agent_capabilities=FEW_CAPABILITIES)
BATCH = {
    "family": "batch",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 64, "memory": 64, "command": ["true"]}
    ],
}


@dataclass(frozen=True)
class Load:
    """One queue's work: `count` jobs, all equal or all different."""

    queue: str
    count: int
    distinct: bool
    redis_url: str


@dataclass(frozen=True)
class Launched:
    """What one service came to. The moments are the system's monotonic clock's, which processes
    share: when the first launches were there, and the last; `valkey_s` is Valkey's CPU time then.
    """

    tasks: int
    calls: int
    began: float
    ended: float
    cpu_s: float
    valkey_s: tuple[float, float]
    end_to_end_s: float


def run(quick: bool = False) -> list[Row]:
    """Jobs/s with equal jobs (ten to a call) and with jobs that all differ (one to a call)."""
    configure_logging("json", "error")
    count = 500 if quick else 5_000
    return [
        *_rows("equal jobs", 1 if quick else 4, count, distinct=False),
        *_rows("distinct jobs", 1, count // 2, distinct=True),
    ]


def _rows(name: str, longer: int, count: int, *, distinct: bool) -> list[Row]:
    """Several processes at once; then one by itself, which is also followed to its jobs' ends."""
    together = [
        _together(name, number, _measured(number, 2 * count * longer // number, distinct))
        for number in (2, 3)
    ]
    (one,) = _measured(1, count, distinct)
    return [
        *together,
        Row(
            name=f"launches, {name}",
            value=one.tasks / (one.ended - one.began),
            unit="tasks/s",
            note=f"one process; {_cpu([one])}",
        ),
        Row(
            name=f"end to end, {name}",
            value=count / one.end_to_end_s,
            unit="jobs/s",
            note=f"{count:,} jobs, {INSTANCES} instances, {one.calls:,} StartTask calls, "
            "cold start included",
        ),
    ]


def _together(name: str, number: int, measured: Sequence[Launched]) -> Row:
    """What processes on the same cores came to; how many cores they had tells a busy machine."""
    tasks = sum(each.tasks for each in measured)
    elapsed_s = max(each.ended for each in measured) - min(each.began for each in measured)
    goal, rate = GOAL_PER_S[name], tasks / elapsed_s
    cores = rate * _cpu_s(measured) / tasks
    return Row(
        name=f"launches, {name}, {number} processes",
        value=rate,
        unit="tasks/s",
        note=f"{rate / goal:.2f} of {goal:,}/s; {_cpu(measured)}; {cores:.2f} cores were theirs",
    )


def _cpu(measured: Sequence[Launched]) -> str:
    """What launches cost; the simulated ECS works in the services' processes."""
    tasks = sum(each.tasks for each in measured)
    each_way = f"{tasks / sum(each.cpu_s for each in measured):,.0f} a CPU second"
    return f"{each_way}, {tasks / _cpu_s(measured):,.0f} with Valkey's"


def _cpu_s(measured: Sequence[Launched]) -> float:
    """Of the processes and of their Valkey."""
    valkey_s = max(each.valkey_s[1] for each in measured)
    valkey_s -= min(each.valkey_s[0] for each in measured)
    return sum(each.cpu_s for each in measured) + valkey_s


def _measured(processes: int, count: int, distinct: bool) -> list[Launched]:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(processes)
    with (
        EmbeddedValkey() as valkey,
        ProcessPoolExecutor(processes, spawn, _remember, (together,)) as pool,
    ):
        loads = [Load(name, count, distinct, valkey.url) for name in "abc"[:processes]]
        return list(pool.map(_serve_here, loads))


_wait_for_others: Callable[[], object] = int
"""Set in each process before its work begins."""


def _remember(together: Any) -> None:
    global _wait_for_others  # noqa: PLW0603
    _wait_for_others = together.wait
    configure_logging("json", "error")


def _serve_here(load: Load) -> Launched:
    with collecting_seldom():  # as `run` does
        return asyncio.run(_served(load))


async def _served(load: Load) -> Launched:
    sim = SimulatedEcs(UNTHROTTLED, time.time, seed=1)
    sim.add_instances("default", (InstanceGroup(count=INSTANCES, instance_type="m5.4xlarge"),))
    sim.call("RegisterTaskDefinition", BATCH)
    clock = SystemClock()
    config = Config(
        http_port=None,
        queue=load.queue,
        modify_rate_per_s=1e6,
        modify_burst=1_000_000,
        read_rate_per_s=1e6,
        read_burst=1_000_000,
        track_interval_s=0.2,
    )
    queue = Queue(connect_redis(load.redis_url), QueueName(load.queue))
    await queue.submit([_job(i, load.distinct) for i in range(load.count)])
    transport = http_session_class(sim)
    async with ecs.connect(config, clock, http_session_cls=transport) as client:
        service = Service(config, queue, client, Metrics(), clock)
        _wait_for_others()
        started_at = time.monotonic()
        running = asyncio.create_task(service.run())
        began, ended, cpu_s, valkey_s = await _launching(sim, load)
        await _until_succeeded(queue, load.count)
        end_to_end_s = time.monotonic() - started_at
        service.stop()
        await running
    await queue.aclose()
    sim.verify()
    calls = sim.statistics.calls["StartTask"]
    return Launched(load.count - FIRST, calls, began, ended, cpu_s, valkey_s, end_to_end_s)


async def _launching(
    sim: SimulatedEcs, load: Load
) -> tuple[float, float, float, tuple[float, float]]:
    """When the first launches were there and when the last; this process's CPU seconds between,
    and Valkey's at both.
    """
    await _until_started(sim, FIRST)
    began, worked = time.monotonic(), time.process_time()
    valkey_s = await _valkey_s(load.redis_url)
    await _until_started(sim, load.count)
    ended, worked = time.monotonic(), time.process_time() - worked
    return began, ended, worked, (valkey_s, await _valkey_s(load.redis_url))


async def _until_started(sim: SimulatedEcs, tasks: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            if sim.statistics.tasks_started >= tasks:
                return
            await asyncio.sleep(0.005)


async def _valkey_s(redis_url: str) -> float:
    client = connect_redis(redis_url)
    info = await client.info("cpu")
    await client.aclose()
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def _job(number: int, distinct: bool) -> Job:
    document: dict[str, Any] = {"id": f"job-{number}", "task_definition": "batch"}
    if distinct:
        environment = [{"name": "N", "value": str(number)}]
        document["overrides"] = {
            "containerOverrides": [{"name": "main", "environment": environment}]
        }
    return Job.model_validate(document)


async def _until_succeeded(queue: Queue, count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            if (await queue.counts())[JobState.SUCCEEDED] == count:
                return
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main(run)
