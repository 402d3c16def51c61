"""One hour of the whole service in virtual time: production loop, aiobotocore, a real Valkey.

How long a simulated hour takes on the wall is what a policy experiment with the real service costs.
"""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.report import Row

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.states import JobState
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.simulate.blocking_redis import connect_blocking
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    http_session_class,
    run_virtual,
)

RUN_S = 60
DEFINITION = {
    "family": "batch",
    "containerDefinitions": [
        {
            "name": "main",
            "image": "busybox",
            "cpu": 512,
            "memory": 1024,
            "command": ["sleep", str(RUN_S)],
        }
    ],
}


@dataclass(frozen=True)
class Hour:
    """So many jobs arrive evenly over so many seconds on so many m5.xlarge."""

    jobs: int
    instances: int
    seconds: int


def virtual_hour(hour: Hour) -> Row:
    """Wall time until every job has ended, at AWS's published request rates."""
    began = time.perf_counter()
    with EmbeddedValkey() as valkey:
        ended_s = run_virtual(lambda clock: _hour(clock, hour, str(valkey.socket_path)))
    return Row(
        name="the whole service in virtual time",
        value=time.perf_counter() - began,
        unit="s",
        note=f"{hour.jobs:,} jobs in {hour.seconds:,} s on {hour.instances:,} instances, "
        f"the last ended after {ended_s:,.0f} simulated s",
    )


async def _hour(clock: VirtualClock, hour: Hour, valkey: str) -> float:
    sim = SimulatedEcs(Options(agent_capabilities=FEW_CAPABILITIES), clock.now, seed=1)
    sim.add_instances("default", (InstanceGroup(count=hour.instances),))
    sim.call("RegisterTaskDefinition", DEFINITION)
    redis = connect_blocking(valkey)
    queue = Queue(redis, now_ms=lambda: round(clock.now() * 1000))
    service_clock = LoopClock(round(clock.start * 1000))
    config = Config(http_port=None, track_interval_s=5.0)
    transport = http_session_class(sim)
    async with ecs.connect(config, service_clock, http_session_cls=transport) as client:
        service = Service(config, queue, client, Metrics(), service_clock)
        running = asyncio.create_task(service.run())
        await _arrivals(queue, hour)
        while True:
            if (await queue.counts()).get(JobState.SUCCEEDED, 0) == hour.jobs:
                break
            await asyncio.sleep(5)
        service.stop()
        await running
    await redis.aclose()
    sim.verify()
    return clock.monotonic()


async def _arrivals(queue: Queue, hour: Hour) -> None:
    sent = 0
    for second in range(1, hour.seconds + 1):
        due = hour.jobs * second // hour.seconds
        if due > sent:
            documents = ({"id": f"j{i}", "task_definition": "batch"} for i in range(sent, due))
            await queue.submit([Job.model_validate(document) for document in documents])
            sent = due
        await asyncio.sleep(1)
