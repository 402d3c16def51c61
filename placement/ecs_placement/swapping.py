"""The improving half of the thorough gear: take a few items out, put better ones in, on many rows.

A round tries, for each of some rows, every combination of up to three waiting shapes out of a few
drawn ones in place of up to three items it holds. With some heat a little worth may be lost, which
keeps the pool mixed (simulated annealing). Rounds are vectorised over rows times combinations.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, combinations_with_replacement

import numpy as np

from ecs_placement.packing import Packing
from ecs_placement.problem import Bools, Floats, Ints
from ecs_placement.steps import Steps

_ROWS = 300  # per round; more rows compete for the same drawn shapes
_MOST_ROWS = 600  # of very many rows, where that matters less than what a round costs at least
_DRAWN = 8  # shapes drawn per round: 165 combinations of up to three
_DEALT = (
    10  # distinct items dealt to each row instead, where most shapes come once: 176 combinations
)
_DEPTH = 3
_EJECTED_ROWS = 300  # per round; more rows compete for the same drawn shapes
# The share of rounds that make place for one large shape instead; opening rows needs it less.
_EJECTING_FILLING, _EJECTING_OPENING = 0.1, 0.03


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one round takes off: `slots` and `shapes` [m, r], and `room` [m, d] with it gone."""

    rows: Ints
    slots: Ints
    shapes: Ints
    room: Ints
    worth: Floats


@dataclass(frozen=True, slots=True)
class _Found:
    """The best combination for each row: `shapes` [m, 3], its worth, and whether any fits."""

    shapes: Ints
    worth: Floats
    fits: Bools


