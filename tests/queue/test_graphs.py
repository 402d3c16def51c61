"""Stories of whole graphs: submitted as one, or not at all."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue import graph, producing, staging
from ecs_queue.client import Queue
from ecs_queue.errors import InvalidGraph
from ecs_queue.graph_submitting import submit_graph
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.script import Command, QueueSettings
from ecs_queue.states import JobState, OwnerId
from ecs_queue.submissions import Accepted, Duplicate

if TYPE_CHECKING:
    import redis.asyncio
    from tests.queue.conftest import Story

BOB = OwnerId("bob")


def job(job_id: str, *after: str, priority: int = 0, size: int | None = None) -> Job:
    """A job; a name behind N_TO_N: is that of an array to follow child by child."""
    on = tuple(
        Dependency(job=JobId(name.removeprefix("N_TO_N:")), type="N_TO_N")
        if name.startswith("N_TO_N:")
        else Dependency(job=JobId(name))
        for name in after
    )
    return Job(
        id=JobId(job_id), task_definition="t", depends_on=on, priority=priority, array_size=size
    )


DIAMOND = [job("end", "left", "right"), job("left", "start"), job("right", "start"), job("start")]


async def test_a_graph_in_any_order(story: "Story") -> None:
    """What can run is RUNNABLE, the rest PENDING; submitting it again changes nothing."""
    assert await story.queue.submit_graph(DIAMOND) == tuple(Accepted(j.id) for j in DIAMOND)
    assert set(await story.claim()) == {"start"}
    assert (await story.queue.counts())[JobState.PENDING] == 3
    assert await story.queue.submit_graph(DIAMOND) == tuple(Duplicate(j.id) for j in DIAMOND)
    assert await story.total() == 4


async def test_a_cycle_is_printed(story: "Story") -> None:
    """Nothing of the graph is submitted."""
    with pytest.raises(InvalidGraph, match=r"each for the next: (a -> b -> c|b -> c -> a|c -> a)"):
        await story.queue.submit_graph([job("a", "b"), job("b", "c"), job("c", "a"), job("d")])
    assert await story.total() == 0


async def test_a_child_of_an_array_counts_as_part_of_it(story: "Story") -> None:
    """A job of the graph may wait for one child, in any order; not in a circle."""
    await story.queue.submit_graph([job("end", "film:2"), job("film", size=3)])
    record = await story.queue.job(JobId("end"))
    assert record.reason == "waits for 1 of 1 dependencies: film:2 (RUNNABLE)"
    with pytest.raises(InvalidGraph, match=r"a -> reel -> a|reel -> a -> reel"):
        await story.queue.submit_graph([job("reel", "a", size=2), job("a", "reel:1")])
    with pytest.raises(InvalidGraph, match=r"nor in the queue: tape:2; nothing"):
        await story.queue.submit_graph([job("tape", size=2), job("a", "tape:2")])
    assert await story.total() == 2


async def test_everything_that_is_wrong_is_said_at_once(story: "Story") -> None:
    """Nobody has to submit a file again for each of its faults."""
    await story.submit("d", priority=7)
    wrong = [
        *(job("a", "b"), job("b", "a"), job("p", "q"), job("q", "p")),
        *(job("c", "x"), job("d"), job("e"), job("e", priority=1)),
        *(
            job("three", size=3),
            job("four", "N_TO_N:three", size=4),
            job("two", "N_TO_N:c", size=2),
        ),
    ]
    with pytest.raises(InvalidGraph) as refusal:
        await story.queue.submit_graph(wrong)
    said = str(refusal.value).split("; ")
    assert [each for each in said if "wait for one another" not in each] == [
        "two different jobs have the id e",
        "four: N_TO_N: three has 3 children, not 4",
        "two: N_TO_N: c has no children, not 2",
        "depends_on: neither among these jobs nor in the queue: x",
        "other jobs were submitted under these ids before: d",
        "nothing was submitted",
    ]
    assert len(said) == 6 + 2
    assert await story.total() == 1


async def test_arrays_of_the_queue_are_followed_if_they_are_as_large(story: "Story") -> None:
    """As those of the graph itself; otherwise nothing is submitted."""
    await story.submit("plain")
    await story.queue.submit([job("film", size=3)])
    wrong = [job("x"), job("a", "N_TO_N:film", size=4), job("b", "N_TO_N:plain", size=2)]
    wrong.append(job("c", "N_TO_N:film:1", size=3))
    refusal = (
        "a: N_TO_N: film has 3 children, not 4; b: N_TO_N: plain has no children, not 2; "
        "c: N_TO_N: film:1 has no children, not 3; nothing"
    )
    with pytest.raises(InvalidGraph, match=refusal):
        await story.queue.submit_graph(wrong)
    assert await story.total() == 2
    await story.queue.submit_graph([job("x"), job("a", "N_TO_N:film", "x", size=3)])
    assert await story.state("a") == JobState.PENDING


async def test_an_array_that_is_forgotten_while_the_graph_is_looked_at(story: "Story") -> None:
    """It counts as one that is not in the queue."""
    story.queue = Queue(story.redis, now_ms=story.clock, settings=QueueSettings(ended_kept=1))
    await story.queue.submit([job("film", size=3), job("other")])
    await story.queue.cancel([JobId("film")])

    async def run(command: Command[Any]) -> Any:
        answer = await story.queue.run(command)
        if command.script == "states":
            await story.queue.cancel([JobId("other")])
        return answer

    with pytest.raises(InvalidGraph, match="nor in the queue: film; nothing was submitted"):
        await submit_graph(run, lambda: "token", [job("copy", "N_TO_N:film", size=3)], 0)
    assert await story.total() == 1


async def test_a_circle_through_the_queue_is_refused(story: "Story") -> None:
    """A job that waits there for one of the graph, which waits for it: by id, or for a child."""
    await story.queue.submit([job("there", "here"), job("also", "film:1")])
    for graphed in ([job("here", "b"), job("b", "there")], [job("film", "also", size=2)]):
        with pytest.raises(InvalidGraph, match="wait for one another"):
            await story.queue.submit_graph(graphed)
    assert await story.queue.dead_letters() == ()
    await story.queue.submit_graph([job("here"), job("b", "there"), job("film", "here", size=2)])
    assert (await story.queue.counts())[JobState.PENDING] == 4


async def test_what_waits_in_the_queue_may_stand_in_the_graph_again(story: "Story") -> None:
    """With its payload, which the queue keeps apart from the document that is compared."""
    again = job("x", "q").model_copy(update={"payload": {"frames": 3}})
    await story.queue.submit([job("q"), again, job("w", "x")])
    answers = await story.queue.submit_graph([again, job("z", "w", size=3)])
    assert answers == (Duplicate(JobId("x")), Accepted(JobId("z")))


async def test_unknown_dependencies_are_refused(story: "Story") -> None:
    """Unless the queue has them."""
    with pytest.raises(InvalidGraph, match="neither among these jobs nor in the queue: x"):
        await story.queue.submit_graph([job("a"), job("b", "a", "x")])
    assert await story.total() == 0
    await story.submit("x")
    await story.queue.submit_graph([job("a"), job("b", "a", "x")])
    assert await story.state("b") == JobState.PENDING


async def test_one_taken_id_refuses_them_all(story: "Story") -> None:
    """Also where the id is found in the last part; what was laid down before it is gone."""
    await story.submit("j700")
    with pytest.raises(InvalidGraph, match="under these ids before: j700; nothing was submitted"):
        await story.queue.submit_graph([job(f"j{i}") for i in range(701)])
    assert await story.total() == 1
    assert [key async for key in story.redis.scan_iter(match="*graph*")] == []


async def test_an_id_of_a_child_of_an_array(story: "Story") -> None:
    """Whether the array is one of the graph or the queue; what is beyond its children is free."""
    await story.queue.submit([job("film", size=3)])
    right = [job("ar", size=5000), job("ar:5000")]
    wrong = [*right, job("ar:4999"), job("ar:3", "ar:4"), job("film:1")]
    refusal = (
        "these are ids of children of arrays among these jobs: ar:4999, ar:3; "
        "other jobs were submitted under these ids before: film:1; nothing was submitted"
    )
    with pytest.raises(InvalidGraph, match=refusal):
        await story.queue.submit_graph(wrong)
    assert await story.total() == 1
    await story.queue.submit_graph([*right, job("film:3")])
    assert await story.queue.dead_letters() == ()


async def test_two_different_jobs_of_one_id(story: "Story") -> None:
    """A graph can't hold both."""
    with pytest.raises(InvalidGraph, match="two different jobs have the id a"):
        await story.queue.submit_graph([job("a"), job("a", priority=1)])


