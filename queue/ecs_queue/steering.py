"""Steering jobs that were submitted: suspend, resume, another priority; of single jobs, of those
that a selector names, or of the whole queue.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from ecs_queue.job import JobId
from ecs_queue.script import Command, Runs, chunks, line, text
from ecs_queue.states import AlreadyEnded, JobState, NoSuchJob

_BATCH = 500
_SCANNED_AT_ONCE = 1000
_MOST_SCANS = 4
_SOURCES = (
    *("claimed", "ready", "parked", "gathered", "delayed", "suspended"),
    *("PENDING", "STARTING", "RUNNING"),
)


@dataclass(frozen=True, slots=True)
class Suspended:
    """The job waits, and nobody launches it until it is resumed."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class SuspendedLater:
    """It is PENDING, STARTING or RUNNING; it is suspended if it becomes RUNNABLE (again)."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Resumed:
    """The job is not suspended, or no more; it has its old place in the queue."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class Reprioritised:
    """The job has this priority now; among its new equals it keeps the order of submission."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class WaitsWithItsArray:
    """A child that was not handed out yet; only its array as a whole can be steered."""

    job_id: JobId


Done = Suspended | SuspendedLater | Resumed | Reprioritised
Steered = Done | AlreadyEnded | WaitsWithItsArray | NoSuchJob


@dataclass(frozen=True, slots=True)
class Selector:
    """Jobs that carry all of these tags, and belong to this share unless it is None."""

    tags: Mapping[str, str] = field(default_factory=dict)
    share: str | None = None

    def takes(self, document: Mapping[str, Any]) -> bool:
        """Whether a canonical document is one of them."""
        tags = document.get("tags", {})
        return all(tags.get(key) == value for key, value in self.tags.items()) and (
            self.share is None or document.get("share", "default") == self.share
        )


def suspend(job_ids: Sequence[JobId], reason: str) -> Command[tuple[Steered, ...]]:
    """Nobody launches these until they are resumed."""
    return Command("suspend", (line(reason), *job_ids), _reader(job_ids))


def resume(job_ids: Sequence[JobId]) -> Command[tuple[Steered, ...]]:
    """End a suspension."""
    return Command("resume", tuple(job_ids), _reader(job_ids))


def reprioritise(job_ids: Sequence[JobId], priority: int) -> Command[tuple[Steered, ...]]:
    """Give jobs that have not ended this priority, 0 to 1000."""
    if not 0 <= priority <= 1000:
        raise ValueError(f"a priority is 0 to 1000, not {priority}")
    return Command("reprioritise", (priority, *job_ids), _reader(job_ids))


def age(job_ids: Sequence[JobId], step_ms: int, points: int, most: int) -> Command[int]:
    """Raise the priority of whoever has waited for full steps; how many were moved up."""
    return Command("age", (step_ms, points, most, *job_ids), int)


def pause(reason: str) -> Command[int]:
    """Stop launching from the whole queue; answers how many claims went back to it."""
    return Command("pause", (line(reason) or "suspended",), int)


def unpause() -> Command[int]:
    """End a pause; 0 where there was none."""
    return Command("pause", ("",), int)


def paused() -> Command[str | None]:
    """Why the whole queue is suspended; None where it is not."""
    return Command("paused", (), lambda reply: None if reply is None else text(reply))


def scan(source: str, cursor: str) -> Command[tuple[str, list[tuple[JobId, bytes]]]]:
    """A part of one of the queue's sets: the cursor to go on with, and ids with documents."""

    def parse(reply: list[Any]) -> tuple[str, list[tuple[JobId, bytes]]]:
        found = [(JobId(text(job_id)), document) for job_id, document in chunks(reply[1], 2)]
        return text(reply[0]), found

    return Command("scan", (source, cursor, _SCANNED_AT_ONCE), parse)


