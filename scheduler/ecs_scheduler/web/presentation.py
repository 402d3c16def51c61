"""Records of the queue as plain JSON values, the same for the HTTP side and for `-o json`."""

from typing import Any

from pydantic import TypeAdapter

from ecs_queue.letters import DeadLetter
from ecs_queue.states import Accepted, Circular, Conflict, Duplicate, Event, JobRecord, Submission

_RECORD = TypeAdapter(JobRecord)
_DEAD_LETTER = TypeAdapter(DeadLetter)
_EVENT = TypeAdapter(Event)


def record_as_json(record: JobRecord) -> dict[str, Any]:
    """A job and its life: `id` and `state` first, the document (without defaults) under `job`."""
    values: dict[str, Any] = _RECORD.dump_python(record, mode="json", by_alias=True)
    document = record.job.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"payload_digest"}
    )
    return {"id": record.job.id, "state": record.state.value} | values | {"job": document}


def dead_letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter, its document as the text it came as."""
    values: dict[str, Any] = _DEAD_LETTER.dump_python(letter, mode="json")
    return values


def event_as_json(event: Event) -> dict[str, Any]:
    """One transition."""
    values: dict[str, Any] = _EVENT.dump_python(event, mode="json")
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
