"""Reading stored jobs, dead letters and events back; lua/prelude.lua lists a job's fields."""

from typing import Any, NamedTuple

from pydantic_core import from_json

from ecs_queue.document import UnreadableJob, from_canonical
from ecs_queue.job import Job, JobId
from ecs_queue.letters import DeadLetter
from ecs_queue.script import chunks, pairs, text
from ecs_queue.states import (
    ArraySummary,
    Attempt,
    Event,
    InstanceArn,
    JobRecord,
    JobState,
    LaunchToken,
    Progress,
    TaskArn,
    state_of,
)
from ecs_queue.timing import shown

SCORE_STEP = 10**12
"""Room for submission numbers inside one priority: score = (1000 - priority) * step + number."""


def priority_of(score: int) -> int:
    """The priority that a place in the queue stands for."""
    return 1000 - score // SCORE_STEP


Fields = dict[bytes, bytes]


def record(reply: list[Any]) -> JobRecord:
    """A job from its id, document, fields, and the number of its holders."""
    job_id, document, flat, holders = reply
    fields: Fields = dict(pairs(flat))
    state = state_of(fields[b"s"])
    submitted_at_ms = int(fields[b"t"])
    job = from_canonical(JobId(text(job_id)), document)
    return JobRecord(
        job=job,
        state=state,
        reason=_reason(job, state, fields, held=bool(holders)),
        priority=priority_of(int(fields[b"o"])),
        order=int(fields[b"o"]) % SCORE_STEP,
        launches=int(fields.get(b"n", 0)),
        failures=int(fields.get(b"f", 0)),
        infrastructure_failures=int(fields.get(b"i", 0)),
        cancel_requested=b"c" in fields,
        submitted_at_ms=submitted_at_ms,
        runnable_at_ms=_number(fields.get(b"r")) or submitted_at_ms,
        starting_at_ms=_number(fields.get(b"g")),
        running_at_ms=_number(fields.get(b"u")),
        ended_at_ms=_number(fields.get(b"y")),
        launch_token=LaunchToken(text(fields[b"l"])) if b"l" in fields else None,
        task_arn=TaskArn(text(fields[b"a"])) if b"a" in fields else None,
        instance_arn=InstanceArn(text(fields[b"z"])) if b"z" in fields else None,
        exit_code=_number(fields.get(b"x")),
        array=_array(fields),
        progress=_progress(fields),
        result=from_json(fields.get(b"result", b"null")),
        attempts=attempts(fields.get(b"h", b"")),
        forgotten=b"forgotten" in fields,
    )


class Times(NamedTuple):
    """When an ended job was submitted, launched last, and ended, ms; None where it never was."""

    job_id: JobId
    submitted_at_ms: int
    starting_at_ms: int | None
    ended_at_ms: int | None


def times(reply: list[Any]) -> tuple[Times, ...]:
    """The times of jobs from a flat reply of four values each."""
    return tuple(
        Times(
            JobId(text(job_id)),
            int(submitted),
            int(starting) if starting else None,
            int(ended) if ended else None,
        )
        for job_id, submitted, starting, ended in chunks(reply, 4)
    )


def records(reply: list[Any]) -> tuple[JobRecord, ...]:
    """Jobs from a flat reply of four values each."""
    return tuple(record(each) for each in chunks(reply, 4))


def dead_letters(reply: list[Any]) -> tuple[DeadLetter, ...]:
    """Entries of the dead stream."""
    return tuple(_dead_letter(text(entry_id), dict(pairs(flat))) for entry_id, flat in reply)


def events(reply: list[Any]) -> tuple[Event, ...]:
    """Entries of the events stream."""
    return tuple(_event(text(entry_id), dict(pairs(flat))) for entry_id, flat in reply)


_TO_BE_SUSPENDED = "to be suspended as soon as it waits for its turn"


def _reason(job: Job, state: JobState, fields: Fields, *, held: bool) -> str:
    if isinstance(job, UnreadableJob) and not state.terminal:
        return job.problem
    if state in (JobState.STARTING, JobState.RUNNING) and (ending := _ending(fields)):
        return ending
    if b"w" in fields:
        return text(fields[b"w"])
    if b"gang" in fields and (lacking := _lacking(job, fields)):
        return lacking
    reason = _of_state(job, state, fields, held=held)
    if b"v" in fields and state in (JobState.PENDING, JobState.STARTING, JobState.RUNNING):
        return f"{reason}; {_TO_BE_SUSPENDED}" if reason else _TO_BE_SUSPENDED
    return reason


