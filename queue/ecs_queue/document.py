"""Between JSON and a Job: reading what producers send, and the canonical form the queue stores.

The canonical form leaves out defaults and the id (which the key holds); equal jobs have equal
canonical forms, so comparing two of them tells a duplicate from a conflict.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, from_json, to_json

from ecs_queue.errors import InvalidJob
from ecs_queue.job import (
    CPU_PATTERN,
    JOB_ID_PATTERN,
    MAX_DOCUMENT_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SENT_BYTES,
    MEMORY_PATTERN,
    POLICY_PATTERN,
    SCHEDULE_PATTERN,
    SHARE_PATTERN,
    TAG_PATTERN,
    Job,
    JobId,
    TaskOverride,
)
from ecs_queue.payload import compact, digest
from ecs_queue.retrying import EXIT_CODE_PATTERN, REASON_PATTERN

_IN_WORDS = {
    JOB_ID_PATTERN: "must have 1 to 128 letters, digits, _ . : / or -",
    POLICY_PATTERN: "must have 1 to 64 letters, digits, _ . or -, and begin with a letter or digit",
    SCHEDULE_PATTERN: "must have 1 to 100 letters, digits, _ . or -",
    SHARE_PATTERN: "must have 1 to 255 letters, digits, _ . or -",
    TAG_PATTERN: "must have letters, digits, spaces and _ . : / = + - @ only",
    CPU_PATTERN: 'must be CPU units such as "1024", or "1 vCPU"',
    MEMORY_PATTERN: 'must be MiB such as "2048", or "2 GB"',
    REASON_PATTERN: "must be one line that has * at its end only",
    EXIT_CODE_PATTERN: "must be digits, then perhaps *",
}


class _AsStored:
    """A job whose parts were found to agree before it was stored: they are not asked again."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler.resolve_ref_schema(handler(source))
        return schema["schema"] if schema["type"] == "function-after" else schema


_STORED = TypeAdapter[Job](Annotated[Job, _AsStored])
_STORED_JOBS = TypeAdapter(list[Annotated[Job, _AsStored]])
_MODELS_WITH_DEFAULTS = frozenset({"overrides", "retry"})
_PLAIN_MEMBERS = tuple(
    (name, Job.model_fields[name].default, b'"%b":' % name.encode())
    for name in (
        "task_definition",
        "overrides",
        "group",
        "priority",
        "share",
        "policy",
        "timeout_s",
    )
)
_PLAIN = frozenset({"id", "payload", *(name for name, _, _ in _PLAIN_MEMBERS)})
_SHOWN_PROBLEMS = 10
_SHOWN_CHARACTERS = 60


def parse_job(document: bytes | str, default_id: str | None = None) -> Job:
    """Read one JSON document; `default_id` is taken where the document names no id.

    Types are taken strictly: "5" is no number, 1 is no boolean.

    Raises:
        InvalidJob: with every bad field, what was expected there, and the nearest field's name.
    """
    raw = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    if len(raw) > MAX_SENT_BYTES:
        raise _too_large(len(raw))
    value = read_json(raw, "the document")
    if not isinstance(value, dict):
        raise InvalidJob(
            f"a job is a JSON object with at least task_definition, this is {_kind(value)}"
        )
    if (
        len(raw) > MAX_DOCUMENT_BYTES
        and (beside := _beside_payload(raw, value)) > MAX_DOCUMENT_BYTES
    ):
        raise _too_large(beside)
    if "id" not in value and default_id is not None:
        raw = to_json({"id": default_id, **value})
    return job_from_json(raw)


def _too_large(size: int) -> InvalidJob:
    return InvalidJob(
        f"the document has {size} bytes; at most {MAX_DOCUMENT_BYTES} are taken, and"
        f" {MAX_PAYLOAD_BYTES} of payload: keep large data elsewhere and pass a reference to it"
    )


def _beside_payload(raw: bytes, document: dict[str, Any]) -> int:
    """The size of a document without its payload."""
    if document.get("payload") is None:
        return len(raw)
    try:
        return len(raw) - len(compact(document["payload"]))
    except ValueError as error:
        raise InvalidJob(f"payload: {error}") from None


def read_json(raw: bytes, what: str) -> Any:
    """JSON in which no object has a member twice: readers differ on which of the two counts.

    Raises:
        InvalidJob: it is none; `what` says what the user calls it.
    """
    try:
        value = from_json(raw)
    except ValueError as error:
        raise InvalidJob(f"{what} is not JSON: {error}") from None
    # Numbers stay text: their values are not looked at, and int() refuses very long ones.
    json.loads(raw, object_pairs_hook=_refuse_repetition, parse_int=str, parse_float=str)
    return value


