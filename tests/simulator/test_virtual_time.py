"""Virtual time: hours pass in no time, in order, the same way each run."""

import asyncio
import gc
import time

import pytest
from aiobotocore.config import AioConfig
from fakeredis import FakeAsyncRedis

from ecs_simulator import (
    InstanceGroup,
    Options,
    SimulatedEcs,
    TaskRecord,
    VirtualClock,
    VirtualDeadlock,
    http_session_class,
    run_virtual,
    without_collections,
)

from .conftest import AIO_SESSION, CREDENTIALS


def test_sleeping_takes_no_time() -> None:
    """A day of sleeping is over at once, and the clock says a day later."""

    async def main(clock: VirtualClock) -> float:
        began = clock.now()
        await asyncio.sleep(86_400)
        return clock.now() - began

    began = time.monotonic()
    assert run_virtual(main) == 86_400
    assert time.monotonic() - began < 5


def test_timers_fire_in_order() -> None:
    """Whoever sleeps less wakes first, and time-outs cut long waits short."""
    log: list[tuple[str, float]] = []

    async def sleeper(clock: VirtualClock, name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        log.append((name, clock.monotonic()))

    async def main(clock: VirtualClock) -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("slow", 30.0), ("fast", 10.0)):
                group.create_task(sleeper(clock, name, seconds))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 20)
            log.append(("timeout", clock.monotonic()))

    run_virtual(main)
    assert log == [("fast", 10.0), ("timeout", 20.0), ("slow", 30.0)]


def test_start_and_plain_coroutines() -> None:
    """The epoch is a choice, and a coroutine runs as well as a function of the clock."""

    async def now(clock: VirtualClock) -> float:
        return clock.now()

    async def seven() -> int:
        await asyncio.sleep(7)
        return int(asyncio.get_running_loop().time())

    assert run_virtual(now, start=1000.0) == 1000.0
    assert run_virtual(seven()) == 7


def test_waiting_for_nothing_is_a_clear_error() -> None:
    """Nothing scheduled and everything waiting: VirtualDeadlock instead of hanging for ever."""

    async def main(_: VirtualClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualDeadlock, match="nothing is scheduled"):
        run_virtual(main)


def test_threads_are_waited_for() -> None:
    """Work handed to a thread comes back, although no timer announces it."""
    assert run_virtual(asyncio.to_thread(lambda: 5)) == 5


async def afternoon(clock: VirtualClock, seed: int) -> tuple[TaskRecord, ...]:
    """A little service: a Redis list of jobs, started one by one through aiobotocore."""
    ecs = SimulatedEcs(Options(), clock.now, seed)
    arns = ecs.add_instances("demo", (InstanceGroup(count=4),))
    config = AioConfig(http_session_cls=http_session_class(ecs))
    redis = FakeAsyncRedis(decode_responses=True)
    async with AIO_SESSION.create_client(
        "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
    ) as client:
        container = {"name": "main", "image": "busybox", "cpu": 1024, "memory": 512}
        await client.register_task_definition(family="work", containerDefinitions=[container])
        await redis.rpush("jobs", *range(60))
        while isinstance(job := await redis.lpop("jobs"), str):
            answer = await client.start_task(
                cluster="demo",
                taskDefinition="work",
                containerInstances=[arns[int(job) % 4]],
                startedBy=f"job-{int(job)}",
            )
            if answer["failures"]:
                await redis.rpush("jobs", job)
                await asyncio.sleep(10)
        await asyncio.sleep(3600)
    await redis.aclose()
    ecs.advance()
    ecs.verify()
    return ecs.tasks()


def test_same_seed_same_run() -> None:
    """The whole stack gives the same tasks at the same moments; another seed gives others."""
    first = run_virtual(lambda clock: afternoon(clock, 1))
    assert len(first) == 60
    assert all(record.last_status == "STOPPED" for record in first)
    assert run_virtual(lambda clock: afternoon(clock, 1)) == first
    assert run_virtual(lambda clock: afternoon(clock, 2)) != first


def test_the_collector_is_back_after_a_block_without_it() -> None:
    """Whatever happens in the block; a collector that was off before stays off."""
    seen: list[bool] = []
    with pytest.raises(IndexError), without_collections():
        seen.pop(len(seen) + gc.isenabled())
    assert gc.isenabled()
    with without_collections():
        assert not gc.isenabled()
    gc.disable()
    try:
        with without_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
