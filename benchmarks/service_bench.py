"""End to end: from Redis through placement and StartTask to SUCCEEDED, on the simulated ECS.

Everything is real but ECS itself: Valkey over a unix socket, aiobotocore's serialisation, the
service as it ships. The simulated ECS shares the process, so its work counts against the figure.
"""

import asyncio
import time
from typing import Any

from benchmarks.report import Row, main

from ecs_queue.client import Queue
from ecs_queue.connection import connect as connect_redis
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.states import JobState
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
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


def run(quick: bool = False) -> list[Row]:
    """Jobs/s with equal jobs (ten to a call) and with jobs that all differ (one to a call)."""
    configure_logging("json", "error")
    count = 500 if quick else 5_000
    return [
        *asyncio.run(_rates("equal jobs", count, distinct=False)),
        *asyncio.run(_rates("distinct jobs", count // 2, distinct=True)),
    ]


async def _rates(name: str, count: int, *, distinct: bool) -> list[Row]:
    sim = SimulatedEcs(UNTHROTTLED, time.time, seed=1)
    sim.add_instances("default", (InstanceGroup(count=INSTANCES, instance_type="m5.4xlarge"),))
    sim.call("RegisterTaskDefinition", BATCH)
    clock = SystemClock()
    config = Config(
        http_port=None,
        modify_rate_per_s=1e6,
        modify_burst=1_000_000,
        read_rate_per_s=1e6,
        read_burst=1_000_000,
        track_interval_s=0.2,
    )
    with EmbeddedValkey() as valkey:
        queue = Queue(connect_redis(valkey.url))
        await queue.submit([_job(i, distinct) for i in range(count)])
        transport = http_session_class(sim)
        async with ecs.connect(config, clock, http_session_cls=transport) as client:
            service = Service(config, queue, client, Metrics(), clock)
            started_at = time.perf_counter()
            running = asyncio.create_task(service.run())
            launching_s, launching_cpu_s = await _launching(sim, count)
            await _until_succeeded(queue, count)
            elapsed_s = time.perf_counter() - started_at
            service.stop()
            await running
        await queue.aclose()
    sim.verify()
    calls = sim.statistics.calls["StartTask"]
    launched = count - FIRST
    cpu = f"{launched / launching_cpu_s:,.0f} a CPU second, the simulated ECS's included"
    note = f"{count:,} jobs, {INSTANCES} instances, {calls:,} StartTask calls"
    return [
        Row(name=f"launches, {name}", value=launched / launching_s, unit="tasks/s", note=cpu),
        Row(
            name=f"end to end, {name}",
            value=count / elapsed_s,
            unit="jobs/s",
            note=f"{note}, cold start included",
        ),
    ]


async def _launching(sim: SimulatedEcs, count: int) -> tuple[float, float]:
    """Seconds from the first launches to the last, and this process's CPU seconds."""
    began, worked = time.perf_counter(), time.process_time()
    async with asyncio.timeout(LIMIT_S):
        while (started := sim.statistics.tasks_started) < count:
            if started < FIRST:
                began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.01)
    return time.perf_counter() - began, time.process_time() - worked


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
