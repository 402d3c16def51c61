"""StopTask for a task that is followed: again when nothing came of it, and how slow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ecs_scheduler.errors import EcsCallError

if TYPE_CHECKING:
    from ecs_queue.states import TaskArn
    from ecs_scheduler.launching.followed import Followed
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STOP_AGAIN_AFTER_S = 60.0
SLOW_STOP_S = 45.0
"""A container has 30 s by default between SIGTERM and SIGKILL; the agent needs a moment besides."""

STOP_REASON_CHARACTERS = 255


async def stop(around: Around, arn: TaskArn, followed: Followed, reason: str) -> None:
    """Ask for its end, unless that was done a short while ago."""
    now = around.clock.monotonic_s()
    asked_at = followed.stop_asked_at
    if asked_at is not None and now - asked_at < STOP_AGAIN_AFTER_S:
        return
    followed.stop_asked_at = now
    try:
        await around.ecs.stop_task(arn, reason[:STOP_REASON_CHARACTERS])
    except EcsCallError as error:
        followed.stop_asked_at = None
        log.warning("task not stopped yet", task=arn, error=str(error))


def was_slow(followed: Followed | None, now: float) -> bool:
    """Whether a task that has stopped took longer from being asked than tasks take."""
    asked_at = followed.stop_asked_at if followed is not None else None
    return asked_at is not None and now - asked_at > SLOW_STOP_S
