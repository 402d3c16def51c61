"""Stories of arrays that follow one another, child by child (N_TO_N)."""

import json
from typing import TYPE_CHECKING

import pytest

from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.gang import Gang, GangId
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.states import (
    ArraySummary,
    Cancelled,
    JobState,
    OwnerId,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)
from ecs_queue.submissions import Accepted, Unequal

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE = OwnerId("alice")
FAILS = TaskFailed("exit code 3", 3)
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def array(job_id: str, size: int, follows: str = "", *after: str) -> Job:
    on = [Dependency(job=JobId(name)) for name in after]
    if follows:
        on.append(Dependency(job=JobId(follows), type="N_TO_N"))
    return Job(id=JobId(job_id), task_definition="t", array_size=size, depends_on=tuple(on))


async def claimed(story: "Story") -> set[str]:
    found = set(await story.claim(count=100))
    await story.queue.hand_back(ALICE)
    return found


async def run(story: "Story", job_id: str, verdict: Verdict) -> None:
    claims = await story.claim(count=100)
    token = await story.intend(claims[job_id])
    task = TaskArn(f"task-of-{token}")
    await story.queue.settle(token, [Started(JobId(job_id), task, None)])
    await story.queue.hand_back(ALICE)
    await story.queue.finish(task, verdict)


async def summary(story: "Story", job_id: str) -> ArraySummary | None:
    return (await story.queue.job(JobId(job_id))).array


async def test_each_child_waits_for_its_counterpart(story: "Story") -> None:
    """In whatever order they end."""
    await story.queue.submit([array("p", 3), array("q", 3, "p")])
    record = await story.queue.job(JobId("q"))
    assert (record.state, record.reason) == (JobState.PENDING, "waits for children of p")
    assert await claimed(story) == {"p:0", "p:1", "p:2"}
    await run(story, "p:2", Succeeded())
    assert await claimed(story) == {"p:0", "p:1", "q:2"}
    await run(story, "q:2", Succeeded())
    await run(story, "p:0", Succeeded())
    await run(story, "p:1", Succeeded())
    assert await story.state("p") == SUCCEEDED
    assert await claimed(story) == {"q:0", "q:1"}
    await run(story, "q:0", Succeeded())
    await run(story, "q:1", Succeeded())
    assert await story.state("q") == SUCCEEDED


async def test_a_failed_child_fails_its_counterparts(story: "Story") -> None:
    """All the way down, and only those."""
    await story.queue.submit([array("p", 2), array("q", 2, "p"), array("r", 2, "q")])
    await run(story, "p:1", FAILS)
    for name in ("q:1", "r:1"):
        record = await story.queue.job(JobId(name))
        assert (record.state, record.reason) == (FAILED, "dependency p:1 FAILED: exit code 3")
    for name in ("p:0", "q:0", "r:0"):
        assert await claimed(story) == {name}
        await run(story, name, Succeeded())
    assert await summary(story, "r") == ArraySummary(2, 0, 0, 1, 1, 0)
    assert [await story.state(name) for name in "pqr"] == [FAILED] * 3


async def test_a_cancelled_array_takes_its_followers_along(story: "Story") -> None:
    """What has begun there goes on; what has not never will."""
    await story.queue.submit([array("p", 10), array("q", 10, "p"), array("r", 10, "q")])
    await run(story, "p:3", Succeeded())
    assert "q:3" in await claimed(story)
    await story.queue.cancel([JobId("p")], "enough")
    assert await summary(story, "p") == ArraySummary(10, 0, 0, 1, 0, 9)
    assert await summary(story, "q") == ArraySummary(10, 0, 1, 0, 9, 0)
    assert (await story.queue.job(JobId("r:9"))).reason == "dependency p:9 CANCELLED: enough"
    await run(story, "q:3", Succeeded())
    assert await claimed(story) == {"r:3"}
    await run(story, "r:3", Succeeded())
    assert [await story.state(name) for name in "qr"] == [FAILED, FAILED]


async def test_followers_of_an_array_nobody_began(story: "Story") -> None:
    """They end with it, however large."""
    sizes = {"p": 999_999, "q": 999_999, "r": 999_999}
    leaders = {"p": "", "q": "p", "r": "q"}
    await story.queue.submit([array(name, size, leaders[name]) for name, size in sizes.items()])
    await story.queue.cancel([JobId("p")], "enough")
    record = await story.queue.job(JobId("r"))
    assert (record.state, record.array) == (FAILED, ArraySummary(999_999, 0, 0, 0, 999_999, 0))
    assert (await story.queue.job(JobId("r:7"))).reason == "dependency p CANCELLED: enough"


async def test_a_follower_that_comes_late(story: "Story") -> None:
    """Counterparts that ended already count at once, also when the whole array has ended."""
    await story.queue.submit([array("p", 9)])
    await run(story, "p:8", Succeeded())
    await run(story, "p:1", FAILS)
    await story.queue.submit([array("q", 9, "p")])
    assert "q:8" in await claimed(story)
    assert await story.state("q:1") == FAILED
    await story.queue.cancel([JobId("p")])
    await story.queue.submit([array("r", 9, "p")])
    assert "r:8" in await claimed(story)
    assert await summary(story, "r") == ArraySummary(9, 0, 1, 0, 8, 0)


