"""Submitting a graph: all that is wrong with it is found first, then one script submits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_queue import graph, listing, producing, staging
from ecs_queue.errors import InvalidGraph, InvalidJob, UnknownJob
from ecs_queue.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecs_queue.job import Job, JobId
    from ecs_queue.script import Runs
    from ecs_queue.submissions import Accepted, Duplicate

MOST_SEARCHED = 10_000


async def submit_graph(
    run: Runs, new_token: Callable[[], str], jobs: Sequence[Job], boost: int
) -> tuple[Accepted | Duplicate, ...]:
    """All of the jobs or none. Raises InvalidGraph as `Queue.submit_graph` does."""
    problems: list[str] = []
    try:
        ordered = graph.ordered(jobs, boost)
    except InvalidGraph as error:
        problems.append(str(error))
        ordered = list(jobs)
    outside = graph.outside(ordered)
    states = await listing.states_of(run, outside)
    leaders = await _leaders(run, ordered, states)
    problems += graph.unknown(outside, states)
    problems += graph.unequal(ordered, leaders)
    token, answers = new_token(), ""
    for batch in producing.batches(ordered):
        answers += await run(staging.stage(token, len(answers), batch))
    problems += graph.taken(ordered, answers)
    waiting = [job_id for job_id, state in states.items() if state is JobState.PENDING]
    if "W" in answers and waiting and not problems:
        problems += await _circles(run, ordered, waiting)
    if problems:
        await run(staging.abandon(token))
        raise InvalidGraph(f"{'; '.join(problems)}; nothing was submitted")
    await run(staging.commit(token))
    while await run(staging.take_in(new_token())):
        pass
    return graph.submissions(jobs, ordered, answers)


async def _leaders(
    run: Runs, jobs: Sequence[Job], states: dict[JobId, JobState]
) -> dict[JobId, Job]:
    """The jobs of the queue that some of these follow. One that went meanwhile, because it ended
    too long ago, goes from the `states` too.
    """
    leaders: dict[JobId, Job] = {}
    for job_id in dict.fromkeys(job.follows for job in jobs):
        if job_id is not None and job_id in states:
            try:
                leaders[job_id] = (await run(producing.job(job_id))).job
            except UnknownJob:
                del states[job_id]
    return leaders


async def refuse_circle(run: Runs, job: Job) -> None:
    """See that a single job would not close a circle of PENDING jobs.

    Raises:
        InvalidJob: it would; the message prints the way round.
    """
    if problems := await _circles(run, [job], [on.job for on in job.depends_on if on.job]):
        raise InvalidJob(f"depends_on: {problems[0]}")


async def _circles(run: Runs, jobs: Sequence[Job], waiting: Sequence[JobId]) -> list[str]:
    """A complaint for each circle that the jobs close with those that these wait for."""
    inside = {job.id for job in jobs}  # the queue may have some of them, less their payloads
    others = [each for each in await _before(run, waiting) if each.id not in inside]
    return graph.cycles(graph.of_jobs([*jobs, *others]))


async def _before(run: Runs, job_ids: Sequence[JobId]) -> list[Job]:
    """Those of these jobs that are PENDING in the queue, and those that they wait for in turn."""
    found: list[Job] = []
    seen, open_ends = set(job_ids), list(job_ids)
    while open_ends and len(seen) < MOST_SEARCHED:
        try:
            record = await run(producing.job(open_ends.pop()))
        except UnknownJob:
            continue
        if record.state is JobState.PENDING:
            found.append(record.job)
            further = {on.job for on in record.job.depends_on if on.job} - seen
            seen |= further
            open_ends += sorted(further)
    return found
