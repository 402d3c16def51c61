"""The commands on dead letters: look at them, send them again (corrected or not), drop them."""

import re
from collections.abc import Sequence
from typing import Any

from ecs_queue import records
from ecs_queue.document import canonical, parse_job, sendable
from ecs_queue.job import Job, JobId
from ecs_queue.letters import DeadLetter, NoSuchLetter, Replay, Replayed
from ecs_queue.script import Command, text
from ecs_queue.submissions import Conflict, Duplicate


def newest(limit: int) -> Command[tuple[DeadLetter, ...]]:
    """The newest dead letters first."""
    return Command("dead_letters", (limit,), records.dead_letters)


def kept() -> Command[int]:
    """How many dead letters there are."""
    return Command("dead_letters_kept", (), int)


def one(entry_id: str) -> Command[DeadLetter | None]:
    """One dead letter."""

    def parse(reply: list[Any]) -> DeadLetter | None:
        found = records.dead_letters(reply)
        return found[0] if found else None

    return Command("dead_letter", (_checked(entry_id),), parse)


def corrected(letter: DeadLetter, document: bytes | str | None) -> Job:
    """The job that a letter is to be replayed as: `document`, or the letter as it came.

    A document without an id gets the id it would have had at first: that of its inbox entry.

    Raises:
        InvalidJob: it is still no job.
    """
    return parse_job(letter.document if document is None else document, letter.inbox_entry)


def replay(entry_id: str, job: Job | None) -> Command[Replay]:
    """Send a letter to the inbox as `job`; without one, what an earlier replay came to."""

    def parse(reply: bytes | None) -> Replay:
        if reply is None:
            return NoSuchLetter(entry_id)
        answer = text(reply)
        kinds: dict[str, type[Replayed | Duplicate | Conflict]] = {
            "R": Replayed,
            "D": Duplicate,
            "C": Conflict,
        }
        return kinds[answer[0]](JobId(answer[1:]))

    letter = _checked(entry_id)
    if job is None:
        return Command("replay", (letter, "", "", ""), parse)
    return Command("replay", (letter, job.id, canonical(job), sendable(job)), parse)


def drop(entry_ids: Sequence[str]) -> Command[tuple[bool, ...]]:
    """Delete letters for good; for each, whether it was there."""

    def parse(reply: list[int]) -> tuple[bool, ...]:
        return tuple(bool(each) for each in reply)

    return Command("drop_dead_letters", tuple(map(_checked, entry_ids)), parse)


def _checked(entry_id: str) -> str:
    """A stream entry's id, since Redis answers an error to anything else."""
    return entry_id if re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", entry_id) else "0-0"