def _of_state(job: Job, state: JobState, fields: Fields, *, held: bool) -> str:
    """What a state says by itself."""
    match state:
        case JobState.PENDING:
            reason = _waits(job, fields)
        case JobState.RUNNING if (array := _array(fields)) is not None:
            reason = f"{array.alive} children under way, {array.waiting} wait for their turn"
        case JobState.RUNNABLE:
            reason = "being placed" if held else _turn(job)
        case JobState.STARTING if b"a" in fields:
            reason = "launched, not seen RUNNING yet"
        case JobState.STARTING:
            reason = "launch requested, not acknowledged yet"
        case _:
            reason = ""
    return reason


def _ending(fields: Fields) -> str:
    """Why a task is to be stopped."""
    if b"c" in fields:
        return f"cancellation requested: {text(fields[b'c'])}"
    if b"B" in fields:
        return f"being stopped: {text(fields[b'B'])}"
    return text(fields.get(b"e", b""))


def _waits(job: Job, fields: Fields) -> str:
    """Why a job is PENDING; a child without a record of its own has neither of these fields."""
    if b"k" in fields:
        total = sum(each.type.startswith("after") for each in job.depends_on)
        return f"waits for {int(fields[b'k'])} of {total} dependencies: {text(fields[b'waits'])}"
    if b"M" in fields:
        return f"waits for children of {text(fields[b'M'])}"
    return "waits with its array"


def _lacking(job: Job, fields: Fields) -> str:
    """What a gang waits for that is not in the queue as a whole."""
    size, came, gang_state = text(fields[b"gang"]).split(" ")
    if gang_state != "G" or job.gang is None:
        return ""
    if came != size:
        return f"gang {job.gang.id}: {came} of {size} members came"
    return f"gang {job.gang.id}: waits until all {size} members are RUNNABLE"


def _turn(job: Job) -> str:
    if job.not_before is None:
        return "waiting for its turn"
    return f"waiting for its turn, which comes not before {shown(job.not_before)}"


def _array(fields: Fields) -> ArraySummary | None:
    if b"N" not in fields:
        return None
    size, alive = int(fields[b"N"]), int(fields.get(b"alive", 0))
    succeeded, failed, cancelled = (int(fields.get(name, 0)) for name in (b"S", b"F", b"C"))
    waiting = size - alive - succeeded - failed - cancelled
    return ArraySummary(size, waiting, alive, succeeded, failed, cancelled)


def _progress(fields: Fields) -> Progress | None:
    if b"p" not in fields:
        return None
    at_ms, _, told = text(fields[b"p"]).partition(" ")
    return Progress(int(at_ms), told)


def attempts(lines: bytes) -> tuple[Attempt, ...]:
    """Past attempts, a line each."""
    return tuple(_attempt(line) for line in lines.split(b"\n") if line)


def _attempt(line: bytes) -> Attempt:
    task_arn, instance_arn, started, ended, exit_code, reason, *more = text(line).split("\t")
    launched = more[0] if more else ""  # not there in what an earlier version wrote
    return Attempt(
        task_arn=TaskArn(task_arn),
        instance_arn=InstanceArn(instance_arn) if instance_arn else None,
        launched_at_ms=int(launched) if launched else None,
        started_at_ms=int(started) if started else None,
        ended_at_ms=int(ended),
        exit_code=int(exit_code) if exit_code else None,
        reason=reason,
    )


def _dead_letter(entry_id: str, fields: Fields) -> DeadLetter:
    return DeadLetter(
        entry_id=entry_id,
        document=text(fields[b"document"]),
        reason=text(fields[b"reason"]),
        at_ms=int(fields[b"at"]),
        inbox_entry=text(fields[b"entry"]),
    )


def _event(entry_id: str, fields: Fields) -> Event:
    return Event(
        entry_id=entry_id,
        job_id=JobId(text(fields[b"job"])),
        state=state_of(fields[b"state"]),
        reason=text(fields.get(b"reason", b"")),
        at_ms=int(fields[b"at"]),
    )


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)
