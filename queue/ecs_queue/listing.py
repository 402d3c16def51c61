"""Looking through the jobs of a queue for some of them, and for the states of given ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ecs_queue import producing
from ecs_queue.job import JobId
from ecs_queue.script import Runs
from ecs_queue.states import JobRecord, JobState

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """Jobs of this state and share, whose id begins so, of this task definition family, with all of
    these tags, submitted since then (ms); None and nothing stand for any.
    """

    state: JobState | None = None
    share: str | None = None
    prefix: str = ""
    family: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    since_ms: int | None = None

    def takes(self, record: JobRecord) -> bool:
        """Whether the job is one of them; its state was looked at before."""
        job = record.job
        return (
            job.id.startswith(self.prefix)
            and self.share in (None, job.share)
            and self.family in (None, family_of(job.task_definition))
            and all(job.tags.get(key) == value for key, value in self.tags.items())
            and (self.since_ms is None or record.submitted_at_ms >= self.since_ms)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs that were found; `go_on_at` is the offset to look further from, None at the end."""

    records: tuple[JobRecord, ...]
    go_on_at: int | None


async def look_through(
    run: Runs, wanted: Filter, *, limit: int, offset: int = 0, most: int | None = None
) -> Found:
    """Up to `limit` of the wanted jobs, in the order of `Queue.jobs`, looking at `most` jobs only.

    Jobs that move meanwhile may be missed; none is answered twice.
    """
    found: dict[str, JobRecord] = {}
    at = offset
    while most is None or at < offset + most:
        page = await run(producing.jobs(wanted.state, _AT_ONCE, at))
        for index, record in enumerate(page):
            if len(found) == limit:
                return Found(tuple(found.values()), at + index)
            if wanted.takes(record):
                found.setdefault(record.job.id, record)
        at += len(page)
        if len(page) < _AT_ONCE:
            return Found(tuple(found.values()), None)
    return Found(tuple(found.values()), at)


async def states_of(run: Runs, job_ids: Sequence[JobId]) -> dict[JobId, JobState]:
    """The states of those of the jobs that are in the queue."""
    found: dict[JobId, JobState] = {}
    for first in range(0, len(job_ids), _AT_ONCE):
        page = await run(producing.states(job_ids[first : first + _AT_ONCE]))
        found.update(page)
    return found


def family_of(task_definition: str) -> str:
    """The family of `family`, `family:revision`, or an ARN."""
    return task_definition.rpartition("/")[2].partition(":")[0]
