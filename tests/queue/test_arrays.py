"""Stories of arrays: one record, children only while they are alive."""

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.children import Children, look_at_children
from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidGraph, InvalidJob, UnknownJob
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.retrying import Retry
from ecs_queue.states import (
    ArraySummary,
    Cancelled,
    CancelRequested,
    InstanceArn,
    JobState,
    OwnerId,
    Release,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)
from ecs_queue.submissions import Accepted, Conflict, Duplicate

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE = OwnerId("alice")
P = JobId("p")
FAILS = TaskFailed("exit code 3", 3)
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def array(size: int, job_id: str = "p", **members: Any) -> Job:
    return Job(id=JobId(job_id), task_definition="sleep:1", array_size=size, **members)


def in_turn(size: int) -> Job:
    return array(size, depends_on=(Dependency(type="SEQUENTIAL"),))


async def start(story: "Story", *ids: str) -> dict[str, TaskArn]:
    """Claim everything that waits, start these, give the rest back."""
    claims = await story.claim(count=100)
    tasks: dict[str, TaskArn] = {}
    for each in ids:
        token = await story.intend(claims[each])
        tasks[each] = TaskArn(f"task-of-{token}")
        await story.queue.settle(token, [Started(JobId(each), tasks[each], None)])
    await story.queue.hand_back(ALICE)
    return tasks


async def run(story: "Story", ids: list[str], verdict: Verdict) -> None:
    for task in (await start(story, *ids)).values():
        await story.queue.running([Sighting(task, story.clock(), InstanceArn("i"))])
        await story.queue.finish(task, verdict)


async def summary(story: "Story") -> ArraySummary:
    found = (await story.queue.job(P)).array
    assert found is not None
    return found


async def keys(story: "Story") -> set[str]:
    prefix = "{q:default}:"
    found = [key.decode() async for key in story.redis.scan_iter(match="*")]
    return {key.removeprefix(prefix) for key in found if "p" in key.removeprefix(prefix)}


async def test_children_are_claimed_like_jobs(story: "Story") -> None:
    """In the order of their index, each with its own document; the rest waits as one record."""
    await story.queue.submit([array(1000)])
    claims = await story.claim(count=3)
    assert list(claims) == ["p:0", "p:1", "p:2"]
    assert [claim.job.array_index for claim in claims.values()] == [0, 1, 2]
    assert await summary(story) == ArraySummary(1000, 997, 3, 0, 0, 0)
    assert await story.state("p") == JobState.RUNNABLE
    assert (await story.queue.job(JobId("p:999"))).state == JobState.RUNNABLE
    with pytest.raises(UnknownJob):
        await story.queue.job(JobId("p:1000"))


async def test_an_array_succeeds_when_all_its_children_have(story: "Story") -> None:
    """RUNNING once the last one was handed out; then no child has a key of its own."""
    await story.queue.submit([array(3)])
    await run(story, ["p:0", "p:2"], Succeeded())
    assert await story.state("p") == JobState.RUNNING
    assert await summary(story) == ArraySummary(3, 0, 1, 2, 0, 0)
    await run(story, ["p:1"], Succeeded())
    assert await summary(story) == ArraySummary(3, 0, 0, 3, 0, 0)
    assert [await story.state(f"p:{i}") for i in range(3)] == [SUCCEEDED] * 3
    assert await story.state("p") == SUCCEEDED
    counts = await story.queue.counts()
    assert (counts[SUCCEEDED], sum(counts.values())) == (1, 1)
    of_children = {"bits:SUCCEEDED:p", "bits:LAUNCHED:p", "past:p"}
    of_all = {"epoch", "kept_arrays", "kept_children"}
    assert await keys(story) == {"doc:p", "job:p"} | of_children | of_all


async def test_an_array_fails_when_one_child_has(story: "Story") -> None:
    """But only once all have ended; the reason names the first that did, not one that was cancelled
    before, and the child keeps its own."""
    await story.queue.submit([array(3)])
    await story.queue.cancel([JobId("p:0")])
    await run(story, ["p:1"], FAILS)
    assert await story.state("p") == JobState.RUNNING
    await run(story, ["p:2"], Succeeded())
    record = await story.queue.job(P)
    assert (record.state, record.reason) == (
        FAILED,
        "1 of 3 children FAILED; the first: p:1: exit code 3",
    )
    child = await story.queue.job(JobId("p:1"))
    assert (child.state, child.reason, child.exit_code) == (FAILED, "exit code 3", 3)


