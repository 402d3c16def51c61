"""What a submission came to, job by job; the operations are `client.Queue`'s."""

from dataclasses import dataclass

from ecs_queue.job import JobId


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is new: RUNNABLE, or PENDING while it waits for others."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same job was submitted before; nothing changed."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another document was submitted under this id before; nothing changed."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Circular:
    """The job would wait for itself, by way of jobs that wait for it; nothing changed.

    `cycle` begins and ends with its id.
    """

    job_id: JobId
    cycle: tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class Unequal:
    """Its `wants` children were to follow those of `leader`, which has `has`; nothing changed.

    `has` is 0 where the leader is a job of the queue, and no array.
    """

    job_id: JobId
    leader: JobId
    has: int
    wants: int

    def __str__(self) -> str:
        """What is wrong, as people read it."""
        return f"N_TO_N: {self.leader} has {self.has or 'no'} children, not {self.wants}"


Submission = Accepted | Duplicate | Conflict | Circular | Unequal


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one batch of inbox entries."""

    submissions: tuple[Submission, ...]
    dead: int