class Steering:
    """The same as methods of a queue; every answer has one entry an id."""

    def __init__(self, run: Runs) -> None:
        self._run = run

    async def suspend(
        self, job_ids: Sequence[JobId], reason: str = "suspended on request"
    ) -> tuple[Steered, ...]:
        """Nobody launches these jobs until `resume`; what runs already runs on."""
        return await self._all(suspend(each, reason) for each in _batches(job_ids))

    async def resume(self, job_ids: Sequence[JobId]) -> tuple[Steered, ...]:
        """End the suspension of these jobs; the others are left as they are."""
        return await self._all(resume(each) for each in _batches(job_ids))

    async def reprioritise(self, job_ids: Sequence[JobId], priority: int) -> tuple[Steered, ...]:
        """Give these jobs another priority; a running one keeps it for its retries."""
        return await self._all(reprioritise(each, priority) for each in _batches(job_ids))

    async def age(
        self, held: Sequence[JobId], *, step_ms: int, points: int, most: int = 500
    ) -> int:
        """Give jobs `points` of priority for each `step_ms` that they have been RUNNABLE.

        Those that wait in the queue are found there, about `most` at a time; `held` are claimed
        ones, which go back to it. How many were moved up.
        """
        return await self._run(age(held, step_ms, points, most))

    async def pause(self, reason: str = "suspended on request") -> int:
        """Suspend the whole queue: jobs come in, none is launched. How many claims went back."""
        return await self._run(pause(reason))

    async def unpause(self) -> None:
        """Resume the whole queue; jobs that were suspended one by one stay so."""
        await self._run(unpause())

    async def paused(self) -> str | None:
        """Why the whole queue is suspended; None where it is not."""
        return await self._run(paused())

    async def select(self, selector: Selector) -> tuple[JobId, ...]:
        """Jobs of the selector that have not ended, in no order.

        Jobs move while they are looked through, so the queue is looked through again until
        nothing new is found. What is submitted meanwhile may be left out.
        """
        found: dict[JobId, None] = {}
        for _ in range(_MOST_SCANS):
            before = len(found)
            for source in _SOURCES:
                await self._scan(source, selector, found)
            if len(found) == before:
                break
        return tuple(found)

    async def _scan(self, source: str, selector: Selector, found: dict[JobId, None]) -> None:
        cursor = ""
        while cursor != "0":
            cursor, page = await self._run(scan(source, cursor or "0"))
            found.update(
                (job_id, None)
                for job_id, document in page
                if job_id not in found and selector.takes(from_json(document))
            )

    async def _all(self, commands: Iterator[Command[tuple[Steered, ...]]]) -> tuple[Steered, ...]:
        answers: list[Steered] = []
        for command in commands:
            batch = await self._run(command)
            answers.extend(batch)
        return tuple(answers)


def _batches(job_ids: Sequence[JobId]) -> Iterator[Sequence[JobId]]:
    return (job_ids[i : i + _BATCH] for i in range(0, len(job_ids), _BATCH))


def _reader(job_ids: Sequence[JobId]) -> "_Reader":
    return _Reader(tuple(job_ids))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns one word an id into its outcome."""

    job_ids: tuple[JobId, ...]

    def __call__(self, reply: list[bytes]) -> tuple[Steered, ...]:
        return tuple(
            _steered(text(word), job_id) for word, job_id in zip(reply, self.job_ids, strict=True)
        )


_OUTCOMES: dict[str, type[Done | WaitsWithItsArray | NoSuchJob]] = {
    "SUSPENDED": Suspended,
    "LATER": SuspendedLater,
    "RESUMED": Resumed,
    "MOVED": Reprioritised,
    "UNBORN": WaitsWithItsArray,
    "NONE": NoSuchJob,
}


def _steered(word: str, job_id: JobId) -> Steered:
    outcome = _OUTCOMES.get(word)
    return AlreadyEnded(job_id, JobState(word)) if outcome is None else outcome(job_id)
