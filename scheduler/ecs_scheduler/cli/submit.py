"""`ecs-scheduler submit`: one job from flags, or a file of jobs, all valid or none taken."""

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_queue.batch import DEFAULT_CONTAINER
from ecs_queue.client import Queue
from ecs_queue.job import Job
from ecs_queue.submissions import Circular, Conflict, Submission, Unequal
from ecs_scheduler.cli import job_files
from ecs_scheduler.cli.batch_files import converted
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import FAILED, OK, Failed, InvalidInput
from ecs_scheduler.cli.job_flags import JobFlags, job_from_flags
from ecs_scheduler.cli.output import print_json, print_lines, report
from ecs_scheduler.web.presentation import outcome_name

BATCH = 500
SHOWN_CONFLICTS = 20


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SubmitFlags(JobFlags):
    """A job, or a file of jobs."""

    file: Annotated[str | None, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)] = None
    """File of jobs: one JSON document per line (.jsonl), a .json array, or - for standard input."""
    boost_critical: Annotated[int, Parameter(validator=Number(gte=0, lte=1000))] = 0
    """Priority added to the jobs on the longest way through the file's dependencies."""
    format: Literal["job", "batch"] = "job"
    """What the file holds: jobs of our own, or AWS Batch's SubmitJob requests."""
    skip_invalid: bool = False
    """Submit the valid jobs of the file even if others are not."""


@dataclass
class Tally:
    """What became of a file's jobs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)

    def add(self, submission: Submission) -> None:
        """Count one."""
        self.outcomes[outcome_name(submission)] += 1
        if isinstance(submission, Conflict) and len(self.conflicts) < SHOWN_CONFLICTS:
            self.conflicts.append(submission.job_id)

    @property
    def counts(self) -> dict[str, int]:
        """The number of each outcome."""
        return {name: self.outcomes[name] for name in ("accepted", "duplicate", "conflict")}


async def submit(
    task_definition: str | None = None,
    /,
    *arguments: str,
    job: SubmitFlags = SubmitFlags(),
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Submit a job that runs TASK_DEFINITION, or the jobs of a --file.

    Args:
        task_definition: Task definition: family, family:revision or ARN.
        arguments: Command for --container, behind --.
        job: The job.
        queue: The queue.
    """
    if job.file is None:
        if task_definition is None:
            raise InvalidInput("submit: name a TASK_DEFINITION, or a file of jobs with --file")
        if job.format != "job" or job.skip_invalid or job.boost_critical:
            raise InvalidInput(
                "--format, --skip-invalid and --boost-critical are for files; add --file"
            )
        return await _submit_one(task_definition, arguments, job, queue)
    for_files = {"--file", "--skip-invalid", "--format", "--boost-critical"}
    if job.format == "batch":
        for_files.add("--container")
    others = [flag for flag in job.given if flag not in for_files]
    if task_definition is not None or others:
        what = "a TASK_DEFINITION" if task_definition is not None else ", ".join(others)
        raise InvalidInput(f"--file: the file says everything about its jobs; leave out {what}")
    return await _submit_file(job.file, job, queue)


async def _submit_one(
    task_definition: str, arguments: tuple[str, ...], flags: SubmitFlags, queue_flags: QueueFlags
) -> int:
    job = job_from_flags(task_definition, arguments, flags, str(uuid.uuid4()))
    async with queue_flags.connected() as queue:
        (submission,) = await queue.submit([job])
    outcome = outcome_name(submission)
    if isinstance(submission, Conflict):
        raise Failed(
            f"--id: another job was submitted as {job.id!r} before; nothing changed. "
            "Choose another id"
        )
    if isinstance(submission, Circular):
        raise Failed(f"--depends-on: it would wait for itself: {' -> '.join(submission.cycle)}")
    if isinstance(submission, Unequal):
        raise Failed(f"--depends-on: {submission}; nothing was submitted")
    if queue_flags.output == "json":
        print_json({"id": job.id, "outcome": outcome})
    else:
        print_lines([job.id])
        report(outcome)
    return OK


async def _submit_file(path: str, flags: SubmitFlags, queue_flags: QueueFlags) -> int:
    with _opened(path, flags) as (file, name):
        check = job_files.check(file, name)
        if check.bad:
            report(check.report())
            if not flags.skip_invalid:
                raise InvalidInput(
                    f"{check.bad} of {check.bad + check.valid} jobs are invalid; nothing was "
                    "submitted. Correct them, or leave them out with --skip-invalid"
                )
        if not check.valid:
            raise InvalidInput(f"--file: {job_files.shown(name)} holds no jobs")
        async with queue_flags.connected() as queue:
            jobs = job_files.jobs(file, name, check, lambda: str(uuid.uuid4()))
            if check.depend:
                tally = await _submit_graph(queue, list(jobs), flags.boost_critical)
            else:
                tally = await _submit_all(queue, jobs, check.valid)
    return _report(tally, check.bad, queue_flags)


async def _submit_graph(queue: Queue, jobs: list[Job], boost: int) -> Tally:
    tally = Tally()
    for submission in await queue.submit_graph(jobs, boost=boost):
        tally.add(submission)
    return tally


@contextmanager
def _opened(name: str, flags: SubmitFlags) -> Iterator[tuple[IO[bytes], str]]:
    """The file as jobs of our own, and what it is called then."""
    with job_files.opened(name, sys.stdin.buffer) as file:
        if flags.format == "job":
            yield file, name
            return
        container = flags.container or DEFAULT_CONTAINER
        with converted(file, name, container, uuid.uuid4().hex[:12]) as jobs:
            yield jobs, name.removesuffix(".json")


async def _submit_all(queue: Queue, jobs: Iterator[Job], total: int) -> Tally:
    tally, done = Tally(), 0
    progress = sys.stderr.isatty() and total > BATCH
    while batch := list(islice(jobs, BATCH)):
        for submission in await queue.submit(batch):
            tally.add(submission)
        done += len(batch)
        if progress:
            end = "\n" if done >= total else ""
            sys.stderr.write(f"\rsubmitted {done:,} of {total:,}{end}")
            sys.stderr.flush()
    return tally


def _report(tally: Tally, invalid: int, flags: QueueFlags) -> int:
    if flags.output == "json":
        print_json({**tally.counts, "invalid": invalid, "conflicts": tally.conflicts})
    else:
        print_lines([", ".join(f"{number} {name}" for name, number in tally.counts.items())])
    if tally.outcomes["conflict"]:
        report(
            "ecs-scheduler: these ids were submitted before with another job, and were left as "
            f"they are: {', '.join(tally.conflicts)}"
            + (", ..." if tally.outcomes["conflict"] > len(tally.conflicts) else "")
        )
        return FAILED
    return OK
