"""Stories of time: not_before, deadline, bounded waits and timeouts."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import Job, JobId
from ecs_queue.states import (
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Refused,
    Sighting,
    Succeeded,
    TaskFailed,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

A, ALICE = JobId("a"), OwnerId("alice")
NOON_S = 1_800_000_000


async def submit(story: "Story", **members: Any) -> None:
    await story.queue.submit([Job.model_validate({"id": A, "task_definition": "t", **members})])


@pytest.mark.parametrize(
    "moment", ["2027-01-15T08:00:00Z", "2027-01-15T09:00:00+01:00", "2027-01-15T07:59:59.2Z"]
)
def test_moments_are_iso_8601_or_epoch_seconds(moment: str) -> None:
    """However it is written, the same moment is the same document."""
    written = json.dumps({"id": "a", "task_definition": "t", "not_before": moment})
    assert parse_job(written).not_before == NOON_S


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"not_before": "tomorrow"}, '"tomorrow" is no moment: use ISO 8601'),
        ({"not_before": "2027-01-15T08:00:00"}, "names no offset from UTC"),
        ({"deadline": NOON_S * 1000}, "deadline: must lie from 1970 to before 2100-01-01"),
        ({"not_before": "2999-01-01T00:00:00Z"}, "not_before: must lie from 1970 to before 2100"),
        ({"not_before": -1}, "not_before: must lie from 1970"),
        ({"not_before": NOON_S, "deadline": NOON_S}, "deadline: is not after not_before"),
        ({"max_wait": {"after_s": 9, "action": "cancel", "priority": 5}}, "belongs to action"),
        ({"timeout_s": 0}, "timeout_s: must be greater than or equal to 1"),
    ],
)
def test_moments_that_mean_nothing_are_refused(members: dict[str, Any], complaint: str) -> None:
    """The complaint says how to write it."""
    with pytest.raises(InvalidJob) as caught:
        parse_job(json.dumps({"id": "a", "task_definition": "t", **members}))
    assert complaint in str(caught.value)


async def test_not_before_waits(story: "Story") -> None:
    """Nobody can claim it a millisecond earlier; then it is an ordinary job."""
    await submit(story, not_before=NOON_S + 60)
    story.clock.advance(59_999)
    assert await story.claim() == {}
    assert "not before 2027-01-15T08:01:00Z" in (await story.queue.job(A)).reason
    story.clock.advance(1)
    claims = await story.claim()
    assert claims["a"].runnable_at_ms == story.clock.ms


async def test_a_deadline_ends_whoever_has_not_started(story: "Story") -> None:
    """Also while a scheduler holds it: its claim is void and nothing is launched."""
    await submit(story, deadline=NOON_S + 60)
    claims = await story.claim()
    story.clock.advance(60_000)
    intents = [Intent(A, claims["a"].epoch, None)]
    assert await story.queue.intend(ALICE, LaunchToken("late"), "RunTask", intents) == frozenset()
    await story.queue.expire()
    record = await story.queue.job(A)
    assert (record.state, record.reason) == (JobState.FAILED, "not started by its deadline")
    assert await story.queue.held(ALICE) == frozenset()
    assert await story.queue.pending_launches() == ()


async def test_a_deadline_leaves_a_running_job_alone_until_it_would_start_again(
    story: "Story",
) -> None:
    """It started in time; the retry would not."""
    await submit(story, deadline=NOON_S + 60, retry={"attempts": 2})
    task = await story.run("a")
    story.clock.advance(60_000)
    assert await story.queue.expire() == 0
    assert await story.queue.finish(task, TaskFailed("exit 1", 1)) is JobState.RUNNABLE
    await story.queue.expire()
    assert await story.state("a") is JobState.FAILED


async def test_a_bounded_wait_cancels(story: "Story") -> None:
    """CANCELLED after 600 s in the queue, and not before."""
    await submit(story, max_wait={"after_s": 600, "action": "cancel"})
    story.clock.advance(599_999)
    assert await story.queue.expire() == 0
    story.clock.advance(1)
    await story.queue.expire()
    record = await story.queue.job(A)
    assert record.state is JobState.CANCELLED
    assert record.reason == "waited longer than its max_wait of 600 s"


async def test_a_bounded_wait_raises_the_priority_once(story: "Story") -> None:
    """It passes the others, keeps its place among its new equals, and is left alone then."""
    await story.submit("first", priority=900)
    bound = {"after_s": 600, "action": "raise_priority", "priority": 900}
    await submit(story, max_wait=bound, deadline=NOON_S + 9000)
    await story.submit("last", priority=900)
    claims = await story.claim(count=3)
    story.clock.advance(600_000)
    await story.queue.expire()
    assert await story.queue.expire() == 0
    assert list(await story.claim(count=3)) == ["first", "a", "last"]
    record = await story.queue.job(A)
    assert (record.priority, record.job.priority) == (900, 0)
    assert "its priority is now 900" in record.reason
    assert claims["a"].priority == 0
    story.clock.advance(9_000_000)
    await story.queue.expire()
    assert await story.state("a") is JobState.FAILED


async def test_a_refused_launch_does_not_restart_the_wait(story: "Story") -> None:
    """Its bound still counts from when it became RUNNABLE."""
    await submit(story, max_wait={"after_s": 600, "action": "cancel"})
    story.clock.advance(500_000)
    token = await story.intend((await story.claim())["a"])
    await story.queue.settle(token, [Refused(A, "full")])
    story.clock.advance(100_000)
    await story.queue.expire()
    assert await story.state("a") is JobState.CANCELLED


async def test_a_timeout_counts_from_running(story: "Story") -> None:
    """A slow start costs nothing; then the task is to be stopped, and the job is FAILED."""
    await submit(story, timeout_s=60, retry={"attempts": 3})
    task = await story.start("a")
    story.clock.advance(3_600_000)
    await story.queue.running([Sighting(task, story.clock())])
    story.clock.advance(59_999)
    assert await story.queue.cancellations() == ()
    story.clock.advance(1)
    (due,) = await story.queue.cancellations()
    assert (due.job_id, due.task_arn) == (A, task)
    assert due.reason == "timed out: it ran longer than its timeout_s of 60"
    assert await story.queue.finish(task, TaskFailed("UserInitiated", 137)) is JobState.FAILED
    record = await story.queue.job(A)
    assert (record.reason, record.exit_code, record.launches) == (due.reason, 137, 1)
    assert await story.queue.cancellations() == ()


async def test_done_at_the_last_moment_is_done(story: "Story") -> None:
    """The work was finished when StopTask came: SUCCEEDED, as with a cancellation."""
    await submit(story, timeout_s=60)
    task = await story.run("a")
    story.clock.advance(60_000)
    await story.queue.cancellations()
    assert await story.queue.finish(task, Succeeded()) is JobState.SUCCEEDED


async def test_each_attempt_has_the_whole_timeout(story: "Story") -> None:
    """What an attempt used is not taken from the next one."""
    await submit(story, timeout_s=60, retry={"attempts": 2})
    task = await story.run("a")
    story.clock.advance(50_000)
    await story.queue.finish(task, TaskFailed("exit 1", 1))
    await story.run("a")
    story.clock.advance(50_000)
    assert await story.queue.cancellations() == ()
    story.clock.advance(10_000)
    assert len(await story.queue.cancellations()) == 1
