"""Strays: tasks of launches that counted as absent, and that ECS started all the same, too late.

The job runs under another token by then, so a stray is stopped. Doubted tokens are kept in Redis,
whichever scheduler doubted them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from ecs_queue.states import LaunchToken
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DOUBTED_FOR_S = 900.0
"""ECS advises to allow up to five minutes until a task shows; this is three times as long."""

LOOK_EVERY_S = 30.0
LOOKS_AT_ONCE = 5
"""Read calls a round: a mass of doubts is looked at more slowly, and leaves the budget alone."""


class Strays:
    """Looks after launches that counted as absent."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._looked_at: dict[LaunchToken, float] = {}
        self.stopped = 0

    async def look(self) -> None:
        """Ask after the doubted tokens whose turn it is, and stop what should not run."""
        around, now = self._around, self._around.clock.monotonic_s()
        doubted = await around.queue.doubted_launches(kept_ms=round(DOUBTED_FOR_S * 1000))
        never = float("-inf")
        self._looked_at = {token: self._looked_at.get(token, never) for token in doubted}
        due = [token for token in doubted if now - self._looked_at[token] >= LOOK_EVERY_S]
        for token in sorted(due, key=self._looked_at.__getitem__)[:LOOKS_AT_ONCE]:
            try:
                await self._look_for(token)
                self._looked_at[token] = now
            except SchedulerError as error:
                log.warning("doubted launch not looked at yet", token=token, error=str(error))

    async def _look_for(self, token: LaunchToken) -> None:
        around = self._around
        arns = await around.ecs.list_tasks_started_by(token, "strays")
        known = await around.queue.known_tasks(arns)
        unknown = [arn for arn in arns if arn not in known]
        if not unknown:
            return
        tasks, _ = await around.ecs.describe_tasks(unknown, "strays")
        for task in tasks:
            if task.desired_status != "STOPPED":
                log.warning("a task came too late; stopping it", task=task.arn, token=token)
                await around.ecs.stop_task(task.arn, "its job was launched again meanwhile")
                self.stopped += 1