async def test_each_child_has_its_own_attempts(story: "Story") -> None:
    """A retried child comes before those that were not handed out yet."""
    await story.queue.submit([array(5, retry=Retry(attempts=2))])
    claims = await story.claim(count=1)
    token = await story.intend(claims["p:0"])
    await story.queue.settle(token, [Started(JobId("p:0"), TaskArn("t"), None)])
    assert await story.queue.finish(TaskArn("t"), FAILS) == JobState.RUNNABLE
    assert list(await story.claim(count=2)) == ["p:0", "p:1"]
    await story.queue.hand_back(ALICE)
    await run(story, ["p:0"], FAILS)
    assert await story.state("p:0") == FAILED


async def test_arrays_keep_their_place_in_the_queue(story: "Story") -> None:
    """A claim takes what was submitted before, then children, then what came after."""
    await story.submit("a")
    await story.queue.submit([array(3)])
    await story.submit("z")
    await story.submit("urgent", priority=5)
    assert list(await story.claim(count=4)) == ["urgent", "a", "p:0", "p:1"]
    left = await story.queue.claim(ALICE, 10, claim_id="next")
    assert [claim.job.id for claim in left] == ["p:2", "z"]


async def test_cancelling_an_array(story: "Story") -> None:
    """Waiting children end at once, claimed ones too, running ones when their tasks stop."""
    await story.queue.submit([array(100)])
    tasks = await start(story, "p:0")
    claims = await story.claim(count=2)
    assert await story.queue.cancel([P], "enough") == (CancelRequested(P),)
    assert await story.queue.held(ALICE) == frozenset()
    assert await summary(story) == ArraySummary(100, 0, 1, 0, 0, 99)
    assert [c.job_id for c in await story.queue.cancellations()] == ["p:0"]
    assert {await story.state(i) for i in (*claims, "p:99")} == {CANCELLED}
    await story.queue.finish(tasks["p:0"], TaskFailed("killed", 137))
    record = await story.queue.job(P)
    assert (record.state, record.reason) == (CANCELLED, "enough")
    assert await story.queue.cancel([P]) == (Cancelled(P),)


async def test_cancelling_an_array_nobody_began(story: "Story") -> None:
    """It ends at once, however large it is."""
    await story.queue.submit([array(1_000_000)])
    assert await story.queue.cancel([P], "enough") == (Cancelled(P),)
    assert await summary(story) == ArraySummary(1_000_000, 0, 0, 0, 0, 1_000_000)
    assert (await story.queue.job(JobId("p:999999"))).reason == "enough"


async def test_cancelling_single_children(story: "Story", sends_twice: bool) -> None:
    """One that was not handed out never is; the others run on."""
    await story.queue.submit([array(4)])
    assert await story.queue.cancel([JobId("p:1")]) == (Cancelled(JobId("p:1")),)
    assert list(await story.claim(count=10)) == ["p:0", "p:2", "p:3"]
    await story.queue.hand_back(ALICE)
    await run(story, ["p:0", "p:2", "p:3"], Succeeded())
    assert await story.state("p") == CANCELLED


async def test_one_after_the_other(story: "Story") -> None:
    """SEQUENTIAL: the next child waits for the one before, also for its retries."""
    await story.queue.submit([in_turn(3)])
    for name in ("p:0", "p:1", "p:2"):
        assert set(await story.claim()) == {name}
        await story.queue.hand_back(ALICE)
        await run(story, [name], Succeeded())
    assert await story.state("p") == SUCCEEDED


async def test_one_after_the_other_until_one_fails(story: "Story") -> None:
    """Those behind it can't run any more."""
    await story.queue.submit([in_turn(1000)])
    await run(story, ["p:0"], FAILS)
    assert await summary(story) == ArraySummary(1000, 0, 0, 0, 1000, 0)
    child = await story.queue.job(JobId("p:7"))
    assert (child.state, child.reason) == (FAILED, "dependency p:0 FAILED: exit code 3")


async def test_arrays_and_dependencies(story: "Story") -> None:
    """An array waits as a whole; others wait for all of it, or for one child."""
    await story.submit("a")
    on_all = Job(id=JobId("z"), task_definition="t", depends_on=(Dependency(job=P),))
    on_one = Job(id=JobId("y"), task_definition="t", depends_on=(Dependency(job=JobId("p:1")),))
    await story.queue.submit([array(2, depends_on=(Dependency(job=JobId("a")),)), on_all, on_one])
    assert set(await story.claim()) == {"a"}
    await story.queue.hand_back(ALICE)
    assert (await story.queue.job(JobId("p:0"))).reason == "waits with its array"
    await run(story, ["a"], Succeeded())
    await run(story, ["p:1"], Succeeded())
    assert [await story.state(i) for i in "yz"] == [JobState.RUNNABLE, JobState.PENDING]
    late = Job(id=JobId("late"), task_definition="t", depends_on=on_one.depends_on)
    await story.queue.submit([late])
    assert await story.state("late") == JobState.RUNNABLE
    await run(story, ["p:0"], Succeeded())
    assert await story.state("z") == JobState.RUNNABLE