async def test_other_dependencies_come_first(story: "Story") -> None:
    """Free children wait for what the array as a whole waits for."""
    await story.submit("a")
    await story.queue.submit([array("p", 2), array("q", 2, "p", "a")])
    await run(story, "p:0", Succeeded())
    assert await claimed(story) == {"a", "p:1"}
    await run(story, "a", Succeeded())
    assert await claimed(story) == {"q:0", "p:1"}


async def test_single_children_of_both_can_be_cancelled(story: "Story") -> None:
    """A cancelled counterpart did not succeed; a cancelled follower is skipped."""
    await story.queue.submit([array("p", 3), array("q", 3, "p")])
    await story.queue.cancel([JobId("p:0"), JobId("q:1")])
    assert [await story.state(f"q:{i}") for i in range(2)] == [FAILED, CANCELLED]
    await claimed(story)
    await run(story, "p:1", Succeeded())
    await run(story, "p:2", Succeeded())
    assert await claimed(story) == {"q:2"}


@pytest.mark.parametrize(("leader", "has"), [("plain", 0), ("plain-too", 0), ("other", 5)])
async def test_an_array_of_another_size_is_not_followed(
    story: "Story", leader: str, has: int
) -> None:
    """What the queue knows already is said at once, with both sizes; nothing is submitted."""
    await story.submit("plain")
    plain, other = Job(id=JobId("plain-too"), task_definition="t"), array("other", 5)
    *_, answer = await story.queue.submit([plain, other, array("q", 4, leader)])
    assert answer == Unequal(JobId("q"), leader=JobId(leader), has=has, wants=4)
    assert str(answer) == f"N_TO_N: {leader} has {has or 'no'} children, not 4"
    assert await story.queue.states([JobId("q")]) == {}
    assert await story.queue.submit([array("q", 5, "other")]) == (Accepted(JobId("q")),)


async def test_the_inbox_refuses_it_too(story: "Story") -> None:
    """It becomes a dead letter that says the same; others of the batch keep their own answers."""
    waits = Job(id=JobId("y"), task_definition="t", depends_on=(Dependency(job=JobId("x")),))
    await story.queue.submit([array("other", 5), waits])
    closing = {"id": "x", "depends_on": [{"job": "y"}]}
    follower = {"id": "q", "array_size": 4, "depends_on": [{"job": "other", "type": "N_TO_N"}]}
    for document in (follower, closing):
        text = json.dumps(document | {"task_definition": "t"})
        await story.redis.xadd(inbox_key(), {"job": text})
    assert (await story.queue.admit(ALICE)).dead == 2
    second, first = await story.queue.dead_letters()
    assert first.reason == "depends_on: N_TO_N: other has 5 children, not 4"
    assert second.reason == "depends_on: the job would wait for itself: x -> y -> x"


async def test_an_array_that_is_not_there_cannot_be_followed(story: "Story") -> None:
    """The follower is FAILED with the reason."""
    await story.queue.submit([array("q", 4, "nowhere")])
    record = await story.queue.job(JobId("q"))
    reason = "N_TO_N: nowhere is no array of 4 in the queue"
    assert (record.state, record.reason) == (FAILED, reason)


async def test_nothing_is_left_of_followers(story: "Story") -> None:
    """No list, set or bitmap without an end, once all have ended."""
    await story.queue.submit([array("p", 2), array("q", 2, "p")])
    await run(story, "p:0", Succeeded())
    await story.queue.cancel([JobId("p"), JobId("q")])
    for pattern in ("*free:*", "*followers:*", "*alive:*", "*bits:unborn*", "*bits:lost*"):
        assert [key async for key in story.redis.scan_iter(match=pattern)] == []
    assert await story.redis.scard("{q:default}:arrays") == 0


def test_what_can_be_seen_in_the_document() -> None:
    """N_TO_N is for arrays, and for one other array."""
    for size, kinds in ((None, ["N_TO_N"]), (2, ["N_TO_N", "SEQUENTIAL"])):
        on = [{"type": kind} | ({"job": "p"} if kind == "N_TO_N" else {}) for kind in kinds]
        document = {"id": "q", "task_definition": "t", "depends_on": on}
        with pytest.raises(InvalidJob, match="N_TO_N"):
            parse_job(json.dumps(document | ({"array_size": size} if size else {})))


@pytest.mark.parametrize(("cancelled", "y_waits_for"), [("film:1", "film:1"), ("film", "copy")])
async def test_an_end_that_comes_back_to_the_array_by_way_of_a_gang(
    story: "Story", cancelled: str, y_waits_for: str
) -> None:
    """Its follower or child ends y, y's gang ends x, for whom the array waited: it ends once."""
    gang = Gang(id=GangId("g"), size=2)
    y_on = (Dependency(job=JobId(y_waits_for)),)
    await story.queue.submit(
        [
            Job(id=JobId("x"), task_definition="t", gang=gang),
            Job(id=JobId("y"), task_definition="t", gang=gang, depends_on=y_on),
            array("film", 3, "", "x"),
            array("copy", 3, "film"),
        ]
    )
    assert await story.queue.cancel([JobId(cancelled)]) == (Cancelled(JobId(cancelled)),)
    ends = [each.job_id for each in await story.queue.events() if each.state.terminal]
    assert sorted(ends) == sorted({"x", "y", "film", "copy", cancelled})
