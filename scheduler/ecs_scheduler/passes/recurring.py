"""Submits the jobs of recurring schedules when their ticks have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import InvalidJob
from ecs_queue.schedule import Fire, Kept, Miss, decide
from ecs_queue.schedules import Schedules, Unread
from ecs_queue.submissions import Circular, Conflict, Unequal

if TYPE_CHECKING:
    from ecs_queue.job import JobId
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Recurring:
    """Looks at the schedules of the queue; only the leader does."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._schedules = Schedules(around.queue.run)

    async def look(self) -> None:
        """Submit what is due. What breaks off here is finished by the next look, or leader."""
        now_ms = self._around.clock.now_ms()
        for kept in await self._schedules.due():
            if isinstance(kept, Unread):
                await self._set_aside(kept)
                continue
            match decide(kept, now_ms):
                case Fire() as fire:
                    await self._fire(kept, fire)
                case Miss(go_on_ms, note):
                    log.warning("tick missed", schedule=kept.schedule.name, note=note)
                    self._around.metrics.ticked("missed")
                    await self._schedules.end(kept, go_on_ms, None, note)
                case None:
                    pass

    async def _set_aside(self, unread: Unread) -> None:
        if await self._schedules.set_aside(unread):
            name = unread.shown.schedule.name
            log.error("schedule set aside", schedule=name, reason=unread.problem)
            self._around.metrics.ticked("unreadable")

    async def _fire(self, kept: Kept, fire: Fire) -> None:
        match await self._schedules.begin(kept, fire):
            case "SKIP":
                self._around.metrics.ticked("skipped")
            case "FIRE":
                job_id, note = await self._submit(kept, fire.tick_ms)
                self._around.metrics.ticked("failed" if job_id is None else "fired")
                await self._schedules.end(kept, fire.go_on_ms, job_id, note)

    async def _submit(self, kept: Kept, tick_ms: int) -> tuple[JobId | None, str]:
        """The job that stands for the tick, or why there is none."""
        try:
            job = kept.schedule.job_at(tick_ms)
        except InvalidJob as error:
            log.warning("tick is no job", schedule=kept.schedule.name, error=str(error))
            return None, f"no job: {error}"
        (submission,) = await self._around.queue.submit([job])
        match submission:
            case Conflict():
                return job.id, f"another job was submitted as {job.id} before"
            case Circular(cycle=cycle):
                return None, f"the job would wait for itself: {' -> '.join(cycle)}"
            case Unequal() as unequal:
                return None, str(unequal)
        return job.id, ""
