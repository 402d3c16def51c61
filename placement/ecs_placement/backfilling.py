"""Backfill while a batch is packed: room is reserved for the blocked, and what ends in time may
use it until then.
"""

from collections.abc import Iterable

import numpy as np

from ecs_placement.grouping import Group, Team
from ecs_placement.placing import Work
from ecs_placement.reservations import Reservations


def reserve(unit: Group | Team, work: Work, kept: Reservations) -> None:
    """Keep room for what of the unit found none; for a gang, once all its members are there."""
    if isinstance(unit, Team) and unit.present < unit.gang.size:
        return
    for group in unit.groups if isinstance(unit, Team) else (unit,):
        waiting = group.members[work.placed.rows[group.members] < 0]
        kept.keep(group.shape, [work.requests[at].id for at in waiting.tolist()])


def backfill(groups: Iterable[Group], work: Work, kept: Reservations) -> None:
    """Start those that found no room on reserved rows, if they end before it is needed there."""
    if not kept.brief:
        return
    for group in groups:
        if (work.placed.rows[group.members] < 0).any():
            for row, by_s in kept.brief:
                _fill(group, work, kept, (row, by_s))


def _fill(group: Group, work: Work, kept: Reservations, until: tuple[int, float]) -> None:
    row, by_s = until
    if not work.constraints.eligible(group.shape)[row]:
        return
    left = group.members[work.placed.rows[group.members] < 0].tolist()
    brief = [
        at
        for at in left
        if (lasts_s := work.requests[at].lasts_s) is not None and kept.now_s + lasts_s <= by_s
    ]
    chosen = brief[: kept.room_for_brief(row, group.shape)]
    if chosen:
        still_free = kept.take_brief(row, group.shape, len(chosen))
        work.constraints.occupy(group.shape, np.array([row]), np.array([len(chosen)]))
        work.placed.rows[chosen] = row
        work.placed.scores[chosen] = 1.0 - still_free / work.largest[row]
