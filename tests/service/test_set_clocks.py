"""Clocks that are set while the service runs, by hand or by NTP: by an hour, to either side."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.service.transports import faulty

from ecs_queue.states import JobState
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options

Run = Callable[..., None]

HOUR_MS = 3_600_000
either_way = pytest.mark.parametrize("set_by_ms", [HOUR_MS, -HOUR_MS], ids=["forward", "back"])

ROOMY = (InstanceGroup(count=40, instance_type="m5.4xlarge"),)
JOBS = 250
"""More than the burst of the launch budget."""


def differing(jobs: int) -> list[dict[str, Any]]:
    """Jobs that take a call each."""
    return [
        {
            "id": f"j{n}",
            "overrides": {
                "containerOverrides": [
                    {"name": "main", "command": ["sleep", f"{5 + n / 1000}"], "cpu": 64}
                ]
            },
        }
        for n in range(jobs)
    ]


async def launched(w: Any, tasks: int, within_s: float) -> None:
    """Wait until ECS has started so many."""
    async with asyncio.timeout(within_s):
        while True:
            if len(w.sim.tasks()) >= tasks:
                return
            await asyncio.sleep(0.1)


@either_way
def test_an_unknown_launch_is_certain_after_a_minute_by_our_own_clock(
    world: Run, set_by_ms: int
) -> None:
    """A minute is what ECS may need to show it. Redis's clock says an hour more, or less."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a"})
        await w.until("a", JobState.STARTING)
        intended_at = w.clock.monotonic()
        w.server_set_by_ms = set_by_ms
        await launched(w, 1, within_s=100)
        assert 60 <= w.clock.monotonic() - intended_at <= 75
        assert (await w.until("a")).state is JobState.SUCCEEDED

    world(story, faults=faulty("StartTask", 1, work_is_done=False))


@either_way
def test_so_is_one_of_the_scheduler_before(world: Run, set_by_ms: int) -> None:
    """Once the new one has seen it, which is as soon as it leads."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a"})
        await w.until("a", JobState.STARTING)
        intended_at = w.clock.monotonic()
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(40)
            w.server_set_by_ms = set_by_ms
            await launched(w, 1, within_s=100)
            assert 60 <= w.clock.monotonic() - intended_at <= 75
            assert (await w.until("a")).state is JobState.SUCCEEDED

    world(story, faults=faulty("StartTask", 1, work_is_done=False))


@either_way
@pytest.mark.parametrize("whose", ["redis", "host"])
def test_launches_go_on_at_their_rate(world: Run, whose: str, set_by_ms: int) -> None:
    """Leases, budget and tracking: the jobs end as soon as if nothing had been set."""

    async def story(w: Any) -> None:
        await w.submit(*differing(JOBS))
        await launched(w, 120, within_s=30)
        began = w.clock.monotonic()
        if whose == "redis":
            w.server_set_by_ms = set_by_ms
        else:
            w.hosts[0].set_by_ms = set_by_ms
        await launched(w, JOBS, within_s=10)
        for n in range(JOBS):
            assert (await w.until(f"j{n}")).state is JobState.SUCCEEDED
        assert w.clock.monotonic() - began <= 30
        assert len(w.sim.tasks()) == JOBS

    world(story, fleet=ROOMY, options=Options(agent_capabilities=FEW_CAPABILITIES))


@either_way
def test_after_a_fail_over_launching_waits_as_long(world: Run, set_by_ms: int) -> None:
    """The new server's clock is set right: ECS still gets its minute to show what was lost, and
    nobody waits for an hour.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        failed_over_at = w.clock.monotonic()
        await w.redis.flushall()  # with it the lead: whoever takes it looks for the mark
        await w.redis.set("{q:default}:rewound", round(w.clock.now() * 1000))
        await asyncio.sleep(20)
        w.server_set_by_ms = set_by_ms
        await w.submit({"id": "a"})
        await launched(w, 1, within_s=100)
        assert 60 <= w.clock.monotonic() - failed_over_at <= 75

    world(story)
