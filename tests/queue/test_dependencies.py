"""Stories of jobs that wait for other jobs."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.script import QueueSettings
from ecs_queue.states import JobState, OwnerId, Succeeded, TaskFailed, Verdict
from ecs_queue.submissions import Accepted, Circular

if TYPE_CHECKING:
    from tests.queue.conftest import Story

    from ecs_queue.embedded import EmbeddedValkey

ALICE = OwnerId("alice")
PENDING, RUNNABLE = JobState.PENDING, JobState.RUNNABLE
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def after(job_id: str, *names: str, kind: Any = "afterok", **members: Any) -> Job:
    """A job that depends on these."""
    on = tuple(Dependency(job=JobId(name), type=kind) for name in names)
    return Job(id=JobId(job_id), task_definition="sleep:1", depends_on=on, **members)


async def end(story: "Story", job_id: str, verdict: Verdict) -> None:
    await story.queue.finish(await story.run(job_id), verdict)


async def test_a_job_waits_until_its_dependency_succeeded(story: "Story") -> None:
    """PENDING with a reason, never claimed, then RUNNABLE from the moment of release."""
    await story.queue.submit([after("a"), after("b", "a")])
    record = await story.queue.job(JobId("b"))
    assert (record.state, record.reason) == (PENDING, "waits for 1 of 1 dependencies: a (RUNNABLE)")
    assert set(await story.claim()) == {"a"}
    await story.queue.hand_back(ALICE)
    story.clock.advance(5000)
    await end(story, "a", Succeeded())
    record = await story.queue.job(JobId("b"))
    assert (record.state, record.runnable_at_ms) == (RUNNABLE, story.clock.ms)
    assert set(await story.claim()) == {"b"}


@pytest.mark.parametrize(
    ("kind", "verdict", "state"),
    [
        ("afterok", Succeeded(), RUNNABLE),
        ("afterok", TaskFailed("exit code 1", 1), FAILED),
        ("afterany", Succeeded(), RUNNABLE),
        ("afterany", TaskFailed("exit code 1", 1), RUNNABLE),
        ("afternotok", Succeeded(), CANCELLED),
        ("afternotok", TaskFailed("exit code 1", 1), RUNNABLE),
    ],
)
async def test_what_each_kind_waits_for(
    story: "Story", kind: str, verdict: Verdict, state: JobState
) -> None:
    """The same whether it was submitted before the dependency ended, or afterwards."""
    await story.queue.submit([after("a"), after("before", "a", kind=kind)])
    await end(story, "a", verdict)
    await story.queue.submit([after("later", "a", kind=kind)])
    assert [await story.state("before"), await story.state("later")] == [state, state]


async def test_all_dependencies_count(story: "Story") -> None:
    """Of two, the second one to end releases the job."""
    await story.queue.submit([after("a"), after("b"), after("c", "a", "b")])
    await end(story, "a", Succeeded())
    reason = (await story.queue.job(JobId("c"))).reason
    assert reason == "waits for 1 of 2 dependencies: b (RUNNABLE)"
    await end(story, "b", Succeeded())
    assert await story.state("c") == RUNNABLE


async def test_failure_goes_all_the_way_down(story: "Story") -> None:
    """Every job behind it is FAILED at once, and says which job was the cause."""
    chain = [after("j0"), *(after(f"j{i}", f"j{i - 1}") for i in range(1, 30))]
    await story.queue.submit([*chain, after("cleanup", "j29", kind="afternotok")])
    await end(story, "j0", TaskFailed("exit code 3", 3))
    last = await story.queue.job(JobId("j29"))
    assert (last.state, last.reason) == (FAILED, "dependency j0 FAILED: exit code 3")
    assert await story.state("cleanup") == RUNNABLE
    assert (await story.queue.counts())[FAILED] == 30


async def test_a_cancelled_dependency_did_not_succeed(story: "Story") -> None:
    """Its dependents fail with its reason; a PENDING job can itself be cancelled."""
    await story.queue.submit([after("a"), after("b", "a"), after("c", "b", kind="afterany")])
    await story.queue.cancel([JobId("a")], "changed my mind")
    record = await story.queue.job(JobId("b"))
    assert (record.state, record.reason) == (FAILED, "dependency a CANCELLED: changed my mind")
    assert await story.state("c") == RUNNABLE
    await story.queue.submit([after("d"), after("e", "d")])
    await story.queue.cancel([JobId("e")])
    assert await story.state("e") == CANCELLED
    await end(story, "d", Succeeded())
    assert await story.state("e") == CANCELLED


async def test_dependents_may_come_first(story: "Story") -> None:
    """Producers need not agree on an order: a job waits for one that nobody submitted yet."""
    await story.redis.xadd(
        inbox_key(), {"job": '{"id":"b","task_definition":"t","dependsOn":[{"jobId":"a"}]}'}
    )
    await story.queue.admit(ALICE)
    record = await story.queue.job(JobId("b"))
    assert record.reason == "waits for 1 of 1 dependencies: a (not in the queue)"
    await story.queue.submit([after("a")])
    await end(story, "a", Succeeded())
    assert await story.state("b") == RUNNABLE


async def test_a_circle_is_refused_where_it_closes(story: "Story") -> None:
    """The answer names the way round; what was there before stays, and can be mended."""
    answers = await story.queue.submit([after("a", "c"), after("b", "a"), after("c", "b")])
    way = tuple(map(JobId, ("c", "b", "a", "c")))
    assert answers[2] == Circular(JobId("c"), way)
    await story.redis.xadd(
        inbox_key(), {"job": '{"id":"c","task_definition":"t","depends_on":[{"job":"b"}]}'}
    )
    assert (await story.queue.admit(ALICE)).dead == 1
    (letter,) = await story.queue.dead_letters()
    assert letter.reason == "depends_on: the job would wait for itself: c -> b -> a -> c"
    assert await story.queue.submit([after("c")]) == (Accepted(JobId("c")),)
    await end(story, "c", Succeeded())
    assert await story.state("a") == RUNNABLE


async def test_a_dead_letter_shows_both_ends_of_a_long_circle(story: "Story") -> None:
    """Whoever looks at it is not shown a thousand ids."""
    await story.queue.submit([after(f"job-{i}", f"job-{i + 1}") for i in range(300)])
    closing = '{"id":"job-300","task_definition":"t","depends_on":[{"job":"job-0"}]}'
    await story.redis.xadd(inbox_key(), {"job": closing})
    await story.queue.admit(ALICE)
    (letter,) = await story.queue.dead_letters()
    way = letter.reason.removeprefix("depends_on: the job would wait for itself: ").split(" -> ")
    assert (way[:3], way[-2:]) == (["job-300", "job-0", "job-1"], ["job-299", "job-300"])
    assert "…" in way
    assert len(way) < 100


@pytest.mark.parametrize(
    ("waiting", "closing", "way"),
    [
        ([after("a", "film:1")], after("film", "a", array_size=2), "film -> a -> film"),
        ([after("film", "a", array_size=2)], after("a", "film:1"), "a -> film:1 -> a"),
        (
            [after("b", "tape:0"), after("tape", "a", array_size=2)],
            after("a", "b"),
            "a -> b -> tape:0 -> a",
        ),
        (
            [after("film", "tape:1", array_size=2)],
            after("tape", "film", kind="N_TO_N", array_size=2),
            "tape -> film -> tape",
        ),
        ([after("a", "film:4000")], after("film", "a", array_size=5000), "film -> a -> film"),
    ],
)
async def test_a_circle_through_arrays_is_refused_too(
    story: "Story", waiting: list[Job], closing: Job, way: str
) -> None:
    """A child waits for what its array waits for, so waiting for the child closes the circle."""
    await story.queue.submit(waiting)
    (answer,) = await story.queue.submit([closing])
    assert answer == Circular(closing.id, tuple(map(JobId, way.split(" -> "))))
    assert await story.total() == len(waiting)


async def test_an_array_that_nobody_waits_for_costs_no_search(valkey: "EmbeddedValkey") -> None:
    """Behind a long chain of jobs each would be followed to its beginning, in one script."""
    async with connect(valkey.url) as redis:
        await redis.flushall()
        queue = Queue(redis)
        await queue.submit([after(f"c{i}", f"c{i - 1}") for i in range(1, 500)])
        await redis.config_resetstat()
        await queue.submit([after(f"a{i}", "c499", array_size=3) for i in range(50)])
        assert (await redis.info("commandstats"))["cmdstat_get"]["calls"] < 500


async def test_a_child_that_an_array_never_has_is_not_waited_for(story: "Story") -> None:
    """As soon as the array is there, who depends on an index beyond it FAILS and is told why."""
    await story.queue.submit(
        [after("film", array_size=3), after("film:7"), after("a", "film:9"), after("b", "film:2")]
    )
    await story.queue.submit([after("c", "film:3", kind="afterany"), after("d", "film:7")])
    why = "dependency film:{}: film has only 3 children, from :0 on"
    records = [await story.queue.job(JobId(each)) for each in "abcd"]
    assert [record.state for record in records] == [FAILED, PENDING, FAILED, PENDING]
    assert [records[0].reason, records[2].reason] == [why.format(9), why.format(3)]


async def test_who_waited_for_such_a_child_hears_of_it_when_the_array_comes(story: "Story") -> None:
    """Also where the array ends at once; a plain job of that id is another matter."""
    await story.queue.submit(
        [
            after("a", "film:9"),
            after("b", "film:3", "film:1", kind="afterany"),
            after("c", "film:2"),
            after("d", "film:7"),
            after("e", "film:02"),
            after("behind", "a", kind="afternotok"),
        ]
    )
    assert await story.state("a") == PENDING
    await story.queue.submit([after("film:7"), after("film", array_size=3)])
    why = "dependency film:{}: film has only 3 children, from :0 on"
    records = {each: await story.queue.job(JobId(each)) for each in "abcde"}
    assert {each: records[each].state for each in "abcde"} == dict(
        zip("abcde", (FAILED, FAILED, PENDING, PENDING, FAILED), strict=True)
    )
    assert [records[each].reason for each in "abe"] == [why.format(n) for n in ("9", "3", "02")]
    assert await story.state("behind") == RUNNABLE


async def test_an_array_may_wait_for_who_waited_for_such_a_child(story: "Story") -> None:
    """That one ends as the array comes, and the array hears of it like of any other end."""
    await story.queue.submit([after("a", "film:9"), after("b", "tape:9")])
    await story.queue.submit([after("film", "a", array_size=3)])
    await story.queue.submit([after("tape", "b", array_size=3, kind="afternotok")])
    why = "dependency film:9: film has only 3 children, from :0 on"
    records = [await story.queue.job(JobId(each)) for each in ("a", "film")]
    assert [(each.state, each.reason) for each in records] == [(FAILED, why), (FAILED, why)]
    assert await story.state("tape") == RUNNABLE


@pytest.mark.parametrize("first", ["who waits", "the array"])
@pytest.mark.parametrize(
    ("on", "state"),
    [([], CANCELLED), (["lost"], FAILED), (["SEQUENTIAL"], FAILED), (["N_TO_N"], FAILED)],
)
async def test_a_child_that_never_begins_is_not_waited_for(
    story: "Story", on: list[str], state: JobState, first: str
) -> None:
    """It ends with the rest of its array, and who waits for it hears of that as of any other end;
    who waits for one that may still run goes on waiting."""
    kinds: dict[str, Any] = {
        "lost": Dependency(job=JobId("lost")),
        "SEQUENTIAL": Dependency(type="SEQUENTIAL"),
        "N_TO_N": Dependency(job=JobId("leader"), type="N_TO_N"),
    }
    film = after("film", array_size=3).model_copy(
        update={"depends_on": tuple(kinds[each] for each in on)}
    )
    waiting = [after("a", "film:2"), after("b", "film:2", "film:1", kind="afternotok")]
    await story.queue.submit([after("lost"), after("leader", array_size=3)])
    await story.queue.submit([*waiting, film] if first == "who waits" else [film, *waiting])
    assert [await story.state("a"), await story.state("b")] == [PENDING, PENDING]
    if on == ["SEQUENTIAL"]:
        await story.queue.cancel([JobId("lost"), JobId("leader")])
        await end(story, "film:0", TaskFailed("exit code 1", 1))
    elif on == ["N_TO_N"]:
        await story.queue.cancel([JobId("leader:2")])
        assert [await story.state("a"), await story.state("b")] == [FAILED, PENDING]
        await story.queue.cancel([JobId("leader")])
    else:
        await story.queue.cancel([JobId("lost" if on else "film")])
    assert await story.state("film:2") == state
    assert [await story.state("a"), await story.state("b")] == [FAILED, RUNNABLE]
    assert [key async for key in story.redis.scan_iter(match="*awaited:*")] == []


async def test_very_many_that_waited_for_such_a_child_are_told_in_parts(story: "Story") -> None:
    """As with any other end; a job that takes the id meanwhile is waited for instead."""
    await story.queue.submit([after(f"b{i}", "film:9") for i in range(5_200)])
    await story.queue.submit([after("film", array_size=3)])
    pending = (await story.queue.counts())[PENDING]
    assert 0 < pending < 5_200
    await story.queue.submit([after("film:9")])
    await story.queue.reclaim_expired()
    assert (await story.queue.counts())[PENDING] == pending
    await story.queue.cancel([JobId("film:9")])
    assert (await story.queue.counts())[PENDING] == 0


@pytest.mark.parametrize(
    ("depends_on", "problem"),
    [
        ([{"job": "x"}], "would wait for itself"),
        ([{"job": "a"}, {"job": "a", "type": "afterany"}], "a stands there twice"),
        ([{"job": "a", "type": "SOMETIMES"}], "afternotok"),
        ([{"job": "a b"}], "depends_on"),
        ([{}], "job: required"),
    ],
)
def test_dependencies_are_checked(depends_on: list[Any], problem: str) -> None:
    """What can be seen in the document itself is refused with it."""
    document = {"id": "x", "task_definition": "t", "depends_on": depends_on}
    with pytest.raises(InvalidJob, match=problem):
        parse_job(json.dumps(document))


def test_an_array_cannot_wait_for_its_own_child() -> None:
    """It would never begin; x:3 is no child of three, so that may be another job."""
    document = {"id": "x", "task_definition": "t", "array_size": 3, "depends_on": [{"job": "x:2"}]}
    with pytest.raises(InvalidJob, match=r"would wait for itself \(x:2\)"):
        parse_job(json.dumps(document))
    parse_job(json.dumps({**document, "depends_on": [{"job": "x:3"}]}))


async def test_not_before_still_holds_after_the_release(story: "Story") -> None:
    """A released job waits on for the moment it was given."""
    moment = story.clock.ms // 1000 + 60
    await story.queue.submit([after("a"), after("b", "a", not_before=moment)])
    await end(story, "a", Succeeded())
    assert await story.state("b") == RUNNABLE
    assert await story.claim() == {}
    story.clock.advance(60_000)
    assert set(await story.claim()) == {"b"}


async def test_very_many_dependents_are_told_in_parts(story: "Story") -> None:
    """No script runs for long: what one leaves over, the next claim goes on with."""
    await story.queue.submit([after("a")])
    await story.queue.submit([after(f"b{i}", "a") for i in range(5_200)])
    await end(story, "a", Succeeded())
    pending = (await story.queue.counts())[PENDING]
    assert 0 < pending < 5_200
    await story.queue.reclaim_expired()
    counts = await story.queue.counts()
    assert (counts[PENDING], counts[RUNNABLE]) == (0, 5_200)


async def test_no_number_of_dependents_is_too_large(valkey: "EmbeddedValkey") -> None:
    """A scan of what is left of them, begun anew where most are gone, finds none for long."""
    number = 30_000
    async with connect(valkey.url) as redis:
        await redis.flushall()
        queue = Queue(redis)
        await queue.submit([after("a"), *(after(f"b{i}", "a") for i in range(number))])
        await queue.cancel([JobId("a")])
        for _ in range(number // 5_000):
            await queue.reclaim_expired()
        counts = await queue.counts()
        assert (counts[PENDING], counts[FAILED]) == (0, number)


async def test_nothing_is_left_of_what_has_ended(story: "Story") -> None:
    """No key remembers who waited for whom once everybody has ended."""
    await story.queue.submit([after("a"), after("b", "a", "never"), after("c", "b")])
    await end(story, "a", TaskFailed("exit code 1", 1))
    await story.queue.submit([after("d", "film:1", "tape:7"), after("e", "tape:9", "tape:1")])
    await story.queue.submit([after("f", "music:2"), after("music:2"), after("tape", array_size=3)])
    await story.queue.cancel([JobId("f")])
    for pattern in ("*after:*", "*awaited:*"):
        assert [key async for key in story.redis.scan_iter(match=pattern)] == []
    assert await story.redis.exists("{q:default}:untold") == 0


async def test_a_dependency_that_is_kept_no_more(story: "Story") -> None:
    """It counts as one that did not come yet: who waits says so, and goes on when it does."""
    story.queue = Queue(story.redis, now_ms=story.clock, settings=QueueSettings(ended_kept=1))
    await story.queue.submit([after("a"), after("other")])
    await end(story, "a", Succeeded())
    await end(story, "other", Succeeded())
    assert await story.queue.states([JobId("a")]) == {}
    await story.queue.submit([after("late", "a")])
    record = await story.queue.job(JobId("late"))
    assert record.reason == "waits for 1 of 1 dependencies: a (not in the queue)"
    await story.queue.submit([after("a")])
    await end(story, "a", TaskFailed("exit code 1", 1))
    record = await story.queue.job(JobId("late"))
    assert (record.state, record.reason) == (FAILED, "dependency a FAILED: exit code 1")


async def test_what_a_dependency_came_to_outlives_it(story: "Story") -> None:
    """One of two has succeeded and is kept no more; the end of the other is all that is missing."""
    story.queue = Queue(story.redis, now_ms=story.clock, settings=QueueSettings(ended_kept=1))
    await story.queue.submit([after("a"), after("b"), after("c", "a", "b"), after("other")])
    await end(story, "a", Succeeded())
    await end(story, "other", Succeeded())
    assert await story.queue.states([JobId("a")]) == {}
    record = await story.queue.job(JobId("c"))
    assert record.reason == "waits for 1 of 2 dependencies: b (RUNNABLE)"
    await end(story, "b", Succeeded())
    assert await story.state("c") == RUNNABLE
