"""`ecs-scheduler jobs`, `job` and `wait`: single jobs and lists of them."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from pydantic_core import from_json

from ecs_queue import assignment
from ecs_queue.children import look_at_children
from ecs_queue.client import Queue
from ecs_queue.job import JobId
from ecs_queue.listing import Filter, look_through
from ecs_queue.payload import compact
from ecs_queue.states import ArraySummary, JobRecord, JobState, TaskArn
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import JOB_FAILED, OK, Failed, InvalidInput
from ecs_scheduler.cli.job_flags import pairs
from ecs_scheduler.cli.output import (
    one_line,
    print_json,
    print_lines,
    print_table,
    report,
    time_shown,
)
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.web.presentation import record_as_json, since_ms

POLL_S = 0.5
MOST_WAIT_S = 1e9
FORGOTTEN = "no longer known, nor its times and attempts (of a large array the latest are kept)"

Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=Number(gte=1, lte=10_000))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FilterFlags:
    """Which jobs; all that is given has to hold."""

    state: JobState | None = None
    """Only jobs in this state."""
    share: str | None = None
    """Only jobs of this share."""
    prefix: str = ""
    """Only jobs whose id begins so."""
    family: str | None = None
    """Only jobs of this task definition family."""
    tag: Annotated[tuple[str, ...], Parameter(show_default=False)] = ()
    """Only jobs with this tag KEY=VALUE; repeated, all have to match."""
    since: str | None = None
    """Only jobs submitted since: ISO 8601 such as 2026-11-26T06:00:00Z, or 90s, 30m, 2h, 7d ago."""

    def filter(self, now_ms: int) -> Filter:
        """The same for the queue. Raises InvalidInput."""
        return Filter(
            state=self.state,
            share=self.share,
            prefix=self.prefix,
            family=self.family,
            tags=pairs("--tag", self.tag),
            since_ms=None if self.since is None else since_ms(self.since, now_ms),
        )


ANY_JOB = FilterFlags()


async def jobs(
    *,
    wanted: FilterFlags = ANY_JOB,
    array: str | None = None,
    limit: Limit = 50,
    offset: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """List jobs: running ones first, then those waiting in order, then the ended ones.

    Args:
        wanted: Which jobs.
        array: The children of this array instead, in the order of their index; only --state
            chooses among them, and --offset is the index to begin with.
        limit: Most jobs to list.
        offset: Jobs not to look at, at the beginning.
        queue: The queue.
    """
    which = wanted.filter(SystemClock().now_ms())
    if array is not None:
        if which != Filter(state=which.state):
            raise InvalidInput("--array: goes together with --state, --limit and --offset only")
        return await _children(JobId(array), which.state, limit, offset, queue)
    async with queue.connected() as client:
        records = (await look_through(client.run, which, limit=limit, offset=offset)).records
        counts = await client.counts()
        paused = await client.steering.paused()
    if queue.output == "json":
        print_json([record_as_json(record) for record in records])
        return OK
    rows = [
        (
            record.job.id,
            record.state.value,
            str(record.priority),
            time_shown(record.submitted_at_ms),
            record.job.task_definition,
            record.reason,
        )
        for record in records
    ]
    print_table(("ID", "STATE", "PRIORITY", "SUBMITTED", "TASK DEFINITION", "REASON"), rows)
    some = {each.value: number for each, number in counts.items() if number}
    if paused is not None:
        report(f"the whole queue is suspended: {paused}")
    report("in all: " + (", ".join(f"{n:,} {each}" for each, n in some.items()) or "no jobs"))
    return OK


async def _children(
    array: JobId, state: JobState | None, limit: int, offset: int, queue: QueueFlags
) -> int:
    async with queue.connected() as client:
        children = await look_at_children(client.run, array, state, limit=limit, offset=offset)
    if queue.output == "json":
        print_json([asdict(each) for each in children.found])
        return OK
    rows = [
        (
            each.id,
            each.state.value,
            "-" if each.launches is None else str(each.launches),
            "-" if each.exit_code is None else str(each.exit_code),
            each.reason,
        )
        for each in children.found
    ]
    print_table(("ID", "STATE", "LAUNCHES", "EXIT", "REASON"), rows)
    if children.go_on_at is not None:
        report(f"there may be more: --offset {children.go_on_at}")
    return OK


async def job(job_id: str, /, *, payload: bool = False, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Show everything about one job: its state, why it waits or how it ended, its attempts.

    Args:
        job_id: Id of the job.
        payload: Show its payload too.
        queue: The queue.
    """
    async with queue.connected() as client:
        record = await client.job(JobId(job_id))
        written = await client.run(assignment.payload(job_id)) if payload else None
    if queue.output == "json":
        more = {"payload": from_json(written or b"null")} if payload else {}
        print_json(record_as_json(record) | more)
    else:
        _show(record, (written or b"none").decode() if payload else "")
    return OK