async def test_a_producer_that_dies_before_the_end_submits_nothing(
    story: "Story", client: "redis.asyncio.Redis"
) -> None:
    """What it laid down is no job, and vanishes within the hour."""
    (batch,) = producing.batches(graph.ordered(DIAMOND))
    await story.queue.run(staging.stage("token", 0, batch))
    assert await story.total() == 0
    await story.queue.admit(BOB)
    assert await story.total() == 0
    assert 0 < await client.ttl("{q:default}:graph:token") <= 3600


async def test_a_producer_that_dies_after_submitting(story: "Story") -> None:
    """The graph is SUBMITTED as a whole, and the next scheduler takes it in."""
    jobs = [job("j0"), *(job(f"j{i}", "j0") for i in range(1, 1200))]
    laid_down = 0
    for batch in producing.batches(graph.ordered(jobs)):
        await story.queue.run(staging.stage("token", laid_down, batch))
        laid_down += len(batch)
    await story.queue.run(staging.commit("token"))
    assert (await story.queue.counts())[JobState.SUBMITTED] == 1200
    for _ in range(3):
        await story.queue.admit(BOB)
    counts = await story.queue.counts()
    assert [counts[state] for state in (JobState.SUBMITTED, JobState.PENDING)] == [0, 1199]


async def test_an_id_taken_in_between_is_a_dead_letter(story: "Story") -> None:
    """Somebody else was faster after the check: the document is kept, and the rest goes on."""
    (batch,) = producing.batches([job("a"), job("b")])
    await story.queue.run(staging.stage("token", 0, batch))
    await story.submit("a")
    await story.queue.run(staging.commit("token"))
    await story.queue.admit(BOB)
    (letter,) = await story.queue.dead_letters()
    assert letter.document == '{"id":"a","task_definition":"t"}'
    assert await story.total() == 2


