"""A stream of small jobs and a large one, end to end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobRecord, JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]

TWO = (InstanceGroup(count=2, instance_type="m5.xlarge"),)


def small(number: int) -> dict[str, Any]:
    """A quarter of an instance for 40 to 70 seconds, so that no two end together."""
    command = ["sleep", str(40 + 7 * number % 31)]
    return {
        "id": f"small-{number}",
        "overrides": {"containerOverrides": [{"name": "main", "command": command}]},
    }


async def stream(w: Any, seconds: int) -> None:
    """Eight small jobs fill both instances, and one comes every five seconds; a large one comes
    after the first and needs a whole instance.
    """
    w.register("large", cpu=4096, memory=1024, command=["sleep", "10"])
    await w.submit(*(small(number) for number in range(8)))
    await w.until("small-7", JobState.RUNNING)
    await w.submit({"id": "large", "task_definition": "large"})
    for number in range(8, 8 + seconds // 5):
        await asyncio.sleep(5)
        await w.submit(small(number))


async def started(w: Any) -> list[JobRecord]:
    """The small jobs that have an instance."""
    records = [each for each in await w.queue.jobs() if each.job.id != "large"]
    return [each for each in records if each.instance_arn]


@pytest.mark.slow
def test_without_reservations_small_jobs_hold_a_large_one_up(world: Run) -> None:
    """As long as the stream lasts, no instance is ever empty."""

    async def story(w: Any) -> None:
        await stream(w, 120)
        assert (await w.queue.job("large")).state is JobState.RUNNABLE

    world(story, fleet=TWO, reservations=0, pass_interval_s=1)


def test_a_large_job_starts_once_the_instance_kept_for_it_has_emptied(world: Run) -> None:
    """It waits half a minute, then at most 70 s until what runs there has ended. Meanwhile small
    jobs go on starting on the other instance, and after it on both.
    """

    async def story(w: Any) -> None:
        streaming = asyncio.create_task(stream(w, 120))
        await asyncio.sleep(50)
        assert "room is kept for it on" in (await w.queue.job("large")).reason
        kept_ms = (await w.queue.job("large")).runnable_at_ms + 32_000
        large = await w.until("large", JobState.RUNNING, timeout_s=60)
        beside = [each for each in await started(w) if each.starting_at_ms > kept_ms]
        assert len(beside) >= 2
        assert large.instance_arn not in {each.instance_arn for each in beside}
        await streaming
        after = [each for each in await started(w) if each.starting_at_ms > large.running_at_ms]
        assert large.instance_arn in {each.instance_arn for each in after}

    world(story, fleet=TWO, reserve_after_s=30, pass_interval_s=1)
