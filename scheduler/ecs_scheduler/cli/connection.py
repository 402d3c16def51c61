"""The flags that every command on a queue has, and the way from them to a Queue."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ecs_queue.client import Queue
from ecs_scheduler.config import Config
from ecs_scheduler.config_sources import load_config
from ecs_scheduler.queue_connection import open_queue

_SETTINGS = frozenset(Config.model_fields)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class QueueFlags:
    """Which queue in which Redis, and how to print."""

    redis_url: str | None = None
    """Redis or Valkey [env: ECS_SCHEDULER_REDIS_URL, REDIS_URL; default: redis://127.0.0.1:6379]"""
    queue: str | None = None
    """Name of the queue [env: ECS_SCHEDULER_QUEUE; default: default]"""
    config: Path | None = None
    """TOML file with settings; ecs-scheduler.toml of this directory by default."""
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table"
    """How to print what was asked for."""

    def settings(self) -> Config:
        """The settings, of which the flags come first. Raises ConfigurationError."""
        given = vars(self).items()
        flags = {name: value for name, value in given if name in _SETTINGS and value is not None}
        return load_config(flags, os.environ, directory=Path.cwd(), file=self.config)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Queue]:
        """The queue, reachable. Raises ConfigurationError or QueueUnreachable."""
        async with open_queue(self.settings()) as queue:
            yield queue


DEFAULT_QUEUE = QueueFlags()
