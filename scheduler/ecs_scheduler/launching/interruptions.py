"""Interruptions: instances that go away soon give up their tasks in time, to be run elsewhere.

A Spot notice leaves two minutes; draining leaves standalone tasks alone, on AWS, so what it does is
a setting. StopTask sends SIGTERM, and SIGKILL only after the container's stopTimeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_scheduler.ecs.tasks import INTERRUPTED

if TYPE_CHECKING:
    from ecs_queue.states import InstanceArn
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NOTICE_REMEMBERED_S = 300.0
"""Longer than the two minutes, since EC2 may take its time; then the instance is gone, or stays."""


class Interruptions:
    """Which instances go away, and the end of what runs there."""

    def __init__(self, around: Around, tracker: Tracker) -> None:
        self._around = around
        self._tracker = tracker
        self._draining_since: dict[InstanceArn, float] = {}
        self._noticed_at: dict[str, float] = {}

    def notice(self, ec2_instance_id: str) -> None:
        """EC2 takes this instance back; told twice is told once."""
        self._noticed_at.setdefault(ec2_instance_id, self._around.clock.monotonic_s())

    async def look(self) -> None:
        """Stop what has to leave; also what was started there in the last moment."""
        for arn, why in self._leaving().items():
            await self._tracker.stop_on(arn, f"{INTERRUPTED} ({why})")

    def _leaving(self) -> dict[InstanceArn, str]:
        model, now = self._around.model, self._around.clock.monotonic_s()
        leaving = dict.fromkeys(self._drained_long_enough(now), "draining")
        noticed = self._noticed_at.items()
        self._noticed_at = {e: at for e, at in noticed if now - at < NOTICE_REMEMBERED_S}
        for ec2_instance_id, at in self._noticed_at.items():
            arn = model.by_ec2_id(ec2_instance_id)
            if arn is not None:
                model.avoid(arn, at + NOTICE_REMEMBERED_S)
                leaving[arn] = "Spot interruption"
        return leaving

    def _drained_long_enough(self, now: float) -> list[InstanceArn]:
        since, after_s = self._draining_since, self._around.config.requeue_draining_after_s
        self._draining_since = {a: since.get(a, now) for a in self._around.model.draining()}
        if after_s is None:
            return []
        return [arn for arn, at in self._draining_since.items() if now - at >= after_s]
