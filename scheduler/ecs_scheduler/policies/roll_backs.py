"""Keeps in the queue that a candidate was rolled back, so that no restart tries it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_queue.roll_backs import roll_back, rolled_back

if TYPE_CHECKING:
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RollBacks:
    """Between the trial under way and what the queue remembers of the same version."""

    def __init__(self, around: Around) -> None:
        self._around = around

    async def look(self) -> None:
        """Write down a roll-back, or learn of one; before that, the candidate takes no job."""
        policies, queue = self._around.policies, self._around.queue
        trial = policies.follow()
        if trial is None or not trial.percent:
            return
        version, trying = policies.book.version, policies.trying
        if trying.rolled_back:
            why: str | None = await queue.run(roll_back(version, trying.rolled_back))
        else:
            why = await queue.run(rolled_back(version))
        if version == policies.book.version:  # no reload in between
            trying.remember(why or "")
