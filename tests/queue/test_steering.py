"""Stories of suspending, resuming and reordering, at every moment of a job's life."""

import asyncio
from typing import TYPE_CHECKING, Any

from ecs_queue.job import Job, JobId
from ecs_queue.states import (
    AlreadyEnded,
    InfrastructureFailed,
    Intent,
    JobState,
    LaunchToken,
    NoSuchJob,
    OwnerId,
    Succeeded,
    TaskFailed,
)
from ecs_queue.steering import (
    Reprioritised,
    Resumed,
    Selector,
    Steered,
    Suspended,
    SuspendedLater,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
A, B, C = JobId("a"), JobId("b"), JobId("c")


async def test_a_suspended_job_is_claimed_by_nobody_until_it_is_resumed(story: "Story") -> None:
    """It is counted, says why it waits, and gets its old place back."""
    await story.submit("a", "b")
    assert await story.queue.steering.suspend([A], "audit") == (Suspended(A),)
    assert list(await story.claim()) == ["b"]
    record = await story.queue.job(A)
    assert (record.state, record.reason) == (JobState.RUNNABLE, "suspended: audit")
    assert (await story.queue.counts())[JobState.RUNNABLE] == 2
    await story.queue.hand_back(ALICE)
    assert await story.queue.steering.resume([A]) == (Resumed(A),)
    assert list(await story.claim()) == ["a", "b"]
    assert (await story.queue.job(A)).reason == "being placed"


async def test_suspending_twice_is_suspending_once(story: "Story") -> None:
    """And resuming what is not suspended changes nothing."""
    await story.submit("a")
    steering = story.queue.steering
    assert await steering.suspend([A], "first") == await steering.suspend([A], "second")
    assert (await story.queue.job(A)).reason == "suspended: first"
    assert await steering.resume([A]) == await steering.resume([A]) == (Resumed(A),)
    assert list(await story.claim()) == ["a"]


async def test_a_suspension_races_with_a_launch(story: "Story") -> None:
    """The scheduler has claimed it already: its intent is refused, and nothing is launched."""
    await story.submit("a", "b")
    claims = await story.claim()
    await story.queue.steering.suspend([A])
    intents = [Intent(each, claims[each].epoch, None) for each in (A, B)]
    allowed = await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", intents)
    assert allowed == {B}
    assert await story.queue.held(ALICE) == frozenset()


async def test_a_running_job_is_suspended_when_it_would_run_again(story: "Story") -> None:
    """Its task is left alone; the retry waits, with its back-off, for the resumption."""
    await story.submit("a", attempts=2)
    task = await story.run("a")
    assert await story.queue.steering.suspend([A]) == (SuspendedLater(A),)
    assert "to be suspended as soon as it waits" in (await story.queue.job(A)).reason
    state = await story.queue.finish(task, TaskFailed("exit 1", 1), delay_ms=9000)
    assert state is JobState.RUNNABLE
    story.clock.advance(5000)
    await story.queue.steering.resume([A])
    assert await story.claim() == {}
    story.clock.advance(4000)
    assert list(await story.claim()) == ["a"]


async def test_a_suspended_job_may_be_cancelled_and_may_end(story: "Story") -> None:
    """Suspended or not, CANCELLED is the end; and a running one that succeeds has succeeded."""
    await story.submit("a", "b")
    steering = story.queue.steering
    await steering.suspend([A])
    await story.queue.cancel([A])
    assert await steering.resume([A]) == (AlreadyEnded(A, JobState.CANCELLED),)
    task = await story.run("b")
    await steering.suspend([B])
    assert await story.queue.finish(task, Succeeded()) is JobState.SUCCEEDED
    assert await steering.suspend([B]) == (AlreadyEnded(B, JobState.SUCCEEDED),)
    assert await steering.suspend([C]) == await steering.resume([C]) == (NoSuchJob(C),)


async def test_a_deadline_ends_a_suspended_job_too(story: "Story") -> None:
    """Being suspended does not stop the clock."""
    deadline = story.clock.ms // 1000 + 60
    await story.queue.submit([Job(id=A, task_definition="t", deadline=deadline)])
    await story.queue.steering.suspend([A])
    story.clock.advance(60_000)
    await story.queue.expire()
    assert await story.state("a") is JobState.FAILED
    assert await story.total() == 1


async def test_a_higher_priority_goes_first(story: "Story") -> None:
    """Among its new equals the order of submission stays; the document stays too."""
    await story.submit("a", "b", "c")
    assert await story.queue.steering.reprioritise([C, B], 7) == (
        Reprioritised(C),
        Reprioritised(B),
    )
    assert list(await story.claim()) == ["b", "c", "a"]
    record = await story.queue.job(B)
    assert (record.priority, record.job.priority) == (7, 0)


async def test_a_claimed_job_goes_back_when_its_priority_changes(story: "Story") -> None:
    """Who held it must ask again; an unchanged priority takes nothing away."""
    await story.submit("a", "b")
    await story.claim()
    await story.queue.steering.reprioritise([A], 0)
    assert await story.queue.held(ALICE) == {A, B}
    await story.queue.steering.reprioritise([A], 3)
    assert await story.queue.held(ALICE) == {B}
    claims = await story.claim(BOB)
    assert claims["a"].priority == 3


async def test_a_new_priority_holds_for_the_retry(story: "Story") -> None:
    """Given while the task ran."""
    await story.submit("a", "b", "c")
    task = await story.run("c")
    await story.queue.steering.reprioritise([C], 1000)
    await story.queue.finish(task, InfrastructureFailed("lost"))
    assert next(iter(await story.claim())) == "c"


async def test_a_suspended_job_keeps_its_new_priority(story: "Story") -> None:
    """It stays suspended, with its reason, and comes back where it belongs now."""
    await story.submit("a", "b")
    await story.queue.steering.suspend([B], "audit")
    await story.queue.steering.reprioritise([B], 5)
    assert (await story.queue.job(B)).reason == "suspended: audit"
    await story.queue.steering.resume([B])
    assert list(await story.claim()) == ["b", "a"]


async def test_a_suspended_queue_launches_nothing(story: "Story", sends_twice: bool) -> None:
    """Claims go back, jobs still come in, and afterwards everything is as it was."""
    await story.submit("a", "b")
    claims = await story.claim()
    steering = story.queue.steering
    assert await steering.pause("maintenance") == (0 if sends_twice else 2)
    intents = [Intent(A, claims["a"].epoch, None)]
    assert await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", intents) == frozenset()
    await story.submit("c")
    assert await story.queue.claim(ALICE, 10) == ()
    assert await steering.paused() == "maintenance"
    await steering.unpause()
    await steering.unpause()
    assert await steering.paused() is None
    assert list(await story.claim()) == ["a", "b", "c"]


async def test_jobs_are_selected_by_tags_and_share(story: "Story") -> None:
    """Wherever they are, as long as they have not ended; all tags have to match."""

    def job(job_id: str, **members: Any) -> Job:
        return Job.model_validate({"id": job_id, "task_definition": "t", **members})

    film = {"film": "7", "kind": "frame"}
    await story.queue.submit(
        [
            job("ready", tags=film),
            job("delayed", tags=film, not_before=story.clock.ms // 1000 + 60),
            job("suspended", tags=film, share="b"),
            job("running", tags=film),
            job("done", tags=film),
            job("other", tags={"film": "7", "kind": "sound"}),
            job("bare"),
        ]
    )
    steering = story.queue.steering
    await steering.suspend([JobId("suspended")])
    await story.run("running")
    await story.queue.cancel([JobId("done")])
    await story.claim(count=1)
    found = await steering.select(Selector(film))
    assert sorted(found) == ["delayed", "ready", "running", "suspended"]
    assert await steering.select(Selector(film, "b")) == ("suspended",)
    answers: tuple[Steered, ...] = await steering.suspend(found)
    assert {type(each) for each in answers} == {Suspended, SuspendedLater}
    assert sorted(await story.claim()) == ["bare", "other"]


async def test_a_large_selection_is_complete(story: "Story") -> None:
    """More jobs than one look or one call takes."""
    jobs = [Job(id=JobId(f"j{i}"), task_definition="t", tags={"n": "1"}) for i in range(2500)]
    await story.queue.submit(jobs)
    found = await story.queue.steering.select(Selector({"n": "1"}))
    assert set(found) == {job.id for job in jobs}
    await story.queue.steering.reprioritise(found, 9)
    assert [each.priority for each in (await story.claim(count=2500)).values()] == [9] * 2500


async def test_an_array_is_steered_with_its_children(story: "Story") -> None:
    """Also those that were handed out: suspended, moved and resumed with it."""
    await story.queue.submit([Job(id=A, task_definition="t", array_size=3)])
    await story.submit("b", priority=5)
    steering = story.queue.steering
    assert list(await story.claim(count=3)) == ["b", "a:0", "a:1"]
    assert await steering.suspend([A]) == (Suspended(A),)
    assert await story.queue.held(ALICE) == {"b"}
    await story.queue.hand_back(ALICE)
    assert list(await story.claim()) == ["b"]
    await steering.resume([A])
    await steering.reprioritise([A], 9)
    assert list(await story.claim()) == ["a:0", "a:1", "a:2", "b"]
    await story.queue.cancel([A])
    assert await story.state("a") is JobState.CANCELLED
    assert await story.queue.held(ALICE) == {"b"}


async def test_waiting_is_worth_priority(story: "Story") -> None:
    """A hundred points an hour up to 1000, wherever a job waits; a priority given by hand counts
    from there.
    """
    await story.submit("a", "held")
    hour = {"step_ms": 3_600_000, "points": 100}
    age = story.queue.steering.age
    await story.claim(count=2)
    await story.submit("later", priority=150)
    story.clock.advance(3_599_999)
    assert await age([A, JobId("held")], **hour) == 0
    story.clock.advance(3_600_001)
    await story.queue.reclaim_expired()
    await story.submit("new", priority=190)
    await age([], **hour)
    assert list(await story.claim()) == ["later", "a", "held", "new"]
    assert [(await story.queue.job(JobId(each))).priority for each in ("later", "a")] == [350, 200]
    story.clock.advance(100 * 3_600_000)
    await age([A, JobId("held")], **hour)
    assert (await story.queue.job(A)).priority == 1000
    await story.queue.steering.reprioritise([A], 3)
    assert (await story.queue.job(A)).priority == 3


async def test_a_whole_queue_is_cancelled_while_it_is_claimed(story: "Story") -> None:
    """Jobs that move from the queue to a scheduler meanwhile are found all the same; none of the
    claims that crossed the cancellation can be launched.
    """
    ids = [JobId(f"j{i}") for i in range(300)]
    await story.queue.submit([Job(id=each, task_definition="t") for each in ids])
    await story.queue.open_lease(ALICE, lease_ms=30_000)

    async def cancel_all() -> None:
        found = await story.queue.steering.select(Selector())
        await asyncio.gather(
            *(story.queue.cancel(found[i : i + 20]) for i in range(0, len(found), 20))
        )

    cancelling = asyncio.create_task(cancel_all())
    claimed = await asyncio.gather(
        *(story.queue.claim(ALICE, 20, claim_id=f"claim-{i}") for i in range(12))
    )
    await cancelling
    states = await story.queue.states(ids)
    assert [each for each in ids if states[each] is not JobState.CANCELLED] == []
    assert await story.queue.held(ALICE) == frozenset()
    intents = [Intent(each.job.id, each.epoch, None) for claims in claimed for each in claims]
    assert await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", intents) == frozenset()
    assert await story.claim() == {}
