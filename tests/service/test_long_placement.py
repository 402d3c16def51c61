"""A placement that takes long goes on beside everything else the service does."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_simulator import InstanceGroup

T = TypeVar("T")
MANY = (InstanceGroup(count=100, instance_type="m5.xlarge"),)
JOBS = 210
PONDERS_S = 20.0


class PonderingClock(LoopClock):
    """Large placements take twenty seconds of virtual time, in which the loop goes on."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self.pondering = asyncio.Event()

    async def beside_loop(self, work: Callable[[], T]) -> T:
        result = work()
        self.pondering.set()
        await asyncio.sleep(PONDERS_S)
        return result


def sleep(job_id: str) -> dict[str, Any]:
    container = {"name": "main", "command": ["sleep", "30"]}
    return {"id": job_id, "overrides": {"containerOverrides": [container]}}


async def until_leading(service: Service) -> None:
    """Within half of the time that the other one ponders."""
    async with asyncio.timeout(PONDERS_S / 2):
        while not service.status().leading:  # noqa: ASYNC110 — the service has no event for it
            await asyncio.sleep(0.05)


async def pondering(w: Any, story: Callable[[Service, PonderingClock], Any]) -> None:
    """Instead of the world's service, one that ponders."""
    w.service.stop()
    await asyncio.wait({w.running[-1]})
    clock = PonderingClock(round(w.clock.start * 1000))
    async with ecs.connect(w.config, clock, http_session_cls=w.transport) as client:
        config = w.config.model_copy(update={"log_level": "info"})
        service = Service(config, w.queue, client, Metrics(), clock)
        await w.submit(*(sleep(f"j{n}") for n in range(JOBS)))
        running = asyncio.create_task(service.run())
        await clock.pondering.wait()
        await story(service, clock)
        service.stop()
        await running


def test_questions_are_answered_while_a_pass_is_being_decided(world: Callable[..., None]) -> None:
    """Nothing was launched when the answer is there, and in the end every job runs once."""

    async def story(w: Any) -> None:
        async def asks(service: Service, clock: PonderingClock) -> None:
            before = clock.monotonic_s()
            told = await service.explainer.job(JobId("j7"))
            assert (told.state, clock.monotonic_s() - before < PONDERS_S) == ("RUNNABLE", True)
            assert service.status().launched == 0
            for n in range(JOBS):
                record = await w.until(f"j{n}")
                assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)

        await pondering(w, asks)

    world(story, fleet=MANY)


def test_who_stops_or_loses_the_lead_meanwhile_launches_nothing(
    world: Callable[..., None],
) -> None:
    """Another scheduler has the claims by the time the placement is there."""

    async def story(w: Any) -> None:
        async def loses(service: Service, clock: PonderingClock) -> None:
            leads = await w.redis.keys("*leader:*")
            await w.redis.delete(*leads)
            async with w.another_service(lease_s=300, log_level="info") as other:
                await until_leading(other)
                assert not service.status().launched
                await asyncio.sleep(PONDERS_S)
                assert not service.status().launched
            for n in range(JOBS):
                await w.until(f"j{n}")

        await pondering(w, loses)
        assert all([(await w.queue.job(JobId(f"j{n}"))).launches == 1 for n in range(JOBS)])

    world(story, fleet=MANY)