def improve(packing: Packing, rows: Ints, heat: float, steps: Steps) -> None:
    """One round on some of `rows`; at heat 0 the worth placed never falls."""
    steps.spend(rows.size, 1)  # even a round in vain costs something: no loop is endless
    waiting = np.flatnonzero(packing.pool > 0)
    if not waiting.size or not rows.size:
        return
    most = min(max(_ROWS, rows.size // 16), _MOST_ROWS)
    if rows.size > most:
        rows = steps.chance.choice(rows, most, replace=False)
    ejecting = _EJECTING_OPENING if packing.problem.opening else _EJECTING_FILLING
    if steps.chance.random() < ejecting:
        rows = rows[:_EJECTED_ROWS]
        taken, found = _eject(packing, rows, waiting, steps)
    else:
        taken = _take(packing, rows, int(steps.chance.integers(0, _DEPTH + 1)), steps)
        tasks = int(packing.pool[waiting].sum())
        few_alike = waiting.size > _DRAWN and tasks < 4 * waiting.size
        find = _from_dealt if few_alike else _from_drawn
        found = find(packing, taken, waiting, steps)
    gain = found.worth - taken.worth
    least = np.full(rows.size, -1e-12)
    if heat > 0:
        least = heat * np.log(np.maximum(steps.chance.random(rows.size), 1e-12))
    able = np.flatnonzero(found.fits & (gain >= least))
    able = able[np.argsort(-gain[able], kind="stable")]
    able = able[_served(found.shapes[able], packing)]
    if able.size:
        _apply(packing, taken, found, able)


def _eject(packing: Packing, rows: Ints, waiting: Ints, steps: Steps) -> tuple[_Taken, _Found]:
    """One waiting shape for all rows, each of which gives up as many items as it takes.

    A large task may need the place of many small ones, which then find gaps elsewhere.
    """
    mass = packing.pool[waiting] * packing.worth[waiting] + 1e-12
    shape = int(steps.chance.choice(waiting, p=mass / mass.sum()))
    width = max(1, int(packing.count[rows].max()))
    slots, shapes = _rolled(packing, rows, width, steps)
    room = packing.free[rows][:, None] + packing.demand[shapes].cumsum(axis=1)
    enough = (room >= packing.demand[shape]).all(axis=2)
    admitted = packing.admits(rows[:, None], packing.needs(np.array([[shape]])))
    if admitted is not None:
        enough &= admitted
    steps.spend(enough.size, 2 * room.shape[2])
    last = enough.argmax(axis=1)
    shapes = np.where(np.arange(width) <= last[:, None], shapes, packing.nothing)
    at = np.arange(rows.size)
    taken = _Taken(rows, slots, shapes, room[at, last], packing.worth[shapes].sum(axis=1))
    found = _none(packing, taken)
    found.shapes[:, 0] = shape
    found.worth[:] = packing.worth[shape]
    return taken, _Found(found.shapes, found.worth, enough[at, last])


def _rolled(packing: Packing, rows: Ints, depth: int, steps: Steps) -> tuple[Ints, Ints]:
    """`depth` slots of each row from a random one on, and what they hold."""
    count = packing.count[rows]
    start = (steps.chance.random(rows.size) * np.maximum(count, 1)).astype(np.int64)
    slots = (start[:, None] + np.arange(depth)) % np.maximum(count, 1)[:, None]
    there = np.arange(depth) < count[:, None]
    return slots, np.where(there, packing.items[rows[:, None], slots], packing.nothing)


def _take(packing: Packing, rows: Ints, depth: int, steps: Steps) -> _Taken:
    slots, shapes = _rolled(packing, rows, depth, steps)
    room = packing.free[rows] + packing.demand[shapes].sum(axis=1)
    return _Taken(rows, slots, shapes, room, packing.worth[shapes].sum(axis=1))


def _from_drawn(packing: Packing, taken: _Taken, waiting: Ints, steps: Steps) -> _Found:
    """All rows choose among the combinations of the same few shapes."""
    if waiting.size > _DRAWN:
        mass = packing.pool[waiting] * packing.worth[waiting] + 1e-12
        waiting = steps.chance.choice(waiting, _DRAWN, replace=False, p=mass / mass.sum())
    counts, members = _combinations(waiting.size, repeated=True)
    enough = (counts <= packing.pool[waiting]).all(axis=1)
    counts, members = counts[enough], members[enough]
    asked = counts @ packing.demand[waiting]
    possible = (asked <= taken.room.max(axis=0)).all(axis=1)
    counts, members, asked = counts[possible], members[possible], asked[possible]
    worth = counts @ packing.worth[waiting]
    order = np.argsort(-worth, kind="stable")
    members, asked, worth = members[order], asked[order], worth[order]
    if not worth.size:
        return _none(packing, taken)
    fits = np.ones((taken.rows.size, worth.size), dtype=np.bool_)
    named = np.append(waiting, packing.nothing)
    admitted = packing.admits(taken.rows[:, None], _needed(packing, named[members]))
    if admitted is not None:
        fits &= admitted
    for dim in range(asked.shape[1]):
        if asked[:, dim].max() > taken.room[:, dim].min():
            fits &= taken.room[:, dim, None] >= asked[None, :, dim]
    steps.spend(fits.size, asked.shape[1])
    best = fits.argmax(axis=1)  # the first that fits, in the order of worth
    return _Found(named[members[best]], worth[best], fits[np.arange(best.size), best])


def _from_dealt(packing: Packing, taken: _Taken, waiting: Ints, steps: Steps) -> _Found:
    """Each row chooses among combinations of its own few items, dealt from the pool."""
    tasks = steps.chance.permutation(np.repeat(waiting, packing.pool[waiting]))
    size = min(_DEALT, tasks.size)
    _, members = _combinations(size, repeated=False)
    start = steps.chance.integers(0, tasks.size, taken.rows.size)
    hand = tasks[(start[:, None] + np.arange(size)) % tasks.size]
    hand = np.column_stack([hand, np.full(hand.shape[0], packing.nothing)])
    first, second, third = (hand[:, members[:, slot]] for slot in range(_DEPTH))
    worth = packing.worth[first] + packing.worth[second] + packing.worth[third]
    fits = np.ones(worth.shape, dtype=np.bool_)
    admitted = packing.admits(taken.rows[:, None], _needed(packing, hand[:, members]))
    if admitted is not None:
        fits &= admitted
    for dim in range(packing.demand.shape[1]):
        part = packing.demand[hand, dim]
        asked = part[:, members[:, 0]] + part[:, members[:, 1]] + part[:, members[:, 2]]
        fits &= asked <= taken.room[:, dim, None]
    steps.spend(2 * fits.size, packing.demand.shape[1])
    best = np.where(fits, worth, -1.0).argmax(axis=1)
    at = np.arange(best.size)
    return _Found(hand[at[:, None], members[best]], worth[at, best], fits[at, best])


def _needed(packing: Packing, shapes: Ints) -> Ints | None:
    """The bits that each combination, along the last axis, needs in all."""
    needs = packing.needs(shapes)
    return None if needs is None else np.bitwise_or.reduce(needs, axis=-1)


def _none(packing: Packing, taken: _Taken) -> _Found:
    size = taken.rows.size
    shapes = np.full((size, _DEPTH), packing.nothing, dtype=np.int64)
    return _Found(shapes, np.zeros(size), np.zeros(size, dtype=np.bool_))


def _served(shapes: Ints, packing: Packing) -> Bools:
    """Which of the rows, in their order, find the pool still stocked with all they want."""
    wanted = shapes.reshape(-1)
    order = np.argsort(wanted, kind="stable")
    place = np.empty(wanted.size, dtype=np.int64)
    place[order] = np.arange(wanted.size) - np.searchsorted(wanted[order], wanted[order])
    stock = np.append(packing.pool, wanted.size)
    served: Bools = np.all((place < stock[wanted]).reshape(shapes.shape), axis=1)
    return served


def _apply(packing: Packing, taken: _Taken, found: _Found, able: Ints) -> None:
    rows, out, put = taken.rows[able], taken.shapes[able], found.shapes[able]
    packing.widen(int(packing.count[rows].max()) + _DEPTH)
    count = _without(packing, rows, np.where(out == packing.nothing, -1, taken.slots[able]))
    for slot in range(_DEPTH):
        packing.items[rows, count] = put[:, slot]
        count += put[:, slot] != packing.nothing
    packing.count[rows] = count
    packing.free[rows] = taken.room[able] - packing.demand[put].sum(axis=1)
    sizes = packing.nothing + 1
    change = np.bincount(out.reshape(-1), minlength=sizes) - np.bincount(
        put.reshape(-1), minlength=sizes
    )
    packing.pool += change[: packing.nothing]


def _without(packing: Packing, rows: Ints, slots: Ints) -> Ints:
    """Take the items in `slots` [m, r] (-1: none) off `rows`; how many are left on each.

    From the last slot on, each is overwritten with the row's last item.
    """
    count = packing.count[rows]
    if slots.shape[1] > 1:
        slots = -np.sort(-slots, axis=1)
    for slot in slots.T:
        at = np.flatnonzero(slot >= 0)
        if not at.size:
            break
        row, count[at] = rows[at], count[at] - 1
        packing.items[row, slot[at]] = packing.items[row, count[at]]
        packing.items[row, count[at]] = packing.nothing
    return count


@cache
def _combinations(size: int, *, repeated: bool) -> tuple[Ints, Ints]:
    """Every choice of up to three of `size`: how often each is in it, and its members.

    Members are padded with `size`, which stands for nothing.
    """
    choose = combinations_with_replacement if repeated else combinations
    chosen = [each for depth in range(_DEPTH + 1) for each in choose(range(size), depth)]
    counts = np.zeros((len(chosen), size), dtype=np.int64)
    members = np.full((len(chosen), _DEPTH), size, dtype=np.int64)
    for row, each in enumerate(chosen):
        members[row, : len(each)] = each
        for member in each:
            counts[row, member] += 1
    return counts, members