async def test_an_array_whose_dependency_fails(story: "Story") -> None:
    """All its children fail with it."""
    await story.submit("a")
    await story.queue.submit([array(50, depends_on=(Dependency(job=JobId("a")),))])
    await run(story, ["a"], FAILS)
    record = await story.queue.job(P)
    assert (record.state, record.reason) == (FAILED, "dependency a FAILED: exit code 3")
    assert await story.state("p:49") == FAILED


async def test_what_is_given_back_is_claimed_again(story: "Story") -> None:
    """Handed-out children survive their owner like any job."""
    await story.queue.submit([array(3)])
    claims = await story.claim(count=2)
    release = Release(JobId("p:0"), claims["p:0"].epoch, "no room", 0)
    await story.queue.release(ALICE, [release])
    await story.queue.hand_back(ALICE)
    assert set(await story.claim(count=10)) == {"p:0", "p:1", "p:2"}


async def test_a_childs_id_is_not_free(story: "Story") -> None:
    """Nor is the array's document any other than the one it came with."""
    assert await story.queue.submit([array(3)]) == (Accepted(P),)
    assert await story.queue.submit([array(3)]) == (Duplicate(P),)
    assert await story.queue.submit([array(4)]) == (Conflict(P),)
    child, beyond = (Job(id=JobId(f"p:{i}"), task_definition="t") for i in (1, 3))
    assert await story.queue.submit([child, beyond]) == (Conflict(child.id), Accepted(beyond.id))


async def test_a_million_children_cost_next_to_nothing(story: "Story") -> None:
    """While they wait, and after they ended together."""
    await story.queue.submit([array(1_000_000)])
    assert await keys(story) == {"doc:p", "job:p", "epoch"} - ({"epoch"})


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"array_size": 1}, "array_size: .* 2, got 1"),
        ({"array_size": 1_000_001}, "array_size: .* 1000000"),
        ({"array_index": 1}, "array_index: is set by the queue"),
        (
            {"depends_on": [{"type": "SEQUENTIAL"}]},
            "SEQUENTIAL is for arrays; array_size is missing",
        ),
        ({"array_size": 2, "depends_on": [{"type": "SEQUENTIAL", "job": "a"}]}, "names none"),
        ({"array_size": 2, "id": "x" * 121}, "id: 121 characters"),
    ],
)
def test_arrays_are_checked(members: dict[str, Any], problem: str) -> None:
    """What can be seen in the document is refused with it."""
    with pytest.raises(InvalidJob, match=problem):
        parse_job(json.dumps({"id": "x", "task_definition": "t", **members}))


async def test_children_are_listed_one_by_one(story: "Story") -> None:
    """By state, in the order of their index, with why they ended; a page at a time."""
    await story.queue.submit([array(20_000)])
    await start(story, "p:0", "p:1", "p:2")
    await run(story, ["p:3"], Succeeded())
    await run(story, ["p:4"], FAILS)
    await story.queue.cancel([JobId("p:19999")], "not needed")
    look = partial(look_at_children, story.queue.run, P)
    everyone = await look(limit=5)
    assert [str(each.state) for each in everyone.found] == [*["STARTING"] * 3, SUCCEEDED, FAILED]
    assert everyone.go_on_at == 5
    (failed,) = (await look(FAILED, limit=5)).found
    assert (failed.id, failed.index, failed.exit_code, failed.reason) == (
        "p:4",
        4,
        3,
        "exit code 3",
    )
    cancelled = await look(CANCELLED, limit=1)
    assert [(each.index, each.reason) for each in cancelled.found] == [(19_999, "not needed")]
    assert cancelled.go_on_at is None
    waiting = await look(JobState.RUNNABLE, limit=2, offset=9_000)
    assert [each.index for each in waiting.found] == [9000, 9001]
    assert await look(limit=1, offset=10**6) == Children((), None)
    with pytest.raises(UnknownJob, match="no array 'ghost'"):
        await look_at_children(story.queue.run, JobId("ghost"), limit=1)


