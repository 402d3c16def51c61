"""What a launch tells its tasks of the service: where it is, and the secret that it knows them by.

It is the same for all tasks of a call, and added at the last moment, so that it keeps no two jobs
from sharing one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_queue.assignment import secret_of, signing_key
from ecs_queue.job import MAX_OVERRIDES_CHARACTERS
from ecs_queue.worker import SECRET_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    from ecs_queue.client import Queue
    from ecs_queue.states import LaunchToken
    from ecs_scheduler.launching.launch import Launch
    from ecs_scheduler.launching.launch_signature import LaunchSignature

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Introduction:
    """Introduces the service at `url`, if there is one; otherwise tasks have to know Redis."""

    def __init__(self, queue: Queue, url: str | None) -> None:
        self._queue = queue
        self._url = url
        self._key: bytes | None = None

    def forget(self) -> None:
        """Ask Redis for the key again: it may be another Redis by now."""
        self._key = None

    async def to(self, launch: Launch, token: LaunchToken) -> LaunchSignature:
        """The signature to launch with. Raises QueueError where the key cannot be read."""
        if self._url is None:
            return launch.signature
        if self._key is None:
            self._key = await self._queue.run(signing_key())
        told = {URL_VARIABLE: self._url, SECRET_VARIABLE: secret_of(token, self._key)}
        containers = launch.slots[0].held.definition.containers
        signature = launch.signature.with_environment(told, containers)
        if len(signature.overrides) > MAX_OVERRIDES_CHARACTERS:
            log.warning("overrides too long to introduce the service", token=token)
            return launch.signature
        return signature
