"""A recurring submission: a job's document, and the cron expression of when it is submitted.

What a moment means for a schedule is decided here, purely; `schedules` keeps them in Redis. The job
of a tick is named after it, so that a tick submitted twice is one job.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, JsonValue, ValidationError
from pydantic_core import to_json

from ecs_queue.document import parse_job, problems_of, read_json
from ecs_queue.errors import InvalidJob, InvalidSchedule
from ecs_queue.job import SCHEDULE_PATTERN, Job, JobId
from ecs_queue.wire import OwnModel

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
LATE_MS = 120_000
"""A tick is missed when nobody was there to submit it for so long."""

_OWN_TO_EACH = ("id", "not_before", "deadline", "gang", "array_index")
_SOMEDAY = datetime(2000, 1, 1, tzinfo=UTC)


def _ticks(cron: str, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """The ticks after a moment, or those before it from the latest on."""
    from cronsim import CronSim  # only schedules need it

    ticks: Iterator[datetime] = CronSim(cron, start, reverse)
    return ticks


def _cron(expression: str) -> str:
    written = MACROS.get(expression.strip(), expression)
    fields = written.split()
    if len(fields) != 5:
        raise ValueError(
            f'"{expression}" has {len(fields)} fields; cron has five (minute, hour, day of the '
            f"month, month, day of the week), or {', '.join(MACROS)}"
        )
    from cronsim import CronSimError

    try:
        next(_ticks(" ".join(fields), _SOMEDAY))
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it never comes"
        raise ValueError(f'"{expression}" is no cron expression: {why}') from None
    return " ".join(fields)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'"{name}" is no time zone; use a name such as Europe/Berlin') from None
    return name


class Schedule(OwnModel):
    """A job for every tick of a cron expression.

    `missed`: what is done about ticks at which no scheduler ran: `once` submits the latest of them,
    `skip` none. `overlap`: whether a tick is submitted while the job of the last one has not ended.
    """

    name: str = Field(pattern=SCHEDULE_PATTERN)
    cron: Annotated[str, AfterValidator(_cron)]
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    missed: Literal["once", "skip"] = "once"
    overlap: Literal["allow", "forbid"] = "allow"
    job: dict[str, JsonValue]

    def job_at(self, tick_ms: int) -> Job:
        """The job of a tick, NAME-20261126T0300Z. Raises InvalidJob."""
        return parse_job(to_json({**self.job, "id": self.job_id_at(tick_ms)}))

    def job_id_at(self, tick_ms: int) -> JobId:
        """In UTC, so that no two ticks share it when clocks are set back."""
        return JobId(f"{self.name}-{_moment(tick_ms):%Y%m%dT%H%MZ}")

    def after(self, at_ms: int) -> int:
        """The first tick after a moment, ms since the epoch.

        Where clocks are set forward, a tick of the hour that is left out comes right after it;
        where they are set back, one at a fixed time comes once (Debian's cron(8)).
        """
        return _ms(next(_ticks(self.cron, self._local(at_ms))))

    def latest(self, now_ms: int) -> int:
        """The last tick that is not after now."""
        minute = _moment(now_ms).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return _ms(next(_ticks(self.cron, self._local(_ms(minute)), reverse=True)))

    def _local(self, at_ms: int) -> datetime:
        return _moment(at_ms).astimezone(ZoneInfo(self.time_zone))


def parse_schedule(document: bytes | str) -> Schedule:
    """Read one JSON document, its job included.

    Raises:
        InvalidSchedule: with what is wrong and where.
    """
    raw = document.encode() if isinstance(document, str) else document
    try:
        read_json(raw, "the schedule")
        schedule = Schedule.model_validate_json(raw, strict=True)
        for name in _OWN_TO_EACH:
            if name in schedule.job:
                raise InvalidJob(f"job.{name}: cannot be the same for every tick; leave it out")
        schedule.job_at(0)
    except ValidationError as error:
        raise InvalidSchedule(problems_of(error, Schedule)) from None
    except InvalidJob as error:
        raise InvalidSchedule(str(error)) from None
    return schedule


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule as the queue keeps it; times in ms, None where there is none.

    `begun_ms` is a tick whose submission was begun and not finished; `note` says why a tick was
    left out, or could not be submitted; `aside`, that a scheduler could not read the document, and
    submits nothing until it is replaced or resumed. `document` is the schedule as it is stored,
    which another version may have written otherwise.
    """

    schedule: Schedule
    next_ms: int
    begun_ms: int | None
    paused: str | None
    last_job: JobId | None
    fired: int
    skipped: int
    note: str
    aside: str | None = None
    document: bytes = b""


@dataclass(frozen=True, slots=True)
class Fire:
    """Submit the job of this tick, and go on after it."""

    tick_ms: int
    go_on_ms: int


@dataclass(frozen=True, slots=True)
class Miss:
    """Leave out what was missed, and go on."""

    go_on_ms: int
    note: str


def decide(kept: Kept, now_ms: int) -> Fire | Miss | None:
    """What is due; None before the next tick.

    A submission that was begun is finished first. Of several ticks that have passed the latest is
    submitted, unless it is too late for a schedule that skips.
    """
    schedule = kept.schedule
    if kept.begun_ms is not None:
        return Fire(kept.begun_ms, schedule.after(kept.begun_ms))
    if now_ms < kept.next_ms:
        return None
    tick_ms = max(kept.next_ms, schedule.latest(now_ms))
    if schedule.missed == "skip" and now_ms - tick_ms > LATE_MS:
        late = f"missed {_moment(tick_ms):%Y-%m-%dT%H:%MZ}: no scheduler ran"
        return Miss(schedule.after(now_ms), late)
    return Fire(tick_ms, schedule.after(tick_ms))


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
