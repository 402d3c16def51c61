"""Dead letters, and what became of their replay."""

from dataclasses import dataclass

from ecs_queue.job import JobId
from ecs_queue.submissions import Conflict, Duplicate


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be admitted, as it came; `inbox_entry` was its id in the inbox."""

    entry_id: str
    document: str
    reason: str
    at_ms: int
    inbox_entry: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The letter is gone from the dead letters; the job lies in the inbox, or did so before."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class NoSuchLetter:
    """No dead letter has this entry id: it was dropped, or never was one."""

    entry_id: str


Replay = Replayed | Duplicate | Conflict | NoSuchLetter
"""What a replay came to; Duplicate removes the letter too, Conflict leaves it."""
