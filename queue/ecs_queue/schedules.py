"""Recurring submissions in Redis: who added them, and how a scheduler submits the job of a tick.

Any number of schedulers may try: the job's id comes from the tick, and each step names what it
expects, so that whoever comes second changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import from_json

from ecs_queue.document import problems_of
from ecs_queue.errors import InvalidSchedule
from ecs_queue.job import JobId
from ecs_queue.schedule import Fire, Kept, Schedule
from ecs_queue.script import Command, Runs, line, pairs, text


@dataclass(frozen=True, slots=True)
class Unread:
    """A schedule that this version cannot read: what can be shown of it all the same, and why."""

    shown: Kept
    document: bytes
    problem: str


class Schedules:
    """The recurring submissions of a queue: `Schedules(queue.run)`."""

    def __init__(self, run: Runs) -> None:
        self._run = run

    async def put(self, schedule: Schedule, now_ms: int, *, replace: bool = False) -> bool:
        """Add it; its first tick is the next one after now.

        Answers False, and changes nothing, where another schedule has the name and is not to be
        replaced. What is added again changes nothing either.
        """
        args = (schedule.name, _written(schedule), schedule.after(now_ms), int(replace))
        return await self._run(Command("schedule_put", args, bool))

    async def remove(self, name: str) -> None:
        """Submit nothing more; what was submitted runs on."""
        await self._run(Command("schedule_remove", (name,), bool))

    async def pause(self, name: str, reason: str = "paused on request") -> bool:
        """Submit nothing until `resume`; False where there is none of this name."""
        why = line(reason) or "paused"
        return await self._run(Command("schedule_pause", (name, why, ""), bool))

    async def resume(self, name: str, now_ms: int) -> bool:
        """Go on with the next tick after now; what came meanwhile is left out.

        Raises:
            InvalidSchedule: this version cannot read it.
        """
        match await self._run(_read("one", name)):
            case [Kept() as kept]:
                args = (name, "", kept.schedule.after(now_ms))
            case [Unread(problem=problem)]:
                raise InvalidSchedule(
                    f"{name} {problem}; replace it, or resume it by the version that wrote it"
                )
            case _:
                return False
        return await self._run(Command("schedule_pause", args, bool))

    async def all(self) -> tuple[Kept, ...]:
        """Every schedule, by name; `aside` of one that this version cannot read says so."""
        found = await self._run(_read("all"))
        return tuple(_shown(each) for each in found)

    async def one(self, name: str) -> Kept | None:
        """One schedule, as far as this version can read it."""
        found = await self._run(_read("one", name))
        return _shown(found[0]) if found else None

    async def due(self) -> tuple[Kept | Unread, ...]:
        """Up to a hundred schedules whose next tick has come, the longest overdue first."""
        return await self._run(_read("due"))

    async def set_aside(self, unread: Unread) -> bool:
        """Submit nothing more of it until it is replaced or resumed; False where it was replaced
        meanwhile.
        """
        args = (unread.shown.schedule.name, unread.document, line(unread.problem))
        return await self._run(Command("schedule_aside", args, bool))

    async def begin(self, kept: Kept, fire: Fire) -> Literal["FIRE", "SKIP", "GONE"]:
        """Whether to submit the tick's job: SKIP while the last one has not ended and must not
        overlap, GONE where another scheduler was faster or the schedule is another by now.
        """
        forbids = int(kept.schedule.overlap == "forbid")
        args = (*_known(kept), fire.tick_ms, fire.go_on_ms, forbids)
        return await self._run(Command("tick_begin", args, text))  # type: ignore[arg-type]

    async def end(self, kept: Kept, go_on_ms: int, job: JobId | None, note: str = "") -> None:
        """The tick's job was submitted, or the tick left out for the reason in the note."""
        args = (*_known(kept), go_on_ms, job or "", line(note))
        await self._run(Command("tick_end", args, bool))


def _written(schedule: Schedule) -> bytes:
    return schedule.model_dump_json(exclude_defaults=True).encode()


def _shown(found: Kept | Unread) -> Kept:
    return found.shown if isinstance(found, Unread) else found


def _known(kept: Kept) -> tuple[str | bytes | int, ...]:
    return (kept.schedule.name, kept.document, kept.next_ms)


def _read(which: str, name: str = "") -> Command[tuple[Kept | Unread, ...]]:
    def parse(reply: Sequence[list[Any]]) -> tuple[Kept | Unread, ...]:
        return tuple(_found(dict(pairs(flat))) for flat in reply)

    return Command("schedules", (which, name), parse)


def _found(fields: dict[bytes, bytes]) -> Kept | Unread:
    try:
        return _kept(fields, Schedule.model_validate_json(fields[b"doc"]))
    except ValidationError as error:
        problem = f"cannot be read by this version: {problems_of(error, Schedule)}"
        kept = _kept(fields, _as_far_as_it_goes(fields))
        return Unread(replace(kept, aside=problem), fields[b"doc"], problem)


def _as_far_as_it_goes(fields: dict[bytes, bytes]) -> Schedule:
    """What can be shown of a schedule that cannot be read."""
    try:
        document = from_json(fields[b"doc"])
    except ValueError:
        document = None
    known = document if isinstance(document, dict) else {}
    return Schedule.model_construct(
        name=text(fields[b"name"]),
        cron=str(known.get("cron", "?")),
        time_zone=str(known.get("time_zone", "?")),
        job={},
    )


def _kept(fields: dict[bytes, bytes], schedule: Schedule) -> Kept:
    return Kept(
        schedule=schedule,
        next_ms=int(fields[b"next"]),
        begun_ms=int(fields[b"begun"]) if b"begun" in fields else None,
        paused=text(fields[b"paused"]) if b"paused" in fields else None,
        last_job=JobId(text(fields[b"last"])) if b"last" in fields else None,
        fired=int(fields.get(b"fired", 0)),
        skipped=int(fields.get(b"skipped", 0)),
        note=text(fields.get(b"note", b"")),
        aside=text(fields[b"aside"]) if b"aside" in fields else None,
        document=fields[b"doc"],
    )
