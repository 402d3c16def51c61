"""Which waiting jobs room is kept for: the highest priority that has waited the longest. No I/O."""

from __future__ import annotations

from collections import defaultdict
from heapq import nsmallest
from typing import TYPE_CHECKING

from ecs_placement.plan import Reservation, Reserving
from ecs_scheduler.passes.kinds import NO_INSTANCES, NOT_FOR_ROOM, UNPLACEABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ecs_placement.request import RequestId, TaskRequest
    from ecs_scheduler.config import Config
    from ecs_scheduler.passes.window import Window

NOT_RESERVED_FOR = (*NOT_FOR_ROOM, UNPLACEABLE, NO_INSTANCES)
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
    blocked_since = now_ms - config.reserve_after_s * 1000
    units: defaultdict[str, list[tuple[int, int, RequestId]]] = defaultdict(list)
    held_of = window.job
    for request in requests if config.reservations else ():
        held = held_of(request.id)
        claim = held.claim
        if claim.runnable_at_ms <= blocked_since and held.kind not in NOT_RESERVED_FOR:
            unit = request.id if request.gang is None else request.gang.id
            units[unit].append((-claim.priority, claim.runnable_at_ms, request.id))
    heads = nsmallest(config.reservations, units.values(), key=min)
    earlier = {each.request_id: each for each in kept}
    ids = (request_id for members in heads for _, _, request_id in sorted(members))
    return Reserving(tuple(earlier.get(each, Reservation(each)) for each in ids))
