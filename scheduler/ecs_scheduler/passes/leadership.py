"""Leadership: of all schedulers of a queue and cluster one is active, the others stand by.

The lead is a lease in Redis. Whoever takes it over ends the claims of the one before, so that a
leader that was frozen meanwhile finds every door shut when it wakes up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import QueueOfAnotherCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Leadership:
    """Whether this scheduler leads; `on_change(leading)` is called whenever that changes."""

    def __init__(self, around: Around, on_change: Callable[[bool], None]) -> None:
        self._around = around
        self._on_change = on_change
        self._fence: int | None = None
        self._led = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()

    @property
    def leading(self) -> bool:
        """Whether this scheduler leads, as far as it knows."""
        return self._fence is not None

    async def campaign(self) -> None:
        """Take the lead if it is free, or keep it; due several times within a lease. Raises
        QueueOfAnotherCluster where the queue's books are kept for another one.
        """
        around, config = self._around, self._around.config
        try:
            fence = await around.queue.lead(
                around.owner,
                config.cluster_name,
                lease_ms=round(config.lease_s * 1000),
                spread=len(config.serve) > 1,
                arn=around.ecs.cluster_arn,
            )
        except QueueOfAnotherCluster:
            self.lose("the queue went to another cluster")
            raise
        if fence == self._fence:
            return
        if self._fence is not None:
            self.lose("another scheduler leads" if fence is None else "the lease ran out")
        if fence is not None:
            self._fence = fence
            log.info("leading", owner=around.owner, fence=fence)
            self._on_change(True)
            self._over.clear()
            self._led.set()

    def lose(self, why: str) -> None:
        """We do not lead any more; the next campaign may change that."""
        if self._fence is None:
            return
        self._fence = None
        self._led.clear()
        self._over.set()
        log.warning("lead lost; standing by", why=why)
        self._on_change(False)

    async def begins(self) -> None:
        """Wait until we lead, or until everything ends."""
        await self._led.wait()

    async def ends(self) -> None:
        """Wait until we lead no longer, or until everything ends."""
        await self._over.wait()

    def release(self) -> None:
        """The service stops: nobody waits here any longer."""
        self._led.set()
        self._over.set()

    async def resign(self) -> int:
        """Make room for a successor at once; the number of claims handed back."""
        return await self._around.queue.resign(self._around.owner, self._around.config.cluster_name)
