"""Stories of gangs: members come one by one, are claimed together, start together or not at all."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.client import Queue
from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.script import QueueSettings
from ecs_queue.states import (
    Cancelled,
    CancelRequested,
    Claim,
    JobState,
    OwnerId,
    Refused,
    Release,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
A, B, C = JobId("a"), JobId("b"), JobId("c")


def member(job_id: str, gang: str = "g", size: int = 3, **members: Any) -> Job:
    named: dict[str, Any] = {"id": gang, "size": size}
    for each in ("within_s", "on_failure"):
        if each in members:
            named[each] = members.pop(each)
    return Job.model_validate({"id": job_id, "task_definition": "t", "gang": named, **members})


async def submit(story: "Story", *ids: str, **members: Any) -> None:
    await story.queue.submit([member(job_id, **members) for job_id in ids])


async def started(story: "Story", claim: Claim) -> TaskArn:
    token = await story.intend(claim)
    task = TaskArn(f"task-of-{token}")
    await story.queue.settle(token, [Started(claim.job.id, task, None)])
    return task


async def refused(story: "Story", claim: Claim) -> None:
    token = await story.intend(claim)
    await story.queue.settle(token, [Refused(claim.job.id, "RESOURCE:CPU")])


async def states(story: "Story", *ids: str) -> list[JobState]:
    return [await story.state(each) for each in ids]


async def test_members_are_claimed_together_or_not_at_all(story: "Story") -> None:
    """Two of three wait and say so; the third brings the gang, whole, though one was asked for."""
    await submit(story, "a", "b")
    await story.submit("other")
    assert list(await story.claim()) == ["other"]
    assert (await story.queue.job(A)).reason == "gang g: 2 of 3 members came"
    await story.queue.hand_back(ALICE)
    await submit(story, "c")
    assert await story.total() == 4
    claims = await story.claim(count=1)
    assert list(claims) == ["a", "b", "c"]
    assert {claim.together for claim in claims.values()} == {3}
    assert len({claim.epoch for claim in claims.values()}) == 1


async def test_members_are_released_together(story: "Story") -> None:
    """One given back gives back all, and they wait as long as it does."""
    await submit(story, "a", "b", "c")
    claims = await story.claim()
    await story.queue.release(ALICE, [Release(B, claims["b"].epoch, "no room", 5000)])
    assert await story.queue.held(ALICE) == frozenset()
    assert await story.claim(BOB) == {}
    story.clock.advance(5000)
    assert list(await story.claim(BOB)) == ["a", "b", "c"]


async def test_the_lease_of_a_gang_runs_out(story: "Story") -> None:
    """The next owner gets it, whole."""
    await submit(story, "a", "b", "c")
    await story.claim()
    story.clock.advance(30_000)
    await story.queue.reclaim_expired()
    assert list(await story.claim(BOB)) == ["a", "b", "c"]


async def test_a_gang_stands_where_its_foremost_member_does(story: "Story") -> None:
    """By priority, also when that is changed while it waits, or while it is claimed."""
    await story.submit("early")
    await submit(story, "a", "b", size=2)
    assert list(await story.claim()) == ["early", "a", "b"]
    await story.queue.steering.reprioritise([B], 7)
    assert list(await story.claim()) == ["b", "a", "early"]
    await story.queue.hand_back(ALICE)
    await story.queue.steering.reprioritise([B], 0)
    assert list(await story.claim()) == ["early", "a", "b"]


async def test_a_gang_that_never_comes_together_ends_together(story: "Story") -> None:
    """The bound counts from the first member; who comes later is told the same."""
    await submit(story, "a")
    story.clock.advance(3_599_000)
    await submit(story, "b")
    await story.queue.expire()
    assert await states(story, "a", "b") == [JobState.RUNNABLE] * 2
    story.clock.advance(1000)
    await story.queue.expire()
    assert await states(story, "a", "b") == [JobState.FAILED] * 2
    reason = "gang g: 2 of 3 members came within 3600 s"
    assert (await story.queue.job(A)).reason == (await story.queue.job(B)).reason == reason
    await submit(story, "c")
    record = await story.queue.job(C)
    assert (record.state, record.reason) == (JobState.CANCELLED, f"gang g has ended: {reason}")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"size": 4}, "size is 4 here, and 3 in the members before it"),
        ({"within_s": 5}, "within_s is 5 here, and 120 in the members before it"),
        ({"on_failure": "stop"}, "on_failure is stop here, and continue in the members before it"),
        ({"share": "b"}, "share is b here, and default in the members before it"),
        ({"policy": "tight"}, "policy is tight here, and none in the members before it"),
    ],
)
async def test_members_must_agree(story: "Story", other: dict[str, Any], reason: str) -> None:
    """One that says something else is FAILED by itself; the gang waits for a better one."""
    await submit(story, "a", "b")
    await submit(story, "odd", **other)
    record = await story.queue.job(JobId("odd"))
    assert (record.state, record.reason) == (JobState.FAILED, f"gang g: {reason}")
    await submit(story, "c")
    await submit(story, "d")
    assert (await story.queue.job(JobId("d"))).reason == "gang g: it has its 3 members already"
    assert list(await story.claim()) == ["a", "b", "c"]


async def test_members_may_agree_on_a_policy(story: "Story") -> None:
    """Of a gang that names one, a member that names none is the odd one."""
    await submit(story, "a", size=2, policy="tight")
    await submit(story, "odd", size=2)
    why = "gang g: policy is none here, and tight in the members before it"
    assert (await story.queue.job(JobId("odd"))).reason == why
    await submit(story, "b", size=2, policy="tight")
    assert list(await story.claim()) == ["a", "b"]


async def test_all_acknowledged_is_formed(story: "Story") -> None:
    """From then on a member is a job like any other: its retry is its own affair."""
    await submit(story, "a", "b", size=2, retry={"attempts": 2})
    claims = await story.claim()
    tasks = [await started(story, claims[each]) for each in ("a", "b")]
    await story.queue.running([Sighting(task, story.clock()) for task in tasks])
    story.clock.advance(3_600_000)
    await story.queue.expire()
    assert await states(story, "a", "b") == [JobState.RUNNING] * 2
    assert await story.queue.finish(tasks[0], TaskFailed("exit 1", 1)) is JobState.RUNNABLE
    (claim,) = (await story.claim()).values()
    assert (claim.job.id, claim.together, claim.overdue) == ("a", 0, False)
    await started(story, claim)
    assert await story.queue.finish(tasks[1], Succeeded()) is JobState.SUCCEEDED


async def test_what_was_refused_is_started_later(story: "Story") -> None:
    """Within the bound the rest is claimed by itself, marked as overdue."""
    await submit(story, "a", "b", size=2)
    claims = await story.claim()
    await started(story, claims["a"])
    await refused(story, claims["b"])
    (rest,) = (await story.claim(BOB)).values()
    assert (rest.job.id, rest.together, rest.overdue) == ("b", 0, True)


async def test_half_a_gang_is_called_off_and_waits_as_a_whole(story: "Story") -> None:
    """The started one is stopped, which uses up no attempt; after a while all start anew."""
    await submit(story, "a", "b", size=2)
    claims = await story.claim()
    task = await started(story, claims["a"])
    await refused(story, claims["b"])
    assert await story.queue.cancellations() == ()
    story.clock.advance(120_000)
    await story.queue.expire()
    why = "gang g: 1 of 2 were started within 120 s; all wait again"
    (stop,) = await story.queue.cancellations()
    assert (stop.job_id, stop.task_arn, stop.reason) == ("a", task, why)
    assert await story.claim() == {}
    assert await story.queue.finish(task, TaskFailed("stopped", 137)) is JobState.RUNNABLE
    assert await story.queue.cancellations() == ()
    assert (await story.queue.job(A)).failures == 0
    assert await story.claim() == {}, "it waits for a while before it tries again"
    story.clock.advance(5000)
    claims = await story.claim()
    assert {claim.together for claim in claims.values()} == {2}
    for each in ("a", "b"):
        await started(story, claims[each])
    story.clock.advance(120_000)
    await story.queue.expire()
    assert await states(story, "a", "b") == [JobState.STARTING] * 2


async def test_a_launch_whose_outcome_comes_after_the_call_off(story: "Story") -> None:
    """It is stopped as soon as its task is known, or waits again if there is none."""
    await submit(story, "a", "b", "c")
    claims = await story.claim()
    unknown = {each: await story.intend(claims[each]) for each in ("a", "b")}
    await refused(story, claims["c"])
    story.clock.advance(120_000)
    await story.queue.expire()
    assert {each.task_arn for each in await story.queue.cancellations()} == {None}
    task = TaskArn("late")
    await story.queue.settle(unknown["a"], [Started(A, task, None)])
    await story.queue.settle(unknown["b"], [Refused(B, "not there")])
    assert [each.task_arn for each in await story.queue.cancellations()] == [task]
    assert await story.queue.finish(task, TaskFailed("stopped", 137)) is JobState.RUNNABLE
    story.clock.advance(10_000)
    assert list(await story.claim()) == ["a", "b", "c"]


async def test_a_member_that_succeeded_before_the_call_off_is_done(story: "Story") -> None:
    """The others start anew without it."""
    await submit(story, "a", "b", "c")
    claims = await story.claim()
    quick = await started(story, claims["a"])
    assert await story.queue.finish(quick, Succeeded()) is JobState.SUCCEEDED
    slow = await started(story, claims["b"])
    await refused(story, claims["c"])
    story.clock.advance(120_000)
    await story.queue.expire()
    await story.queue.finish(slow, TaskFailed("stopped", 137))
    story.clock.advance(10_000)
    claims = await story.claim()
    assert {name: claim.together for name, claim in claims.items()} == {"b": 2, "c": 2}
    for claim in claims.values():
        await started(story, claim)
    story.clock.advance(120_000)
    await story.queue.expire()
    assert await states(story, "b", "c") == [JobState.STARTING] * 2


async def test_cancelling_a_member_cancels_the_gang(story: "Story") -> None:
    """While it waits, and while it starts: what was started is stopped."""
    await submit(story, "a", "b", size=2)
    assert await story.queue.cancel([A], "by hand") == (Cancelled(A),)
    record = await story.queue.job(B)
    why = "gang g: its member a CANCELLED: by hand"
    assert (record.state, record.reason) == (JobState.CANCELLED, why)
    await submit(story, "x", "y", gang="h", size=2)
    claims = await story.claim()
    task = await started(story, claims["x"])
    assert await story.queue.cancel([JobId("y")]) == (Cancelled(JobId("y")),)
    assert await story.queue.cancel([JobId("x")]) == (CancelRequested(JobId("x")),)
    assert await story.queue.finish(task, TaskFailed("stopped", 137)) is JobState.CANCELLED
    assert await story.total() == 4


@pytest.mark.parametrize("on_failure", ["continue", "stop"])
async def test_what_a_failure_means_to_the_others(story: "Story", on_failure: str) -> None:
    """Nothing; or their end, where the gang says so."""
    await submit(story, "a", "b", size=2, on_failure=on_failure)
    claims = await story.claim()
    tasks = [await started(story, claims[each]) for each in ("a", "b")]
    assert await story.queue.finish(tasks[0], TaskFailed("exit 1", 1)) is JobState.FAILED
    stopped = on_failure == "stop"
    assert len(await story.queue.cancellations()) == stopped
    if stopped:
        assert await story.queue.finish(tasks[1], TaskFailed("x", 137)) is JobState.CANCELLED
        assert (await story.queue.job(B)).reason == "gang g: its member a FAILED: exit 1"


async def test_a_suspended_member_holds_the_gang_back(story: "Story") -> None:
    """Also one that was claimed: nothing of the gang is launched until it is resumed."""
    await submit(story, "a", "b", size=2)
    claims = await story.claim()
    await story.queue.steering.suspend([A])
    token = await story.intend(claims["b"])
    assert await story.queue.pending_launches() == (), token
    assert await story.claim() == {}
    waiting = (await story.queue.job(B)).reason
    assert waiting == "gang g: waits until all 2 members are RUNNABLE"
    await story.queue.steering.reprioritise([B], 3)
    assert await story.claim() == {}
    await story.queue.steering.resume([A])
    assert list(await story.claim()) == ["b", "a"]


async def test_members_wait_for_times_and_for_others(story: "Story") -> None:
    """The gang starts when the last of them may."""
    soon = story.clock.ms // 1000 + 60
    await story.submit("first")
    await submit(story, "a", size=2, not_before=soon)
    on = (Dependency(job=JobId("first")),)
    await story.queue.submit([member("b", size=2).model_copy(update={"depends_on": on})])
    await story.queue.finish(await story.run("first"), Succeeded())
    assert await story.claim() == {}
    story.clock.advance(60_000)
    assert list(await story.claim()) == ["a", "b"]


async def test_a_dependency_that_fails_ends_the_gang(story: "Story") -> None:
    """Nobody of it could ever start."""
    await story.submit("first")
    await submit(story, "a", size=2)
    on = (Dependency(job=JobId("first")),)
    await story.queue.submit([member("b", size=2).model_copy(update={"depends_on": on})])
    await story.queue.cancel([JobId("first")])
    assert await states(story, "a", "b") == [JobState.CANCELLED, JobState.FAILED]


async def test_a_gang_of_a_thousand(story: "Story") -> None:
    """The largest there is, claimed in one piece and given back in one piece."""
    ids = [f"m{i}" for i in range(1000)]
    await submit(story, *ids, size=1000)
    assert len(await story.claim(count=1)) == 1000
    await story.queue.hand_back(ALICE)
    assert (await story.queue.counts())[JobState.RUNNABLE] == 1000
    assert len(await story.claim(BOB)) == 1000


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"gang": {"id": "g", "size": 1001}}, "gang.size"),
        ({"gang": {"id": "g", "size": 1}}, "gang.size"),
        ({"gang": {"id": "g"}}, "gang.size"),
        ({"gang": {"id": "g", "size": 2}, "array_size": 2}, "an array is none"),
        ({"gang": {"id": "g", "size": 2}, "fallback": {"after_s": 1}}, "takes no fallback"),
    ],
)
def test_what_is_no_gang_is_refused(members: dict[str, Any], complaint: str) -> None:
    """With the field, and what to do instead."""
    document = {"id": "a", "task_definition": "t", **members}
    with pytest.raises(InvalidJob, match=complaint):
        parse_job(json.dumps(document))


async def test_a_leader_that_is_forgotten_as_it_ends(story: "Story") -> None:
    """Only one ended job is kept, and both end in the same moment: the gang ends all the same."""
    story.queue = Queue(story.redis, now_ms=story.clock, settings=QueueSettings(ended_kept=1))
    await story.submit("x")
    await submit(story, "a", "b", size=2)
    await story.queue.cancel([JobId("x"), A])
    counts = {state: number for state, number in (await story.queue.counts()).items() if number}
    assert counts == {JobState.CANCELLED: 1}
    assert await story.claim() == {}
