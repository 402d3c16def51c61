"""Submitting a graph: all that is wrong with it is found first, then one script submits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_queue import graph, producing, staging
from ecs_queue.errors import InvalidGraph, UnknownJob
from ecs_queue.states import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecs_queue.client import Queue
    from ecs_queue.job import Job, JobId
    from ecs_queue.states import Accepted, Duplicate

MOST_SEARCHED = 10_000


async def submit_graph(
    queue: Queue, jobs: Sequence[Job], boost: int
) -> tuple[Accepted | Duplicate, ...]:
    """All of the jobs or none. Raises InvalidGraph as `Queue.submit_graph` does."""
    problems: list[str] = []
    try:
        ordered = graph.ordered(jobs, boost)
    except InvalidGraph as error:
        problems.append(str(error))
        ordered = list(jobs)
    outside = graph.outside(ordered)
    states = await queue.states(outside)
    problems += graph.unknown(outside, states)
    token, answers = queue.new_token(), ""
    for batch in producing.batches(ordered):
        answers += await queue.run(staging.stage(token, len(answers), batch))
    problems += graph.taken(ordered, answers)
    waiting = [job_id for job_id, state in states.items() if state is JobState.PENDING]
    if "W" in answers and waiting and not problems:
        problems += graph.cycles(graph.of_jobs([*ordered, *await _before(queue, waiting)]))
    if problems:
        await queue.run(staging.abandon(token))
        raise InvalidGraph(f"{'; '.join(problems)}; nothing was submitted")
    await queue.run(staging.commit(token))
    while await queue.run(staging.take_in(queue.new_token())):
        pass
    return graph.submissions(jobs, ordered, answers)


async def _before(queue: Queue, waiting: Sequence[JobId]) -> list[Job]:
    """These PENDING jobs of the queue, and those that they wait for."""
    found: dict[JobId, Job] = {}
    unseen = list(waiting)
    while unseen and len(found) < MOST_SEARCHED:
        try:
            record = await queue.job(unseen.pop())
        except UnknownJob:
            continue
        if record.state is JobState.PENDING:
            found[record.job.id] = record.job
            unseen += [on.job for on in record.job.depends_on if on.job and on.job not in found]
    return list(found.values())
