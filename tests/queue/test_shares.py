"""Stories of shares: a claim passes by what belongs to a share that has enough."""

from typing import TYPE_CHECKING

from ecs_queue.job import Job, JobId
from ecs_queue.states import Cancelled, JobState, OwnerId
from ecs_queue.steering import Selector

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE = OwnerId("alice")


async def submit(story: "Story", *ids: str) -> None:
    """The share is the id's first letter; d is the default one."""
    jobs = [
        Job(
            id=JobId(each),
            task_definition="t",
            share="default" if each[0] == "d" else each[0],
            tags={"all": "1"},
        )
        for each in ids
    ]
    await story.queue.submit(jobs)


async def claim(story: "Story", count: int, *enough: str) -> list[str]:
    await story.queue.open_lease(ALICE, lease_ms=30_000)
    return [each.job.id for each in await story.queue.claim(ALICE, count, enough=enough)]


async def test_a_share_that_has_enough_is_passed_by(story: "Story") -> None:
    """However many of its jobs come first; it gets its old place back afterwards."""
    await submit(story, *(f"a{i}" for i in range(50)), "b0", "d0")
    assert await claim(story, 10, "a") == ["b0", "d0"]
    assert await claim(story, 10, "a", "b", "default") == []
    assert await claim(story, 3) == ["a0", "a1", "a2"]
    assert await story.queue.shares() == {"default", "a", "b"}


async def test_a_long_backlog_is_passed_by_in_parts(story: "Story") -> None:
    """No single claim walks through all of it, and none of it is lost."""
    await submit(story, *(f"a{i}" for i in range(5000)), "b0")
    found: list[str] = []
    for _ in range(4):
        found += await claim(story, 1000, "a")
    assert "b0" in found
    assert (await story.queue.counts())[JobState.RUNNABLE] == 5001
    assert len(await story.queue.jobs(JobState.RUNNABLE, limit=6000)) == 5001


async def test_what_was_passed_by_can_be_steered(story: "Story") -> None:
    """Cancelled, suspended, reordered and selected as any other job."""
    await submit(story, "a0", "a1", "a2", "a3")
    assert await claim(story, 10, "a") == []
    steering = story.queue.steering
    assert len(await steering.select(Selector({"all": "1"}))) == 4
    assert await story.queue.cancel([JobId("a0")]) == (Cancelled(JobId("a0")),)
    await steering.suspend([JobId("a1")])
    await steering.reprioritise([JobId("a3")], 5)
    assert await claim(story, 10) == ["a3", "a2"]
    assert await story.total() == 4


async def test_an_array_belongs_to_its_share(story: "Story") -> None:
    """Passed by as a whole, handed out afterwards, and its summary is its own."""
    job = Job(id=JobId("a"), task_definition="t", share="a", array_size=3)
    await story.queue.submit([job])
    assert await claim(story, 10, "a") == []
    assert len(await claim(story, 10)) == 3