async def wait(
    *job_ids: str,
    timeout_s: Annotated[
        float | None, Parameter(name="--timeout-s", validator=Number(gte=0, lte=MOST_WAIT_S))
    ] = None,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Wait until all these jobs have ended; exit with 4 unless all of them SUCCEEDED.

    Args:
        job_ids: Ids of the jobs.
        timeout_s: Give up, and exit with 1, after so many seconds.
        queue: The queue.
    """
    if not job_ids:
        raise InvalidInput("wait: name at least one job id")
    async with queue.connected() as client:
        records = {each: await client.job(JobId(each)) for each in job_ids}
        try:
            async with asyncio.timeout(timeout_s):
                await _until_ended(client, job_ids, records)
        except TimeoutError:
            waiting = [
                f"{each} is {r.state.value}" for each, r in records.items() if not r.state.terminal
            ]
            raise Failed(f"not ended after {timeout_s:g} s: {', '.join(waiting)}") from None
    if queue.output == "json":
        print_json([record_as_json(record) for record in records.values()])
    else:
        rows = [(each, record.state.value, record.reason) for each, record in records.items()]
        print_table(("ID", "STATE", "REASON"), rows)
    succeeded = all(record.state is JobState.SUCCEEDED for record in records.values())
    return OK if succeeded else JOB_FAILED


async def _until_ended(
    client: Queue, job_ids: tuple[str, ...], records: dict[str, JobRecord]
) -> None:
    while any(not record.state.terminal for record in records.values()):
        await asyncio.sleep(POLL_S)
        for each in job_ids:
            if not records[each].state.terminal:
                records[each] = await client.job(JobId(each))


def _children_shown(array: ArraySummary) -> str:
    return (
        f"{array.size:,}: {array.waiting:,} waiting, {array.alive:,} under way, "
        f"{array.succeeded:,} succeeded, {array.failed:,} failed, {array.cancelled:,} cancelled"
    )


def _progress_shown(record: JobRecord) -> str:
    if record.progress is None:
        return ""
    return f"{one_line(record.progress.text)} ({time_shown(record.progress.at_ms)})"


def _show(record: JobRecord, payload: str) -> None:
    fields = {
        "id": record.job.id,
        "state": record.state.value,
        "reason": record.reason,
        "task definition": record.job.task_definition,
        "priority": str(record.priority),
        "submitted": time_shown(record.submitted_at_ms),
        "runnable": time_shown(record.runnable_at_ms),
        "starting": time_shown(record.starting_at_ms),
        "running": time_shown(record.running_at_ms),
        "ended": time_shown(record.ended_at_ms),
        "task": record.task_arn or "",
        "instance": record.instance_arn or "",
        "exit code": "" if record.exit_code is None else str(record.exit_code),
        "launches": FORGOTTEN if record.forgotten else str(record.launches),
        "attempts allowed": str(record.job.retry.attempts),
        "infrastructure failures": str(record.infrastructure_failures or ""),
        "cancel requested": "yes" if record.cancel_requested else "",
        "payload": one_line(payload),
        "progress": _progress_shown(record),
        "result": "" if record.result is None else one_line(compact(record.result).decode()),
        "children": "" if record.array is None else _children_shown(record.array),
    }
    print_lines(
        f"{name + ':':24} {value}" for name, value in fields.items() if value not in ("", "-")
    )
    if not record.attempts:
        return
    print_lines(["", "past attempts:"])
    first = min(tasks_of(record), default=1)
    rows = [
        (
            str(number),
            time_shown(each.launched_at_ms),
            time_shown(each.started_at_ms),
            time_shown(each.ended_at_ms),
            "-" if each.exit_code is None else str(each.exit_code),
            _short(each.instance_arn),
            each.task_arn or "-",
            each.reason,
        )
        for number, each in enumerate(record.attempts, first)
    ]
    print_table(("NO", "LAUNCHED", "STARTED", "ENDED", "EXIT", "INSTANCE", "TASK", "REASON"), rows)


def tasks_of(record: JobRecord) -> dict[int, TaskArn]:
    """The tasks by their number, from 1; of long histories the first ones are gone."""
    tasks = [each.task_arn for each in record.attempts if each.task_arn is not None]
    if record.task_arn is not None and record.task_arn not in tasks:
        tasks.append(record.task_arn)
    first = max(1, record.launches - len(tasks) + 1)
    return dict(enumerate(tasks, first))


def _short(arn: str | None) -> str:
    return "-" if arn is None else arn.rpartition("/")[2]