async def test_an_array_leaves_other_jobs_their_ids(story: "Story") -> None:
    """One whose child would have the id of a job is refused, also when both come together; it would
    take that job's place while its task runs."""
    await story.submit("p:2")
    task = await story.run("p:2")
    assert await story.queue.submit([array(3)]) == (Conflict(P),)
    answers = await story.queue.submit([Job(id=JobId("q:0"), task_definition="t"), array(2, "q")])
    assert answers == (Accepted(JobId("q:0")), Conflict(JobId("q")))
    with pytest.raises(InvalidGraph, match="under these ids before: p; nothing was submitted"):
        await story.queue.submit_graph([array(3)])
    await story.redis.xadd(inbox_key(), {"job": '{"id":"p","task_definition":"t","array_size":3}'})
    assert (await story.queue.admit(ALICE)).dead == 1
    (letter,) = await story.queue.dead_letters()
    assert letter.reason == (
        'id: "p:2", which would be a child of "p", is a job; choose another id'
    )
    assert await story.queue.submit([array(2)]) == (Accepted(P),)
    assert await story.queue.finish(task, Succeeded()) == SUCCEEDED
    assert await story.state("p:2") == SUCCEEDED


async def all_but(story: "Story", first: int) -> None:
    """Cancel the children before this one."""
    await story.queue.cancel([JobId(f"p:{index}") for index in range(first)])


async def failed(story: "Story", array_id: str = "p") -> dict[str, str]:
    look = look_at_children(story.queue.run, JobId(array_id), FAILED, limit=10)
    return {each.id: each.reason for each in (await look).found}


async def test_a_late_child_leaves_a_job_its_id(story: "Story") -> None:
    """The first 1,000 are looked up as the array comes; a later one ends when its turn comes, and
    the job of that id, its task and who waits for it go on."""
    await story.submit("p:1001")
    task = await story.run("p:1001")
    on = (Dependency(job=JobId("p:1001")),)
    followers = array(1003, "q", depends_on=(Dependency(job=P, type="N_TO_N"),))
    waits = Job(id=JobId("w"), task_definition="t", depends_on=on)
    await story.queue.submit([waits, array(1003), followers])
    await all_but(story, 999)
    others = {"p:999", "p:1000", "p:1002"}
    assert set(await story.claim()) == others
    await story.queue.hand_back(ALICE)
    assert await failed(story) == {"p:1001": "its id is that of another job"}
    assert [await story.state(each) for each in ("p:1001", "w")] == ["RUNNING", "PENDING"]
    assert await story.queue.finish(task, Succeeded()) == SUCCEEDED
    await run(story, sorted(others), Succeeded())
    reason = "1 of 1003 children FAILED; the first: p:1001: its id is that of another job"
    assert (await story.queue.job(P)).reason == reason
    assert set(await story.claim()) == {"w", "q:999", "q:1000", "q:1002"}


async def test_a_late_child_whose_id_is_taken_stops_those_in_turn(story: "Story") -> None:
    """As any that fails; the array ends where there is nothing else of it."""
    await story.submit("p:1000")
    await story.run("p:1000")
    await story.queue.submit([in_turn(1002)])
    await all_but(story, 998)
    for index in (998, 999):
        await run(story, [f"p:{index}"], Succeeded())
    assert await story.claim() == {}
    assert await failed(story) == {
        "p:1000": "its id is that of another job",
        "p:1001": "dependency p:1000 FAILED: its id is that of another job",
    }
    assert [await story.state(each) for each in ("p:1000", "p")] == ["RUNNING", "FAILED"]
    assert not {key for key in await keys(story) if key.startswith(("alive", "ready"))}


async def test_as_many_late_children_are_looked_at_as_are_asked_for(story: "Story") -> None:
    """A claim among very many ids that are taken takes no longer than any other."""
    await story.submit(*(f"p:{index}" for index in range(1000, 1005)))
    await start(story, *(f"p:{index}" for index in range(1000, 1005)))
    await story.queue.submit([array(1006)])
    await all_but(story, 1000)
    assert await story.claim(count=3) == {}
    assert len(await failed(story)) == 3
    assert set(await story.claim(count=3)) == {"p:1005"}
    assert len(await failed(story)) == 5


async def test_children_that_are_handed_out_once_more(story: "Story") -> None:
    """After a script that failed half-way the array may not know of them; their ids are theirs."""
    await story.queue.submit([array(3)])
    assert len(await story.claim()) == 3
    await story.queue.hand_back(ALICE)
    await story.redis.delete("{q:default}:ready")
    await story.redis.hset("{q:default}:job:p", mapping={"s": "RUNNABLE", "I": "0"})
    await story.redis.zadd("{q:default}:ready", {"p": 1})
    assert set(await story.claim()) == {"p:0", "p:1", "p:2"}
    assert await failed(story) == {}
