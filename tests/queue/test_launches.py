"""Stories of the launch ledger: intents, what settles them, and what stays open."""

from typing import TYPE_CHECKING

from ecs_queue.job import JobId
from ecs_queue.states import (
    Failure,
    InstanceArn,
    Intent,
    JobState,
    LaunchToken,
    LiveTask,
    Note,
    OwnerId,
    PendingCancellation,
    PendingLaunch,
    Refused,
    Rejected,
    Sighting,
    Started,
    TaskArn,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE = OwnerId("alice")
A, B = JobId("a"), JobId("b")
TASK = TaskArn("arn:task/1")


async def test_an_intent_is_in_the_ledger(story: "Story") -> None:
    """From the intent on, the job is STARTING and the ledger names its token and instance."""
    await story.submit("a", "b")
    token = await story.intend(*(await story.claim()).values())
    expected = PendingLaunch(
        token=token,
        api="StartTask",
        created_at_ms=story.clock.ms,
        age_ms=0,
        jobs={A: InstanceArn("instance-0"), B: InstanceArn("instance-1")},
    )
    assert (expected,) == await story.queue.pending_launches()
    assert await story.state("a") == JobState.STARTING
    assert token == (await story.queue.job(A)).launch_token


async def test_an_intent_without_an_instance(story: "Story") -> None:
    """With RunTask, ECS chooses; the ledger says so."""
    await story.submit("a")
    claim = (await story.claim())["a"]
    intent = Intent(A, claim.epoch, None)
    assert {A} == await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", [intent])
    (launch,) = await story.queue.pending_launches()
    assert (launch.api, launch.jobs) == ("RunTask", {A: None})


async def test_no_job_is_intended_twice(story: "Story") -> None:
    """One claim leads to one launch; a second token gets nothing and leaves no entry."""
    await story.submit("a")
    claim = (await story.claim())["a"]
    await story.intend(claim)
    again = await story.queue.intend(
        ALICE, LaunchToken("second"), "RunTask", [Intent(A, claim.epoch, None)]
    )
    assert frozenset() == again
    assert [launch.token for launch in await story.queue.pending_launches()] == ["token-1"]


async def test_a_claim_is_spent_by_its_launch(story: "Story") -> None:
    """After a refused launch the job must be claimed anew; the old claim launches nothing."""
    await story.submit("a")
    claim = (await story.claim())["a"]
    await story.queue.settle(await story.intend(claim), [Refused(A, "RESOURCE:CPU")])
    intent = Intent(A, claim.epoch, None)
    again = await story.queue.intend(ALICE, LaunchToken("second"), "RunTask", [intent])
    assert again == frozenset()


async def test_a_launch_clears_the_reason_for_waiting(story: "Story") -> None:
    """What a job waited for is not its reason once it is STARTING."""
    await story.submit("a")
    claim = (await story.claim())["a"]
    await story.queue.note(ALICE, [Note(A, claim.epoch, "12 x RESOURCE:CPU")])
    await story.intend(claim)
    assert (await story.queue.job(A)).reason == "launch requested, not acknowledged yet"


async def test_an_intent_outlives_its_owner(story: "Story") -> None:
    """STARTING jobs belong to the ledger: an expired lease does not make them RUNNABLE."""
    await story.submit("a")
    await story.intend((await story.claim())["a"])
    story.clock.advance(60_000)
    await story.queue.reclaim_expired()
    assert await story.state("a") == JobState.STARTING
    assert len(await story.queue.pending_launches(older_than_ms=60_000)) == 1
    assert await story.queue.pending_launches(older_than_ms=60_001) == ()


async def test_settled_one_by_one(story: "Story") -> None:
    """A launch stays open until each of its jobs is settled."""
    await story.submit("a", "b")
    token = await story.intend(*(await story.claim()).values())
    await story.queue.settle(token, [Started(A, TASK, InstanceArn("other"))])
    (launch,) = await story.queue.pending_launches()
    assert launch.jobs == {B: "instance-1"}
    await story.queue.settle(token, [Refused(B, "RESOURCE:CPU")])
    assert await story.queue.pending_launches() == ()
    assert (LiveTask(TASK, A),) == await story.queue.live_tasks()
    record = await story.queue.job(A)
    assert (record.task_arn, record.instance_arn, record.launches) == (TASK, "other", 1)
    assert record.reason == "launched, not seen RUNNING yet"


async def test_refused_uses_up_no_attempt(story: "Story") -> None:
    """A refused launch leaves the job RUNNABLE, nothing counted, its waiting time going on."""
    await story.submit("a")
    submitted_ms = story.clock.ms
    claim = (await story.claim())["a"]
    story.clock.advance(1000)
    token = await story.intend(claim)
    await story.queue.settle(token, [Refused(A, "RESOURCE:MEMORY", delay_ms=500)])
    record = await story.queue.job(A)
    assert (record.state, record.reason) == (JobState.RUNNABLE, "RESOURCE:MEMORY")
    assert (record.launches, record.launch_token, record.instance_arn) == (0, None, None)
    assert submitted_ms == record.runnable_at_ms
    assert await story.claim() == {}
    story.clock.advance(500)
    assert list(await story.claim()) == ["a"]


async def test_a_late_second_outcome_changes_nothing(story: "Story") -> None:
    """What was settled stays settled, whatever is reported later under the same token."""
    await story.submit("a")
    token = await story.intend((await story.claim())["a"])
    await story.queue.settle(token, [Started(A, TASK, None)])
    await story.queue.settle(token, [Refused(A, "late"), Started(A, TaskArn("arn:2"), None)])
    assert (LiveTask(TASK, A),) == await story.queue.live_tasks()
    assert await story.state("a") == JobState.STARTING


async def test_rejected_for_good(story: "Story") -> None:
    """A launch that ECS would never take ends the job, with the reason."""
    await story.submit("a")
    token = await story.intend((await story.claim())["a"])
    await story.queue.settle(token, [Rejected(A, "InvalidParameterException: bad role")])
    record = await story.queue.job(A)
    assert (record.state, record.reason) == (JobState.FAILED, "InvalidParameterException: bad role")
    assert await story.queue.pending_launches() == ()


async def test_failed_before_any_launch(story: "Story") -> None:
    """A claimed job that cannot be launched at all is FAILED; a stale claim fails nothing."""
    await story.submit("a", "b")
    claims = await story.claim()
    stale = Failure(B, claims["b"].epoch - 1, "stale")
    await story.queue.fail(ALICE, [Failure(A, claims["a"].epoch, "no such family"), stale])
    record = await story.queue.job(A)
    assert (record.state, record.reason) == (JobState.FAILED, "no such family")
    assert frozenset({B}) == await story.queue.held(ALICE)


async def test_seen_running(story: "Story") -> None:
    """The first sighting makes the job RUNNING at the time that ECS names; later ones don't."""
    await story.submit("a")
    task = await story.start("a")
    await story.queue.running([Sighting(task, 123_000, InstanceArn("there"))])
    await story.queue.running([Sighting(task, 456_000), Sighting(TaskArn("unknown"), 1)])
    record = await story.queue.job(A)
    assert (
        record.state,
        record.running_at_ms,
        record.instance_arn,
    ) == (JobState.RUNNING, 123_000, "there")


async def test_many_live_tasks(story: "Story") -> None:
    """All live tasks are listed, beyond one page of the server's cursor."""
    ids = [f"job-{i}" for i in range(1200)]
    await story.submit(*ids)
    claims = await story.claim(count=1200)
    token = await story.intend(*claims.values())
    await story.queue.settle(
        token, [Started(JobId(i), TaskArn(f"arn:aws:ecs:task/{i}"), None) for i in ids]
    )
    assert set(ids) == {task.job_id for task in await story.queue.live_tasks()}


async def test_cancelling_a_launch_in_flight(story: "Story") -> None:
    """The request waits for the acknowledgement, then names the task to stop."""
    await story.submit("a")
    token = await story.intend((await story.claim())["a"])
    await story.queue.cancel([A], "not needed")
    assert (PendingCancellation(A, None, "not needed"),) == await story.queue.cancellations()
    assert (await story.queue.job(A)).reason == "cancellation requested: not needed"
    await story.queue.settle(token, [Started(A, TASK, None)])
    assert (PendingCancellation(A, TASK, "not needed"),) == await story.queue.cancellations()
    assert await story.state("a") == JobState.STARTING


async def test_cancelling_a_launch_that_is_refused(story: "Story") -> None:
    """Nothing was started, so nothing is waited for: CANCELLED at once."""
    await story.submit("a", "b")
    token = await story.intend(*(await story.claim()).values())
    await story.queue.cancel([A, B], "not needed")
    await story.queue.settle(token, [Refused(A, "RESOURCE:CPU"), Rejected(B, "never")])
    assert (
        await story.state("a"),
        await story.state("b"),
    ) == (JobState.CANCELLED, JobState.CANCELLED)
    assert (await story.queue.job(A)).reason == "not needed"
    assert await story.queue.cancellations() == ()


async def test_who_takes_the_lead_ends_the_claims_of_the_one_before(story: "Story") -> None:
    """Frozen for longer than its lease, the one before launches nothing of what it had claimed."""
    await story.submit("a")
    frozen, heir = OwnerId("frozen"), OwnerId("heir")
    assert await story.queue.lead(frozen, "c", lease_ms=30_000) == 1
    (stale,) = await story.queue.claim(frozen, 10)
    story.clock.advance(30_000 + 1)
    assert await story.queue.lead(heir, "c", lease_ms=30_000) == 2
    intent = Intent(stale.job.id, stale.epoch, None)
    token = LaunchToken("token-of-the-frozen")
    assert await story.queue.intend(frozen, token, "RunTask", [intent]) == set()
    assert [each.job.id for each in await story.queue.claim(heir, 10)] == ["a"]
