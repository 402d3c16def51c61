"""After Redis restarted or failed over: nothing is launched until queue and ECS agree again.

What we remember having launched goes back into the books. What runs and is in nobody's books (its
scheduler is gone too) is stopped, since its job waits in the queue and will be launched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_queue.rewinding import Remembered
from ecs_scheduler.errors import LeadLost

if TYPE_CHECKING:
    from ecs_queue.states import TaskArn
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.launching.launcher import Launcher
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DESCRIBED_AT_ONCE = 100
BLIND = (
    "Redis's ACL forbids INFO, so a restart or a fail-over goes unnoticed, "
    "and what it forgets may run twice; allow it (ACL SETUSER ... +info)"
)
IDENTITY_CHARACTERS = 12
"""Of a launch token's 32: enough to tell queues apart, and the rest is random enough."""

Seen = tuple[int, str | None]
"""The how-manieth lead of ours a look belongs to, and which server answered it."""


class Rewind:
    """Whether launching is `allowed`: it is once no mark stands, or it was dealt with."""

    def __init__(self, around: Around, launcher: Launcher, tracker: Tracker) -> None:
        self._around = around
        self._launcher = launcher
        self._tracker = tracker
        self._orphans: set[TaskArn] = set()
        self._leads = 0
        self._told_of = 0
        self._marked_at = 0.0
        self.allowed = False

    def forget(self) -> None:
        """The lead changed: whatever a look under way has learned may be old by now."""
        self.allowed = False
        self._leads += 1

    async def look(self) -> None:
        """Due as soon as we lead, and every few seconds while a mark stands. Raises LeadLost where
        the lead, or the server that answers, changed meanwhile.
        """
        if self.allowed:
            return
        around = self._around
        seen = self._leads, await around.queue.rewinding.server()
        fresh = around.queue.new_token()[:IDENTITY_CHARACTERS]
        self._launcher.identity = await around.queue.rewinding.identity(fresh)
        mark = await around.queue.rewinding.mark()
        if mark is None:
            await self._allow(seen)
            return
        now = around.clock.monotonic_s()
        if mark.at_ms != self._told_of:
            self._told_of = mark.at_ms
            # Told by our own clock from here on: Redis's may be set meanwhile.
            self._marked_at = now - max(0, mark.age_ms) / 1000
            log.warning("redis restarted or failed over; comparing with ECS", ago_ms=mark.age_ms)
        remembered = [Remembered(job, arn) for arn, job in self._tracker.remembered().items()]
        await around.queue.rewinding.restore(remembered)
        await self._tracker.load()
        certain = now - self._marked_at >= around.config.certain_after_s
        if self._launcher.in_flight or not certain:
            return  # ECS must show every launch from before, and ours must have ended
        if not await self._stop_orphans(seen):
            await around.queue.rewinding.compared(mark)
            await self._allow(seen)
            log.info("queue and ECS agree")

    async def _allow(self, seen: Seen) -> None:
        await self._still(seen)
        if seen[1] is None:
            log.warning(BLIND)
        self.allowed = True

    async def _still(self, seen: Seen) -> None:
        server = await self._around.queue.rewinding.server()
        if (self._leads, server) != seen:
            raise LeadLost("the lead changed while queue and ECS were compared; once more")

    async def _stop_orphans(self, seen: Seen) -> int:
        """Stop what runs of this queue without its knowledge; how many have not stopped yet."""
        ecs, queue = self._around.ecs, self._around.queue
        pending = {each.token for each in await queue.pending_launches(limit=10_000)}
        arns = sorted({*await ecs.list_running_tasks(), *self._orphans})
        known = await queue.known_tasks(arns)
        unknown = [arn for arn in arns if arn not in known]
        tasks: list[Task] = []
        for start in range(0, len(unknown), DESCRIBED_AT_ONCE):
            found, _ = await ecs.describe_tasks(
                unknown[start : start + DESCRIBED_AT_ONCE], "reconcile"
            )
            tasks += found
        ours = [
            task
            for task in tasks
            if task.started_by.startswith(self._launcher.identity)
            and task.started_by not in pending
            and task.last_status != "STOPPED"
        ]
        self._orphans = {task.arn for task in ours}
        for task in ours:
            if task.desired_status != "STOPPED":
                await self._still(seen)
                log.warning("the queue lost this launch; stopping its task", task=task.arn)
                await ecs.stop_task(task.arn, "its launch was lost with Redis's last writes")
        return len(ours)
