"""Stories of how jobs end: success, failure, retries, and cancellations at any time."""

from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.errors import UnknownJob
from ecs_queue.job import JobId
from ecs_queue.script import QueueSettings
from ecs_queue.states import (
    AlreadyEnded,
    Attempt,
    Cancelled,
    CancelRequested,
    InfrastructureFailed,
    InstanceArn,
    JobState,
    NoSuchJob,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

A = JobId("a")
FAILED, LOST = TaskFailed("exit code 3", 3), InfrastructureFailed("instance terminated")


async def test_success(story: "Story") -> None:
    """A job that succeeded keeps its times, task and exit code."""
    await story.submit("a")
    submitted_ms = story.clock.ms
    task = await story.run("a")
    story.clock.advance(7000)
    assert await story.queue.finish(task, Succeeded()) == JobState.SUCCEEDED
    record = await story.queue.job(A)
    assert (0, task, "seen-there") == (record.exit_code, record.task_arn, record.instance_arn)
    times = (record.submitted_at_ms, record.running_at_ms, record.ended_at_ms)
    assert (submitted_ms, submitted_ms, submitted_ms + 7000) == times
    assert await story.queue.live_tasks() == ()


async def test_an_ending_is_told_twice(story: "Story") -> None:
    """The second report of the same task answers as the first did, whatever it claims."""
    await story.submit("a")
    task = await story.run("a")
    assert await story.queue.finish(task, Succeeded()) == JobState.SUCCEEDED
    assert await story.queue.finish(task, FAILED) == JobState.SUCCEEDED
    assert len((await story.queue.job(A)).attempts) == 1


HOUR_MS = 3_600_000


async def test_an_ending_is_remembered_for_two_hours(story: "Story") -> None:
    """By the time that the queue is given, also when that is set back; not for much longer, however
    many have ended."""
    tasks = []
    for hour in range(8):
        await story.submit(f"j{hour}")
        tasks.append(await story.run(f"j{hour}"))
        story.clock.advance(HOUR_MS)
        await story.queue.finish(tasks[-1], Succeeded())
    story.clock.advance(-HOUR_MS)
    assert await story.queue.finish(tasks[-1], FAILED) == JobState.SUCCEEDED
    story.clock.advance(3 * HOUR_MS - 1)
    assert await story.queue.finish(tasks[-1], FAILED) == JobState.SUCCEEDED
    with pytest.raises(UnknownJob):
        await story.queue.finish(tasks[-4], FAILED)
    story.clock.advance(10 * HOUR_MS)
    for job_id in ("late", "later"):
        await story.submit(job_id)
        await story.queue.finish(await story.run(job_id), Succeeded())
    kept = [key async for key in story.redis.scan_iter(match="*}:ended:*")]
    assert len(kept) <= 3
    assert sum([await story.redis.hlen(key) for key in kept]) <= 3 + 4


async def test_endings_that_come_together(story: "Story") -> None:
    """Each is judged by itself, whoever is beside it, and told twice they answer the same."""
    await story.submit("a", "b")
    endings: list[tuple[TaskArn, Verdict, int]] = [
        (await story.run("a"), Succeeded(), 0),
        (TaskArn("arn:other"), Succeeded(), 0),
        (await story.run("b"), FAILED, 0),
    ]
    states = await story.queue.finish_all(endings)
    assert states == (JobState.SUCCEEDED, None, JobState.FAILED)
    assert await story.queue.finish_all(endings) == states
    assert (await story.queue.job(JobId("b"))).exit_code == 3
    assert await story.queue.live_tasks() == ()
    assert await story.queue.finish_all([]) == ()


async def test_a_task_of_somebody_else(story: "Story") -> None:
    """A task that this queue never started is an error, not a silent nothing."""
    with pytest.raises(UnknownJob, match="runs as task arn:other"):
        await story.queue.finish(TaskArn("arn:other"), Succeeded())


async def test_a_task_that_stops_before_it_was_seen_running(story: "Story") -> None:
    """A short task may never be seen RUNNING."""
    await story.submit("a")
    assert await story.queue.finish(await story.start("a"), Succeeded()) == JobState.SUCCEEDED
    assert (await story.queue.job(A)).running_at_ms is None


async def test_one_attempt_is_the_default(story: "Story") -> None:
    """Without a retry rule the first failure is final."""
    await story.submit("a")
    assert await story.queue.finish(await story.run("a"), FAILED) == JobState.FAILED
    record = await story.queue.job(A)
    assert (record.reason, record.exit_code) == ("exit code 3", 3)


async def test_retries_until_the_attempts_are_spent(story: "Story") -> None:
    """Three attempts are three tasks; each is remembered."""
    await story.submit("a", attempts=3)
    states = [await story.queue.finish(await story.run("a"), FAILED) for _ in range(3)]
    assert states == [JobState.RUNNABLE, JobState.RUNNABLE, JobState.FAILED]
    record = await story.queue.job(A)
    assert record.reason == "exit code 3 (attempt 3 of 3)"
    first = Attempt(
        task_arn=TaskArn("task-of-token-1"),
        instance_arn=InstanceArn("seen-there"),
        started_at_ms=story.clock.ms,
        ended_at_ms=story.clock.ms,
        exit_code=3,
        reason="exit code 3",
        launched_at_ms=story.clock.ms,
    )
    assert (3, first) == (len(record.attempts), record.attempts[0])


async def test_a_retry_waits_and_keeps_its_place(story: "Story") -> None:
    """After the delay the job is claimed before what was submitted later."""
    await story.submit("a", attempts=2)
    task = await story.run("a")
    await story.submit("later")
    story.clock.advance(60_000)
    await story.queue.finish(task, FAILED, delay_ms=1000)
    record = await story.queue.job(A)
    assert (story.clock.ms, None) == (record.runnable_at_ms, record.task_arn)
    story.clock.advance(1000)
    assert list(await story.claim()) == ["a", "later"]


async def test_infrastructure_failures_use_up_no_attempt(story: "Story") -> None:
    """A job of one attempt survives lost instances, within the budget of two."""
    await story.submit("a")
    states = [await story.queue.finish(await story.run("a"), verdict) for verdict in (LOST, LOST)]
    assert states == [JobState.RUNNABLE, JobState.RUNNABLE]
    assert await story.queue.finish(await story.run("a"), Succeeded()) == JobState.SUCCEEDED
    record = await story.queue.job(A)
    assert (record.infrastructure_failures, record.launches) == (2, 3)


async def test_the_infrastructure_budget_is_spent(story: "Story") -> None:
    """Beyond the budget the job is FAILED, and says why."""
    await story.submit("a", attempts=10)
    for _ in range(2):
        await story.queue.finish(await story.run("a"), LOST)
    assert await story.queue.finish(await story.run("a"), LOST) == JobState.FAILED
    expected = "instance terminated (more infrastructure failures than the 2 allowed)"
    assert expected == (await story.queue.job(A)).reason


async def test_the_history_is_bounded(client: redis.asyncio.Redis, story: "Story") -> None:
    """Of many attempts the last twenty are kept."""
    story.queue = Queue(client, now_ms=story.clock, settings=QueueSettings())
    await story.submit("a")
    for number in range(22):
        verdict = InfrastructureFailed(f"loss {number}")
        await story.queue.finish(await story.run("a"), verdict)
    record = await story.queue.job(A)
    assert [f"loss {number}" for number in range(2, 22)] == [a.reason for a in record.attempts]
    assert record.launches == 22


@pytest.mark.parametrize("verdict", [FAILED, LOST])
async def test_cancelled_while_running(story: "Story", verdict: Verdict) -> None:
    """However its task stops, a job to be cancelled is CANCELLED and never retried."""
    await story.submit("a", attempts=5)
    task = await story.run("a")
    assert (CancelRequested(A),) == await story.queue.cancel([A], "not needed")
    assert await story.queue.finish(task, verdict) == JobState.CANCELLED
    record = await story.queue.job(A)
    assert (record.reason, record.cancel_requested) == ("not needed", True)
    assert await story.queue.cancellations() == ()


async def test_finished_before_it_could_be_stopped(story: "Story") -> None:
    """Work that was done counts as done."""
    await story.submit("a")
    task = await story.run("a")
    await story.queue.cancel([A])
    assert await story.queue.finish(task, Succeeded()) == JobState.SUCCEEDED
    assert await story.queue.cancellations() == ()


async def test_cancelled_while_waiting(story: "Story") -> None:
    """A RUNNABLE job ends at once, wherever it waits."""
    await story.submit("claimed", "ready")
    await story.claim(count=1)
    ids = [JobId("claimed"), JobId("ready"), JobId("nobody")]
    expected = (Cancelled(ids[0]), Cancelled(ids[1]), NoSuchJob(ids[2]))
    assert expected == await story.queue.cancel(ids)
    assert await story.claim() == {}
    assert (await story.queue.counts())[JobState.CANCELLED] == 2


async def test_cancelled_while_delayed(story: "Story") -> None:
    """A job that waits for a retry is not retried."""
    await story.submit("a", attempts=2)
    await story.queue.finish(await story.run("a"), FAILED, delay_ms=1000)
    assert (Cancelled(A),) == await story.queue.cancel([A])
    story.clock.advance(1000)
    assert await story.claim() == {}


async def test_cancelling_again(story: "Story") -> None:
    """A second request answers the same; the first reason stays."""
    await story.submit("a")
    await story.queue.cancel([A], "first")
    assert (Cancelled(A),) == await story.queue.cancel([A], "second")
    assert (await story.queue.job(A)).reason == "first"


async def test_cancelling_what_ended(story: "Story") -> None:
    """No transition leads out of a terminal state."""
    await story.submit("a")
    await story.queue.finish(await story.run("a"), FAILED)
    assert (AlreadyEnded(A, JobState.FAILED),) == await story.queue.cancel([A])
    assert await story.state("a") == JobState.FAILED
