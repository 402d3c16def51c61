"""Records of the queue as plain JSON values, the same for the HTTP side and for `-o json`."""

import re
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ecs_queue.errors import InvalidJob
from ecs_queue.letters import DeadLetter
from ecs_queue.schedule import Kept
from ecs_queue.states import Event, JobRecord
from ecs_queue.submissions import Accepted, Circular, Conflict, Duplicate, Submission, Unequal
from ecs_queue.timing import Moment


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made at its first use: a command needs one of them at most."""
    return TypeAdapter(kind)


def record_as_json(record: JobRecord) -> dict[str, Any]:
    """A job and its life: `id` and `state` first, the document (without defaults) under `job`.

    What is forgotten of a child is null, rather than none.
    """
    values: dict[str, Any] = _adapter(JobRecord).dump_python(record, mode="json", by_alias=True)
    document = record.job.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"payload_digest"}
    )
    if record.forgotten:
        values |= dict.fromkeys(("launches", "failures", "infrastructure_failures", "attempts"))
    return {"id": record.job.id, "state": record.state.value} | values | {"job": document}


_BEFORE = re.compile(r"^(\d{1,9})([smhd])$")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def since_ms(given: str, now_ms: int) -> int:
    """A moment, or how long ago it was, in ms since the epoch. Raises InvalidJob."""
    if found := _BEFORE.match(given):
        return now_ms - int(found[1]) * _UNITS_MS[found[2]]
    try:
        moment: int = _adapter(Moment).validate_python(
            int(given) if re.fullmatch(r"\d{1,20}", given) else given
        )
        return moment * 1000
    except ValidationError:
        raise InvalidJob(
            f'since: "{given[:60]}" is neither a moment such as 2026-11-26T06:00:00Z nor a '
            "time before now such as 90s, 30m, 2h or 7d"
        ) from None


def dead_letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter, its document as the text it came as."""
    values: dict[str, Any] = _adapter(DeadLetter).dump_python(letter, mode="json")
    return values


def schedule_as_json(kept: Kept) -> dict[str, Any]:
    """A recurring submission: what was asked for, and how far it is."""
    values: dict[str, Any] = _adapter(Kept).dump_python(kept, mode="json", exclude={"document"})
    return {**values.pop("schedule"), **values}


def event_as_json(event: Event) -> dict[str, Any]:
    """One transition."""
    values: dict[str, Any] = _adapter(Event).dump_python(event, mode="json")
    return values


def outcome_name(submission: Submission) -> str:
    """What became of a submission, as one word."""
    match submission:
        case Accepted():
            return "accepted"
        case Duplicate():
            return "duplicate"
        case Conflict():
            return "conflict"
        case Circular():
            return "circular"
        case Unequal():
            return "unequal"
