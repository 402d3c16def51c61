"""The constructive half of the thorough gear: many rows filled at once, one item each per round.

Each row takes the item that leaves the smallest weighted norm of its room (L2 rule, Panigrahy et
al. 2011): dimensions fill evenly, where best fit strands the rest of one behind another.
"""

import numpy as np

from ecs_placement.packing import Packing
from ecs_placement.problem import Bools, Floats, Ints
from ecs_placement.steps import Steps

_CANDIDATES = 40  # shapes looked at in one round
_HAND = 16  # tasks dealt to each row where most shapes come once
_IN_VAIN = 12  # rounds without any success after which sampled candidates are given up


def pour(packing: Packing, rows: Ints, weights: Floats, quota: Ints, steps: Steps) -> None:
    """Put up to `quota` [s] of each shape on `rows`; `weights` [d] value a unit of room."""
    left = np.minimum(quota, packing.pool)
    live, vain = rows, 0
    while live.size and left.any() and vain <= _IN_VAIN:
        wanted = np.flatnonzero(left > 0)
        all_seen = wanted.size <= _CANDIDATES
        hands = _hands(live, wanted, left, packing, steps)
        steps.spend(live.size * hands.shape[1], packing.demand.shape[1])
        admitted = packing.admits(live[:, None], packing.needs(hands))
        choice, able = _choose(packing.free[live], packing.demand[hands], weights, admitted)
        if able.any():
            drawn = np.broadcast_to(hands, (live.size, hands.shape[1]))
            took, shapes = _admit(live[able], drawn[able, choice[able]], left)
            packing.put(took, shapes)
            left -= np.bincount(shapes, minlength=left.size)
        vain = 0 if able.any() else vain + 1
        if all_seen:
            live = live[able]
        elif vain:
            smallest = packing.demand[wanted].min(axis=0)
            live = live[(packing.free[live] >= smallest).all(axis=1)]


def _hands(live: Ints, wanted: Ints, left: Ints, packing: Packing, steps: Steps) -> Ints:
    """The candidates: [1, h] the same for all rows, or [m, h] for each its own.

    Where most shapes come once, rows that share candidates would only take them from each other.
    """
    if wanted.size <= _CANDIDATES:
        return wanted[None]
    tasks = int(left[wanted].sum())
    if tasks >= 4 * wanted.size:
        mass = left[wanted] * packing.worth[wanted] + 1e-12
        chosen = steps.chance.choice(wanted, _CANDIDATES, replace=False, p=mass / mass.sum())
        return np.sort(chosen)[None]
    deck = steps.chance.permutation(np.repeat(wanted, left[wanted]))
    first = np.arange(live.size) * _HAND
    if live.size * _HAND > tasks:
        first = steps.chance.integers(0, tasks, live.size)
    hands: Ints = deck[(first[:, None] + np.arange(_HAND)) % tasks]
    return hands


def _choose(
    room: Ints, demand: Ints, weights: Floats, admitted: Bools | None
) -> tuple[Ints, Bools]:
    """The best candidate of each row, and whether any fits; `demand` is [1 or m, h, d]."""
    fits = np.ones((room.shape[0], demand.shape[1]), dtype=np.bool_)
    if admitted is not None:
        fits &= admitted
    for dim in range(room.shape[1]):
        if demand[:, :, dim].any():
            fits &= room[:, dim, None] >= demand[:, :, dim]
    squared = weights * weights * demand
    if demand.shape[0] == 1:
        saved = room @ (2.0 * squared[0]).T - (squared[0] * demand[0]).sum(axis=1)
    else:
        saved = (squared * (2.0 * room[:, None] - demand)).sum(axis=2)
    saved[~fits] = -np.inf
    choice = saved.argmax(axis=1)
    return choice, fits[np.arange(choice.size), choice]


def _admit(rows: Ints, shapes: Ints, left: Ints) -> tuple[Ints, Ints]:
    """The first rows that want a shape get it, as long as it lasts."""
    order = np.argsort(shapes, kind="stable")
    rows, shapes = rows[order], shapes[order]
    place = np.arange(shapes.size) - np.searchsorted(shapes, shapes)
    served = place < left[shapes]
    return rows[served], shapes[served]
