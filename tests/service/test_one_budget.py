"""Three services, a queue each, on one account's API rates: production code in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.states import QueueName
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
from ecs_simulator.options import Bucket

MODIFY = "Cluster resource modify"
FLEET = (InstanceGroup(count=40, instance_type="m5.4xlarge"),)
NAMES = ("a", "b", "c")
JOBS = 250
BATCH = {
    "family": "batch",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 64, "memory": 64, "command": ["sleep", "5"]}
    ],
}

Story = Callable[[SimulatedEcs, dict[str, asyncio.Task[None]]], Awaitable[None]]


def three_services(story: Story, options: Options) -> None:
    """Start them with their queues full of jobs that all differ, and run the story."""

    async def play(clock: VirtualClock) -> None:
        sim = SimulatedEcs(options, clock.now, seed=1)
        sim.add_instances("default", FLEET)
        sim.call("RegisterTaskDefinition", BATCH)
        running = {name: asyncio.create_task(serve(clock, sim, name)) for name in NAMES}
        await story(sim, running)
        for each in running.values():
            each.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)

    async def serve(clock: VirtualClock, sim: SimulatedEcs, name: str) -> None:
        service_clock = LoopClock(round(clock.start * 1000))
        redis = connect_blocking(path)
        queue = Queue(redis, QueueName(name), now_ms=service_clock.now_ms)
        await queue.submit([job(name, number) for number in range(JOBS)])
        config, session = Config(http_port=None, queue=name), http_session_class(sim)
        try:
            async with ecs.connect(config, service_clock, http_session_cls=session) as client:
                await Service(config, queue, client, Metrics(), service_clock).run()
        finally:
            await redis.aclose()

    with EmbeddedValkey() as valkey:
        path = str(valkey.socket_path)
        run_virtual(play)


def job(queue: str, number: int) -> Job:
    environment = [{"name": "N", "value": f"{queue}-{number}"}]
    overrides = {"containerOverrides": [{"name": "main", "environment": environment}]}
    document = {"id": f"j{number}", "task_definition": "batch", "overrides": overrides}
    return Job.model_validate({**document, "group": queue})


def launched(sim: SimulatedEcs) -> Counter[str]:
    """Tasks by the queue that their job is from."""
    return Counter(task.group for task in sim.tasks())


@pytest.mark.parametrize("killed", [None, "b"])
def test_together_they_use_the_rate_and_are_never_throttled(killed: str | None) -> None:
    """100 calls at once, then 40 a second, as AWS publishes. Each has its part; what one that dies
    leaves is taken by the others.
    """

    async def story(sim: SimulatedEcs, running: dict[str, asyncio.Task[None]]) -> None:
        await asyncio.sleep(5)
        if killed is not None:
            running[killed].cancel()
        await asyncio.sleep(5)
        assert sum(sim.statistics.throttled.values()) == 0
        calls = sim.statistics.calls["StartTask"]
        assert calls > 0.85 * (100 + 40 * 10)
        parts = launched(sim)
        alive = [name for name in NAMES if name != killed]
        assert min(parts[name] for name in alive) > 0.15 * calls

    three_services(story, Options(agent_capabilities=FEW_CAPABILITIES))


def test_what_one_learns_from_a_throttle_all_heed() -> None:
    """The account really allows half of what was published. In twenty seconds a small part of all
    calls is refused, and most of what is allowed is used.
    """

    async def story(sim: SimulatedEcs, _: dict[str, asyncio.Task[None]]) -> None:
        await asyncio.sleep(20)
        calls, refused = sim.statistics.calls["StartTask"], sim.statistics.throttled[MODIFY]
        assert 0 < refused < 0.1 * calls
        assert calls - refused > 0.6 * (50 + 20 * 20)

    rates = {**Options().rates, MODIFY: Bucket(burst=50, per_second=20)}
    three_services(story, Options(agent_capabilities=FEW_CAPABILITIES, rates=rates))