def _refuse_repetition(members: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJob(f"{_shown(twice)}: stands twice in one object")


def job_from_json(raw: bytes) -> Job:
    """Validate the JSON of an object that names its id.

    Raises:
        InvalidJob: as parse_job does.
    """
    try:
        return Job.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise InvalidJob(problems_of(error, Job)) from None


def problems_of(error: ValidationError, model: type[BaseModel]) -> str:
    """Each bad field, what was expected there, and the nearest field's name."""
    problems = [_problem(details, model) for details in error.errors(include_url=False)]
    more = len(problems) - _SHOWN_PROBLEMS
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join(problems[:_SHOWN_PROBLEMS] + rest)


def canonical(job: Job) -> bytes:
    """The form in which the queue stores a job: no id, no defaults, fields in declared order.

    The payload is kept apart; its digest, the last member, stands for it.
    """
    if job.model_fields_set <= _PLAIN:
        document = _plain(job)
    else:
        # What was never set is the default: saying so spares the comparison of whole models.
        excluded = {"id", "payload", *(_MODELS_WITH_DEFAULTS - job.model_fields_set)}
        document = job.model_dump_json(
            by_alias=True, exclude_defaults=True, exclude=excluded
        ).encode()
    if job.payload is None:
        return document
    return b'%b,"payload_digest":"%b"}' % (document[:-1], digest(job.payload).encode())


def _plain(job: Job) -> bytes:
    """The same, in half the time, of a job that has strings, numbers and overrides only."""
    members, set_here = [], job.model_fields_set
    for name, default, head in _PLAIN_MEMBERS:
        if name not in set_here:
            continue
        value = getattr(job, name)
        if name == "overrides":
            written = _overrides(value)
            if written != b"{}":  # sooner known than by comparing models
                members.append(head + written)
        elif value != default:
            members.append(head + to_json(value))
    return b"{%b}" % b",".join(members)


def _overrides(overrides: TaskOverride) -> bytes:
    serializer = overrides.__pydantic_serializer__
    return serializer.to_json(overrides, by_alias=True, exclude_defaults=True)


def stored(job: Job) -> bytes:
    """What the queue's scripts take: the canonical form and, behind a line break, the payload."""
    if job.payload is None:
        return canonical(job)
    return canonical(job) + b"\n" + compact(job.payload)


def sendable(job: Job) -> bytes:
    """A document for the inbox, payload included."""
    excluded = {"payload_digest"}
    return job.model_dump_json(by_alias=True, exclude_defaults=True, exclude=excluded).encode()


class UnreadableJob(Job):
    """Stands for a stored document that this version cannot read, and says why in `problem`."""

    problem: str


def from_canonical(job_id: JobId, document: bytes) -> Job:
    """The job that `canonical` wrote; its id needs no escaping, by its pattern.

    An UnreadableJob where another version wrote what this one does not know: one document must not
    keep all others from being read.
    """
    members = document.partition(b"{")[2]  # what may stand before is for claims, see prelude.lua
    try:
        return _STORED.validate_json(b'{"id":"%b",%b' % (job_id.encode(), members))
    except ValidationError as error:
        problem = f"its document cannot be read by this version: {problems_of(error, Job)}"
        return UnreadableJob.model_construct(
            id=job_id, task_definition="unreadable", problem=problem
        )


def array_of(job_ids: Sequence[bytes], members: Sequence[bytes]) -> bytes:
    """Many stored documents as one; `members` is what follows the first brace of each."""
    wholes = [b'{"id":"%b",%b' % both for both in zip(job_ids, members, strict=True)]
    return b"[%b]" % b",".join(wholes)


def from_canonicals(job_ids: Sequence[bytes], members: Sequence[bytes]) -> list[Job]:
    """Many of them at once, which takes a fifth less time than one by one; `members` is of each
    document what follows its first brace.
    """
    try:
        jobs = _STORED_JOBS.validate_json(array_of(job_ids, members))
    except ValidationError:
        jobs = []
    if len(jobs) == len(members):
        return jobs
    return [
        from_canonical(JobId(job_id.decode()), b"{" + each)
        for job_id, each in zip(job_ids, members, strict=True)
    ]


def _problem(details: ErrorDetails, model: type[BaseModel]) -> str:
    path = _path(details["loc"])
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return f"{path}: unknown field{_nearest(details['loc'], model)}"
        case "missing":
            return f"{path}: required, but missing"
        case "value_error":
            message = str(context.get("error", details["msg"]))
            return f"{path}: {message}" if path else message
        case "literal_error":
            return f"{path}: expected {context['expected']}, got {_shown(details['input'])}"
        case "string_pattern_mismatch" if context.get("pattern") in _IN_WORDS:
            return f"{path}: {_IN_WORDS[context['pattern']]}, got {_shown(details['input'])}"
        case _:
            message = details["msg"].removeprefix("Input ").replace("should", "must", 1)
            return f"{path}: {message}, got {_shown(details['input'])}"


def _path(loc: Sequence[str | int]) -> str:
    path = ""
    for step in loc:
        if step == "[key]":
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _shown(value: object) -> str:
    value = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    text = to_json(value, fallback=repr).decode()
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", type(None): "null", bool: "a boolean"}.get(
        type(value), "a number"
    )


def _nearest(loc: Sequence[str | int], whole: type[BaseModel]) -> str:
    model: type[BaseModel] | None = whole
    for step in loc[:-1]:
        if isinstance(step, str) and model is not None:
            model = _model_of_field(model, step)
    if model is None:
        return ""
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(loc[-1]), names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(names)}"


def _model_of_field(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    for own_name, field in model.model_fields.items():
        if name in (own_name, field.alias):
            return next(_models_in(field.annotation), None)
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
