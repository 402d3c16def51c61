"""Stories of whole graphs: submitted as one, or not at all."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from ecs_queue import graph, producing, staging
from ecs_queue.client import Queue
from ecs_queue.errors import InvalidGraph
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.states import Accepted, Duplicate, JobState, OwnerId

if TYPE_CHECKING:
    import redis.asyncio
    from tests.queue.conftest import Story

BOB = OwnerId("bob")


def job(job_id: str, *after: str, priority: int = 0) -> Job:
    on = tuple(Dependency(job=JobId(name)) for name in after)
    return Job(id=JobId(job_id), task_definition="t", depends_on=on, priority=priority)


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


def test_layers() -> None:
    """Each generation depends on earlier ones only."""
    assert graph.layers(graph.of_jobs(DIAMOND)) == [["start"], ["left", "right"], ["end"]]
