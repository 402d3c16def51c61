"""`ecs-scheduler logs`: what the containers of a job's task wrote."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_queue.client import Queue
from ecs_queue.job import JobId
from ecs_queue.states import JobRecord, TaskArn
from ecs_scheduler.cli.connection import QueueFlags
from ecs_scheduler.cli.failures import OK, Failed, InvalidInput
from ecs_scheduler.cli.jobs import tasks_of
from ecs_scheduler.cli.output import one_line, print_lines, report, time_shown
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.ecs.container_logs import Line, LogReader, Stream, open_logs, streams_of

POLL_S = 1.0
LINGER_LOOKS = 4
"""Looks after the end of the task: CloudWatch shows the last lines some seconds later."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LogFlags(QueueFlags):
    """Where the cluster is, beside the queue."""

    cluster: str | None = None
    """ECS cluster [env: ECS_SCHEDULER_CLUSTER, ECS_CLUSTER]"""
    region: str | None = None
    """AWS Region [env: ECS_SCHEDULER_REGION, AWS_REGION]"""
    profile: str | None = None
    """Profile of the AWS configuration files [env: ECS_SCHEDULER_PROFILE, AWS_PROFILE]"""
    endpoint_url: str | None = None
    """ECS endpoint other than AWS's own; that of the logs is AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"""


DEFAULT_FLAGS = LogFlags()


async def logs(
    job_id: str,
    /,
    *,
    attempt: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    container: str | None = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-F"])] = False,
    flags: LogFlags = DEFAULT_FLAGS,
) -> int:
    """Show what the containers of a job's latest task wrote to CloudWatch Logs.

    Args:
        job_id: Id of the job.
        attempt: The task of this attempt, counted from 1 as `job ID` lists them.
        container: Only this container's output.
        follow: Go on until the task has ended.
        flags: The queue and the cluster.
    """
    config = flags.settings()
    async with flags.connected() as queue:
        record = await queue.job(JobId(job_id))
        task = task_of(record, attempt)
        streams = await _streams(config, record, task, container)
        async with open_logs(streams, config.aws_region, config.profile) as reader:
            show = _printer(flags.output, several=len(streams) > 1)
            if follow:
                await until_ended(reader, lambda: _still_runs(queue, record.job.id, task), show)
            elif lines := await reader.fresh():
                show(lines)
            else:
                report(f"nothing there yet in {', '.join(each.name for each in streams)}")
    return OK


def task_of(record: JobRecord, attempt: int | None) -> TaskArn:
    """The task of an attempt; of the latest one, if none is named. Raises Failed, InvalidInput."""
    tasks = tasks_of(record)
    if record.array is not None:
        raise InvalidInput(
            f"job {record.job.id} is an array, whose children have tasks; name one, such as "
            f"{record.job.id}:0"
        )
    if record.forgotten:
        raise Failed(f"job {record.job.id} {record.state}; which tasks it had is no longer known")
    if not tasks:
        raise Failed(f"job {record.job.id} has had no task yet: {record.state} {record.reason}")
    number = max(tasks) if attempt is None else attempt
    if number not in tasks:
        raise InvalidInput(
            f"--attempt: job {record.job.id} has the attempts {min(tasks)} to {max(tasks)}"
        )
    return tasks[number]


async def _streams(
    config: Config, record: JobRecord, task: TaskArn, container: str | None
) -> tuple[Stream, ...]:
    """ECS forgets a task an hour after its end; the job's own task definition has to do then."""
    async with ecs.connect(config, SystemClock()) as client:
        found, _ = await client.describe_tasks([task])
        name, runtime_ids = record.job.task_definition, {}
        if found:
            name = found[0].task_definition_arn or name
            runtime_ids = {each.name: each.runtime_id for each in found[0].containers}
        definition = await client.describe_task_definition(name)
    containers: Sequence[Any] = definition.get("containerDefinitions", [])
    known = {name: each for name, each in runtime_ids.items() if each}
    return streams_of(containers, task, known, container)


async def _still_runs(queue: Queue, job_id: JobId, task: TaskArn) -> bool:
    record = await queue.job(job_id)
    return record.task_arn == task and not record.state.terminal


async def until_ended(
    reader: LogReader,
    still_runs: Callable[[], Awaitable[bool]],
    show: Callable[[Sequence[Line]], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Show lines as they come, and for some looks after the end of the task."""
    looks_left = LINGER_LOOKS
    while looks_left:
        if not await still_runs():
            looks_left -= 1
        show(await reader.fresh())
        if looks_left:
            await pause(POLL_S)


def _printer(output: str, *, several: bool) -> Callable[[Sequence[Line]], None]:
    def as_json(line: Line) -> str:
        values = {"container": line.container, "at_ms": line.at_ms, "message": line.message}
        return json.dumps(values, ensure_ascii=False)

    def as_text(line: Line) -> str:
        name = f"{line.container}  " if several else ""
        return f"{time_shown(line.at_ms)}  {name}{one_line(line.message)}"

    written = as_json if output == "json" else as_text
    return lambda lines: print_lines(map(written, lines))
