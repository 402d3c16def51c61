"""`ecs-scheduler record`: keeps what a live cluster did, for `simulate --history`."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import OK, InvalidInput
from ecs_scheduler.cli.output import print_lines
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config_sources import load_config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.queue_connection import open_queue
from ecs_scheduler.recording.history import Folder
from ecs_scheduler.recording.recorder import Recorded, Recorder

MOST_DAYS = 3650


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RecordFlags:
    """What to record, how often, and where to."""

    out: Path = Path("history")
    """Folder of the recording; it is made, and gone on with if it is there."""
    every_s: Annotated[float, Parameter(validator=Number(gt=0, lte=86_400))] = 60.0
    """Time between two looks at the queue and the cluster; a look reads each instance once."""
    keep_days: Annotated[int, Parameter(validator=Number(gte=1, lte=MOST_DAYS))] = 30
    """Older recordings are removed."""
    looks: Annotated[int | None, Parameter(validator=Number(gte=1))] = None
    """End after so many looks; without it, at Ctrl-C or SIGTERM."""
    config: Path | None = None
    """TOML file with settings; ecs-scheduler.toml of this directory by default."""
    redis_url: str | None = None
    """Redis or Valkey [env: ECS_SCHEDULER_REDIS_URL, REDIS_URL]"""
    queue: str | None = None
    """Name of the queue [env: ECS_SCHEDULER_QUEUE]"""
    cluster: str | None = None
    """Name or ARN of the ECS cluster [env: ECS_SCHEDULER_CLUSTER, ECS_CLUSTER]"""
    region: str | None = None
    """AWS Region [env: AWS_REGION]"""
    endpoint_url: str | None = None
    """Another ECS endpoint, such as a simulated one."""

    def settings(self) -> dict[str, object]:
        """The flags that are settings of the service."""
        names = ("redis_url", "queue", "cluster", "region", "endpoint_url")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


async def record(*, flags: RecordFlags = RecordFlags()) -> int:
    """Record the jobs that end and the instances there are, until it is stopped.

    Only reads; it may run beside the scheduler or anywhere else. The folder is for
    `ecs-scheduler simulate --history`.
    """
    if flags.out.exists() and not flags.out.is_dir():
        raise InvalidInput(f"--out: {flags.out} is not a folder")
    config = load_config(flags.settings(), os.environ, directory=Path.cwd(), file=flags.config)
    clock = SystemClock()
    async with open_queue(config) as queue, ecs.connect(config, clock) as client:
        await client.verify_cluster()
        recorder = Recorder(queue, client, Folder(flags.out, flags.keep_days), clock)
        looks = 0
        while True:
            _say(await recorder.look())
            looks += 1
            if looks == flags.looks:
                return OK
            await asyncio.sleep(flags.every_s)


def _say(recorded: Recorded) -> None:
    if recorded.jobs or recorded.left_out or recorded.fleet_changed:
        left_out = f", {recorded.left_out} left out (no usable task definition)"
        print_lines(
            [
                f"{recorded.jobs} jobs ended{left_out if recorded.left_out else ''}; "
                f"{recorded.instances} instances"
            ]
        )
