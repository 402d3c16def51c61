"""Which waiting jobs room is kept for: the highest priority that has waited the longest. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_placement.plan import Reservation, Reserving
from ecs_queue.job import JobId
from ecs_scheduler.passes.planning import API_BUDGET, NO_INSTANCES, SHARE, UNPLACEABLE, WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ecs_placement.request import RequestId, TaskRequest
    from ecs_scheduler.config import Config
    from ecs_scheduler.passes.window import Held, Window

NOT_FOR_ROOM = ("", API_BUDGET, SHARE, WINDOW, UNPLACEABLE, NO_INSTANCES)
"""Jobs of these kinds would not start sooner if room were kept for them."""


def reserving(
    requests: Sequence[TaskRequest],
    window: Window,
    kept: Iterable[Reservation],
    config: Config,
    now_ms: int,
) -> Reserving:
    """Reservations for the jobs that have waited for room as long as is configured, where the last
    pass `kept` it. A gang counts as one.
    """
    waiting = [
        (request, held)
        for request in requests
        if _blocked(held := window[JobId(request.id)], config.reserve_after_s, now_ms)
    ]
    waiting.sort(
        key=lambda each: (-each[1].claim.priority, each[1].claim.runnable_at_ms, each[0].id)
    )
    heads: dict[str, list[RequestId]] = {}
    for request, _ in waiting:
        unit = request.id if request.gang is None else request.gang.id
        if unit in heads or len(heads) < config.reservations:
            heads.setdefault(unit, []).append(request.id)
    earlier = {each.request_id: each for each in kept}
    ids = (each for members in heads.values() for each in members)
    return Reserving(tuple(earlier.get(each, Reservation(each)) for each in ids))


def _blocked(held: Held, after_s: float, now_ms: int) -> bool:
    return held.kind not in NOT_FOR_ROOM and now_ms - held.claim.runnable_at_ms >= after_s * 1000
