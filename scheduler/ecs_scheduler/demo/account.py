"""The books of a demo: what was submitted, what the queue says, what the simulated ECS really ran.

`problems` compares the three; each sentence it gives is a promise that was broken.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ecs_queue.job import JobId
from ecs_queue.states import JobRecord, JobState


@dataclass(frozen=True, slots=True)
class Asked:
    """A job as it was submitted: the exit code its container ends with, and how often it may run.

    `exit_code` is None for a command that does not say.
    """

    job_id: JobId
    exit_code: int | None = 0
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What the queue tells of a job: `tasks` are the ARNs of all its attempts, in order."""

    job_id: JobId
    state: JobState
    reason: str
    tasks: tuple[str, ...]
    submitted_at_ms: int
    starting_at_ms: int | None
    ended_at_ms: int | None

    @classmethod
    def by(cls, record: JobRecord) -> "Told":
        """What a job's record tells."""
        named = [attempt.task_arn for attempt in record.attempts] + [record.task_arn]
        return cls(
            job_id=record.job.id,
            state=record.state,
            reason=record.reason,
            tasks=tuple(dict.fromkeys(arn for arn in named if arn is not None)),
            submitted_at_ms=record.submitted_at_ms,
            starting_at_ms=record.starting_at_ms,
            ended_at_ms=record.ended_at_ms,
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """A task of the simulated ECS: whether it ever ran, and how its container ended by itself."""

    task_arn: str
    started: bool = True
    exit_code: int | None = 0


@dataclass(frozen=True, slots=True)
class Books:
    """Three independent accounts of the same work, after its end."""

    asked: Sequence[Asked]
    told: Mapping[JobId, Told]
    ran: Mapping[str, Ran]


def problems(books: Books) -> Iterator[str]:
    """What the accounts disagree about, a sentence each; nothing if every promise was kept."""
    yield from _lost_or_open(books)
    yield from _unknown_tasks(books)
    for asked in books.asked:
        told = books.told.get(asked.job_id)
        if told is not None and told.state.terminal:
            yield from _runs(books, asked, told)


def _lost_or_open(books: Books) -> Iterator[str]:
    for asked in books.asked:
        told = books.told.get(asked.job_id)
        if told is None:
            yield f"{asked.job_id} is lost: the queue does not know it"
        elif not told.state.terminal:
            yield f"{asked.job_id} is still {told.state}: {told.reason}"
    for job_id in books.told.keys() - {asked.job_id for asked in books.asked}:
        yield f"{job_id} is in the queue, and nobody submitted it"


def _unknown_tasks(books: Books) -> Iterator[str]:
    named = Counter(arn for told in books.told.values() for arn in told.tasks)
    for arn, task in books.ran.items():
        if task.started and arn not in named:
            yield f"{arn} ran, and no job knows of it"
    for arn, jobs in named.items():
        if arn not in books.ran:
            yield f"{arn} is named by a job, and ECS does not know it"
        if jobs > 1:
            yield f"{arn} is named by {jobs} jobs"


def _runs(books: Books, asked: Asked, told: Told) -> Iterator[str]:
    """A job ran until its first success, and never more often than it may."""
    codes = [books.ran[arn].exit_code for arn in told.tasks if arn in books.ran]
    complete = [code for code in codes if code is not None]
    if complete.count(0) > 1 or len(complete) > asked.attempts:
        yield f"{asked.job_id} ran {len(complete)} times, with exit codes {complete}"
    if told.state is JobState.SUCCEEDED and 0 not in complete:
        yield f"{asked.job_id} SUCCEEDED, and none of its tasks did"
    if asked.exit_code is None:
        return
    expected = JobState.SUCCEEDED if asked.exit_code == 0 else JobState.FAILED
    if told.state is not expected:
        yield (
            f"{asked.job_id} should have {expected} (exit code {asked.exit_code}) and is "
            f"{told.state}: {told.reason}"
        )


# Figures -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """How long things took; seconds.

    `makespan_s` runs from the first submission to the last end, waiting from a job's submission to
    its (last) launch.
    """

    makespan_s: float
    waiting_median_s: float
    waiting_p95_s: float


def times(jobs: Sequence[Told]) -> Times | None:
    """The times of these jobs; None if none of them was launched and ended."""
    waits = sorted(
        (told.starting_at_ms - told.submitted_at_ms) / 1000
        for told in jobs
        if told.starting_at_ms is not None
    )
    ends = [told.ended_at_ms for told in jobs if told.ended_at_ms is not None]
    if not waits or not ends:
        return None
    start = min(told.submitted_at_ms for told in jobs)
    return Times((max(ends) - start) / 1000, _rank(waits, 0.5), _rank(waits, 0.95))


def _rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]
