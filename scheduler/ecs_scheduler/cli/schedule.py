"""`ecs-scheduler schedule`: recurring submissions; add, list, show, remove, pause, resume."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import App, Parameter

from ecs_queue.document import read_json
from ecs_queue.errors import InvalidJob
from ecs_queue.job import JobId
from ecs_queue.schedule import Kept, parse_schedule
from ecs_queue.schedules import Schedules
from ecs_queue.states import JobState
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import OK, Failed, InvalidInput
from ecs_scheduler.cli.output import print_json, print_lines, print_table, report, time_shown
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.web.presentation import schedule_as_json

schedule = App(
    name="schedule",
    help="Recurring submissions by cron expressions. Lists them by itself.",
    default_parameter=Parameter(negative=()),
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class When:
    """How the ticks are meant."""

    time_zone: str = "UTC"
    """Where the clock hangs, such as Europe/Berlin."""
    missed: Literal["once", "skip"] = "once"
    """What to do about ticks at which no scheduler ran: submit the latest of them, or none."""
    overlap: Literal["allow", "forbid"] = "allow"
    """Whether to submit while the job of the last tick has not ended."""
    replace: bool = False
    """Take the place of the schedule that has this name."""


AS_USUAL = When()


@schedule.command
async def add(
    name: str, cron: str, /, *, job: str, when: When = AS_USUAL, queue: QueueFlags = DEFAULT_QUEUE
) -> int:
    """Submit a job at every tick of a cron expression, as NAME-20261126T0300Z.

        ecs-scheduler schedule add nightly '0 3 * * *' --job '{"task_definition": "report:7"}'

    Args:
        name: Name of the schedule.
        cron: Minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly,
            @monthly, @yearly.
        job: The job's document as JSON, without an id; @FILE takes it from a file.
        when: How the ticks are meant.
        queue: The queue.
    """
    document = {
        "name": name,
        "cron": cron,
        "time_zone": when.time_zone,
        "missed": when.missed,
        "overlap": when.overlap,
        "job": _document(job),
    }
    made = parse_schedule(json.dumps(document))
    now_ms = SystemClock().now_ms()
    async with queue.connected() as client:
        if not await Schedules(client.run).put(made, now_ms, replace=when.replace):
            raise Failed(f"another schedule is called {name}; --replace takes its place")
    _tell(name, queue, next_ms=made.after(now_ms))
    return OK


@schedule.default
@schedule.command(name="list")
async def list_schedules(*, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """List the recurring submissions.

    Args:
        queue: The queue.
    """
    async with queue.connected() as client:
        found = await Schedules(client.run).all()
        states = await client.states([each.last_job for each in found if each.last_job])
    if queue.output == "json":
        print_json([schedule_as_json(each) for each in found])
        return OK
    if not found:
        report("no schedules")
        return OK
    rows = [
        (
            each.schedule.name,
            each.schedule.cron,
            each.schedule.time_zone,
            "-" if each.paused or each.aside else time_shown(each.next_ms),
            each.last_job or "-",
            _state(each, states),
            _note(each),
        )
        for each in found
    ]
    print_table(("NAME", "CRON", "TIME ZONE", "NEXT", "LAST JOB", "STATE", "NOTE"), rows)
    return OK


@schedule.command
async def show(name: str, /, *, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Show one recurring submission with its job's document, as JSON.

    Args:
        name: Name of the schedule.
        queue: The queue.
    """
    async with queue.connected() as client:
        print_json(schedule_as_json(await _known(Schedules(client.run), name)))
    return OK


@schedule.command
async def remove(name: str, /, *, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Submit nothing more; jobs that were submitted run on.

    Args:
        name: Name of the schedule.
        queue: The queue.
    """
    async with queue.connected() as client:
        schedules = Schedules(client.run)
        await _known(schedules, name)
        await schedules.remove(name)
    _tell(name, queue, outcome="removed")
    return OK


@schedule.command
async def pause(name: str, /, *, reason: str = "by hand", queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Submit nothing until it is resumed.

    Args:
        name: Name of the schedule.
        reason: Why, for those who look on.
        queue: The queue.
    """
    async with queue.connected() as client:
        schedules = Schedules(client.run)
        await _known(schedules, name)
        await schedules.pause(name, reason)
    _tell(name, queue, outcome="paused")
    return OK


@schedule.command
async def resume(name: str, /, *, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Go on with the next tick; what came meanwhile is left out.

    Args:
        name: Name of the schedule.
        queue: The queue.
    """
    async with queue.connected() as client:
        schedules = Schedules(client.run)
        await schedules.resume(name, SystemClock().now_ms())
        kept = await _known(schedules, name)
    _tell(name, queue, next_ms=kept.next_ms)
    return OK


def _tell(name: str, queue: QueueFlags, *, outcome: str = "", next_ms: int | None = None) -> None:
    """What became of a schedule, or when it comes next."""
    if queue.output == "json":
        print_json({"name": name, **({"outcome": outcome} if outcome else {"next_ms": next_ms})})
    else:
        print_lines([f"{name}: {outcome or f'next at {time_shown(next_ms)}'}"])


async def _known(schedules: Schedules, name: str) -> Kept:
    kept = await schedules.one(name)
    if kept is None:
        raise Failed(f"no schedule {name!r} in this queue")
    return kept


def _note(kept: Kept) -> str:
    if kept.aside is not None:
        return f"set aside: {kept.aside}"
    return kept.note if kept.paused is None else f"paused: {kept.paused}"


def _state(kept: Kept, states: Mapping[JobId, JobState]) -> str:
    state = None if kept.last_job is None else states.get(kept.last_job)
    return "-" if state is None else state.value


def _document(given: str) -> Any:
    try:
        raw = Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()
        return read_json(raw, "the job")
    except OSError as error:
        raise InvalidInput(f"--job: cannot read {given[1:]}: {error.strerror}") from None
    except InvalidJob as error:
        raise InvalidInput(f"--job: {error}") from None