async def test_two_producers_and_two_schedulers_at_once(story: "Story") -> None:
    """Parts of graphs are taken in once, whoever comes first."""
    graphs = [[job(f"{g}0"), *(job(f"{g}{i}", f"{g}0") for i in range(1, 600))] for g in "ab"]
    await asyncio.gather(
        *(story.queue.submit_graph(each) for each in graphs),
        *(story.queue.admit(BOB) for _ in range(4)),
    )
    counts = await story.queue.counts()
    assert counts[JobState.RUNNABLE] == 2
    assert counts[JobState.PENDING] == 1198
    assert await story.queue.dead_letters() == ()


async def test_the_longest_way_first(queue: Queue) -> None:
    """With a boost, the jobs that everything waits for go before others."""
    jobs = [job("short"), job("a"), job("b", "a"), job("c", "b", priority=999)]
    await queue.submit_graph(jobs, boost=10)
    priorities = {j.id: (await queue.job(j.id)).job.priority for j in jobs}
    assert priorities == {"short": 0, "a": 10, "b": 10, "c": 1000}
    for boost in (-1, 1001):
        with pytest.raises(ValueError, match="a priority from 0 to 1000"):
            await queue.submit_graph([job("d", "a")], boost=boost)


def test_a_job_that_waits_for_itself_is_a_circle_too() -> None:
    """An array that waits for its own child; what is refused today may lie in an old queue."""
    array = job("a", size=2)
    odd = array.model_copy(update={"depends_on": (Dependency(job=JobId("a:1")),)})
    with pytest.raises(InvalidGraph, match="each for the next: a -> a"):
        graph.ordered([odd])


def test_of_a_long_circle_both_ends_are_shown() -> None:
    """A message of a thousand ids helps nobody; where it begins says the order of the jobs."""
    circle = [job(f"j{number}", f"j{(number + 1) % 1000}") for number in range(1000)]
    with pytest.raises(InvalidGraph) as refusal:
        graph.ordered(circle)
    way = str(refusal.value).removeprefix("the jobs wait for one another, each for the next: ")
    ids = way.split(" -> ")
    assert (len(ids), ids[0], ids[20]) == (41, ids[-1], "(961 more)")


def test_layers() -> None:
    """Each generation depends on earlier ones only."""
    assert graph.layers(graph.of_jobs(DIAMOND)) == [["start"], ["left", "right"], ["end"]]
