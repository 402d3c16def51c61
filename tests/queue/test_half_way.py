"""Stories of scripts that fail half-way: Redis takes nothing back then, and no job may be lost.

What makes them fail is a field of the job that somebody else wrote, which is put right afterwards.
"""

from typing import TYPE_CHECKING

import pytest

from ecs_queue.errors import QueueError
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.states import (
    InfrastructureFailed,
    JobState,
    Refused,
    Sighting,
    Started,
    TaskArn,
    TaskFailed,
    Verdict,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

KEY = "{q:default}:job:a"
A = JobId("a")


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        ("f", TaskFailed("exit code 3", 3)),
        ("i", InfrastructureFailed("instance terminated")),
        ("o", InfrastructureFailed("instance terminated")),
    ],
)
async def test_an_ending_that_cannot_be_decided(
    story: "Story", field: str, verdict: Verdict
) -> None:
    """The task stays known, and the ending can be told again."""
    await story.submit("a", attempts=3)
    task = await story.run("a")
    before = await story.redis.hget(KEY, field)
    await story.redis.hset(KEY, field, "garbage")
    with pytest.raises(QueueError):
        await story.queue.finish(task, verdict)
    assert [each.task_arn for each in await story.queue.live_tasks()] == [task]
    assert await story.redis.hget(KEY, "s") == b"RUNNING"
    await story.redis.hset(KEY, field, before or "0")
    assert await story.queue.finish(task, verdict) == JobState.RUNNABLE
    assert await story.queue.live_tasks() == ()
    assert (await story.claim()).keys() == {"a"}


async def test_a_launch_that_cannot_be_counted(story: "Story") -> None:
    """The ledger still names the job, so the launch can be settled again."""
    await story.submit("a")
    token = await story.intend((await story.claim())["a"])
    started = [Started(A, TaskArn("task"), None)]
    await story.redis.hset(KEY, "n", "garbage")
    with pytest.raises(QueueError):
        await story.queue.settle(token, started)
    await story.redis.hdel(KEY, "n")
    await story.queue.settle(token, started)
    assert [each.task_arn for each in await story.queue.live_tasks()] == ["task"]


async def test_a_sighting_that_cannot_be_noted(story: "Story") -> None:
    """The job stays STARTING until its time-out can be set."""
    await story.submit("a")
    task = await story.start("a")
    sightings = [Sighting(task, story.clock(), None)]
    await story.redis.hset(KEY, "q", "garbage")
    with pytest.raises(QueueError):
        await story.queue.running(sightings)
    assert await story.state("a") == JobState.STARTING
    await story.redis.hdel(KEY, "q")
    await story.queue.running(sightings)
    assert await story.state("a") == JobState.RUNNING


async def test_a_refusal_that_cannot_be_queued(story: "Story") -> None:
    """The ledger still names the job, which waits again once its place can be told."""
    await story.submit("a")
    token = await story.intend((await story.claim())["a"])
    place = await story.redis.hget(KEY, "o")
    assert place is not None
    await story.redis.hset(KEY, "o", "garbage")
    refused = [Refused(A, "RESOURCE:CPU", 0)]
    with pytest.raises(QueueError):
        await story.queue.settle(token, refused)
    assert await story.redis.hget(KEY, "s") == b"STARTING"
    await story.redis.hset(KEY, "o", place)
    await story.queue.settle(token, refused)
    assert (await story.claim()).keys() == {"a"}


async def test_a_cancellation_that_cannot_be_carried_out(story: "Story") -> None:
    """The job still waits where it waited, and can be cancelled again."""
    first = Job(id=JobId("first"), task_definition="t")
    await story.queue.submit([first])
    await story.queue.submit(
        [Job(id=A, task_definition="t", depends_on=(Dependency(job=first.id),))]
    )
    document = await story.redis.get("{q:default}:doc:a")
    assert document is not None
    await story.redis.set("{q:default}:doc:a", "garbage")
    with pytest.raises((QueueError, ValueError)):  # fakeredis lets the error of its cjson through
        await story.queue.cancel([A])
    await story.redis.set("{q:default}:doc:a", document)
    assert await story.state("a") == JobState.PENDING
    await story.queue.cancel([A])
    assert await story.state("a") == JobState.CANCELLED


async def test_an_array_that_cannot_be_cancelled(story: "Story") -> None:
    """It still stands in the queue, and hands its children out once it is put right."""
    await story.queue.submit([Job(id=A, task_definition="t", array_size=3)])
    await story.redis.hset(KEY, "F", "garbage")
    with pytest.raises(QueueError):
        await story.queue.cancel([A])
    await story.redis.hdel(KEY, "F")
    assert not (await story.queue.job(A)).cancel_requested
    assert (await story.claim()).keys() == {"a:0", "a:1", "a:2"}
    await story.queue.cancel([A])
    assert await story.state("a") == JobState.CANCELLED


async def test_a_dependent_whose_document_is_gone(story: "Story") -> None:
    """It ends as the others do, and keeps none of them from hearing of it."""
    on = (Dependency(job=A),)
    waiting = [Job(id=JobId(each), task_definition="t", depends_on=on) for each in "wxy"]
    any_end = (Dependency(job=A, type="afterany"),)
    waiting.append(Job(id=JobId("z"), task_definition="t", depends_on=any_end))
    await story.queue.submit([Job(id=A, task_definition="t"), *waiting])
    await story.redis.delete("{q:default}:doc:x")
    await story.queue.cancel([A])
    counts = await story.queue.counts()
    assert (counts[JobState.PENDING], counts[JobState.FAILED]) == (0, 3)
    assert (await story.claim()).keys() == {"z"}
