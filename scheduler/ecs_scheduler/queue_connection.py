"""From a Config to its queue in Redis, shared by the service and the commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ecs_queue import connection
from ecs_queue.client import Queue
from ecs_queue.script import QueueSettings
from ecs_queue.states import QueueName
from ecs_scheduler.config import Config


@asynccontextmanager
async def open_queue(config: Config) -> AsyncIterator[Queue]:
    """The queue, once Redis has answered. Raises InvalidRedisUrl or QueueUnreachable."""
    settings = QueueSettings(
        retention_s=config.retention_s,
        infrastructure_budget=config.max_infrastructure_failures,
        ended_kept=config.retention_jobs,
        events_kept=config.events_kept,
        dead_letters_kept=config.dead_letters_kept,
    )
    queue = Queue(connection.connect(config.redis_url), QueueName(config.queue), settings=settings)
    try:
        await queue.ping()
        yield queue
    finally:
        await queue.aclose()
