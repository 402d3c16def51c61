"""`ecs-scheduler graph`: jobs that depend on one another, as text or as an SVG picture."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ecs_queue.client import Queue
from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidGraph, UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState
from ecs_scheduler.cli import job_files
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import OK, InvalidInput
from ecs_scheduler.cli.graph_drawing import Drawing, as_svg, as_text
from ecs_scheduler.cli.output import print_json, print_lines, report

MOST_JOBS = 10_000


async def graph(
    what: str,
    /,
    *,
    svg: Annotated[Path | None, Parameter(name="--svg")] = None,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Draw the jobs of a file, or a job of the queue with everything it waits for.

    Each line is a job behind those it depends on; jobs of one layer don't wait for one another.

    Args:
        what: File of jobs, or id of a job.
        svg: Write an SVG picture to this file instead.
        queue: The queue.
    """
    states: dict[JobId, JobState] = {}
    jobs = _of_file(what)
    if jobs is None:
        async with queue.connected() as client:
            jobs, states = await _of_queue(client, JobId(what))
    drawing = Drawing.of(jobs, states)
    if svg is not None:
        try:
            svg.write_text(as_svg(drawing), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"--svg: cannot write {svg}: {error.strerror}") from None
        report(f"{svg}: {len(jobs):,} jobs in {len(drawing.layers)} layers")
    elif queue.output == "json":
        print_json(drawing.as_json())
    else:
        print_lines(as_text(drawing))
    return OK


def _of_file(name: str) -> list[Job] | None:
    try:
        if not Path(name).is_file():
            return None
    except OSError:  # no path at all, as a long id is none
        return None
    with Path(name).open("rb") as file:
        check = job_files.check(file, name)
        if check.bad:
            report(check.report())
            raise InvalidInput(f"{check.bad} of {check.bad + check.valid} jobs are invalid")
        numbers = iter(range(1, check.valid + 1))
        return list(job_files.jobs(file, name, check, lambda: f"job-{next(numbers)}"))


async def _of_queue(client: Queue, job_id: JobId) -> tuple[list[Job], dict[JobId, JobState]]:
    """The job and all that it depends on, by way of others too."""
    jobs: dict[JobId, Job] = {}
    states: dict[JobId, JobState] = {}
    unseen = [job_id]
    while unseen:
        if len(jobs) >= MOST_JOBS:
            raise InvalidGraph(f"{job_id} depends on more than {MOST_JOBS:,} jobs")
        each = unseen.pop()
        try:
            record = await client.job(each)
        except UnknownJob:
            if each == job_id:
                raise
            jobs[each] = parse_job('{"task_definition":"unknown"}', each)
            continue
        jobs[each], states[each] = record.job, record.state
        unseen += [on.job for on in record.job.depends_on if on.job and on.job not in jobs]
    return list(jobs.values()), states
