"""A priority class as a Problem for the thorough gear, with its constraints in terms of arrays.

A host port, and a task group that wants distinct instances, become dimensions of their own; where
attributes, expressions and availability allow a shape becomes a bit that it needs and rows offer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecs_placement.feasible import Constraints, ports_of
from ecs_placement.grouping import watches_groups
from ecs_placement.problem import LARGEST, Bools, Floats, Ints, Placed, Problem, shares_of
from ecs_placement.request import Shape
from ecs_placement.room import Filled, Room
from ecs_placement.snapshot import Snapshot
from ecs_placement.thorough import Merit, solve

_MOST_MASKS = 62  # bits of an int64 beside its sign
_MIXING = np.uint64(0x9E3779B97F4A7C15)  # an odd number: 2**64 over the golden ratio
_MOST_EXTRA = 16  # dimensions for ports and groups; each costs as much as CPU or memory does


@dataclass(frozen=True, slots=True)
class Field:
    """The cluster while a batch is packed; `cost` [n] is what using an idle instance counts for."""

    snapshot: Snapshot
    constraints: Constraints
    room: Room
    cost: Floats

    def idle(self) -> Bools:
        """bool[n]: instances all of which is free: nothing runs, and nothing has been placed."""
        same = self.room.free == self.snapshot.total.T
        whole: Bools = np.logical_and.reduce(same, axis=0)
        return whole


@dataclass(frozen=True, slots=True)
class Contest:
    """What competes, and for what: a Problem over some `rows` of the snapshot.

    `entrants` are positions among the shapes given; the others follow rules that depend on what
    else is placed, and stay with the fast gear. `worth` [shapes], `idle_cost` [n of the snapshot].
    """

    problem: Problem
    rows: Ints
    entrants: Ints
    worth: Floats
    idle_cost: Floats

    def best(self, known: Merit | None, budget_s: float, seed: int) -> list[Filled]:
        """Where the thorough gear puts each entrant; `known` is the merit of a packing of all, if
        there is room for all.

        Else as much as possible is placed first, then the same once more on as few rows as can be.
        """
        opening = replace(self.problem, opening=True)
        if known is not None:
            return self._fills(solve(opening, budget_s, seed, known))
        filling = replace(self.problem, opening=False)
        if self.problem.active.all():
            return self._fills(solve(filling, budget_s, seed))
        most = self._fills(solve(filling, 0.5 * budget_s, seed))
        counts = np.array([filled.placed for filled in most], dtype=np.int64)
        least = self._fills(solve(replace(opening, counts=counts), 0.5 * budget_s, seed))
        return min(most, least, key=lambda fills: self.merit(self.entrants, counts, fills))

    def merit(self, shapes: Ints, counts: Ints, fills: Sequence[Filled]) -> Merit:
        """Worth left waiting of `counts` [k] of `shapes` [k], and cost of the idle rows taken.

        Compared as a pair, the smaller is the better.
        """
        placed = np.array([filled.placed for filled in fills], dtype=np.int64)
        taken = np.zeros(self.idle_cost.size, dtype=np.bool_)
        for filled in fills:
            taken[filled.rows] = True
        waiting = float((counts - placed) @ self.worth[shapes])
        return (waiting if waiting > 1e-12 else 0.0, float(self.idle_cost[taken].sum()))

    def _fills(self, placed: Placed) -> list[Filled]:
        fills = []
        for number in range(self.entrants.size):
            of = placed.shape == number
            rows, at = np.unique(placed.row[of], return_inverse=True)
            counts = np.bincount(at, weights=placed.count[of], minlength=rows.size)
            fills.append(Filled(self.rows[rows], counts.astype(np.int64)))
        return fills


def contest(field: Field, shapes: Sequence[Shape], counts: Ints) -> Contest | None:
    """What `counts` of `shapes` compete for now; None where the thorough gear has no choice."""
    extra = _Extra(field, shapes, counts)
    masks = {
        number: _allowed(field, shape)
        for number, shape in enumerate(shapes)
        if extra.covers(shape) and not watches_groups(shape)
    }
    masks = {
        number: mask
        for number, mask in masks.items()
        if field.room.fits(shapes[number].demand, mask).any()
    }
    bits: dict[bytes, int] = {}
    for mask in masks.values():
        bits.setdefault(mask.tobytes(), len(bits))
    bit = {number: bits[mask.tobytes()] for number, mask in masks.items()}
    entrants = [number for number in masks if bit[number] < _MOST_MASKS]
    able = np.zeros(len(field.snapshot), dtype=np.bool_)
    offers = np.zeros(len(field.snapshot), dtype=np.int64)
    for number in entrants:
        able |= field.room.fits(shapes[number].demand, masks[number])
        offers |= masks[number].astype(np.int64) << bit[number]
    rows = np.flatnonzero(able)
    if rows.size < 2 or field.room.free.max() > LARGEST:
        return None
    demand = np.array([shape.demand for shape in shapes], dtype=np.int64)
    worth = shares_of(demand, field.room.free.T)
    idle = field.idle()
    looks = np.column_stack([field.room.free.T, extra.free, field.cost.view(np.int64), offers])
    tasks = int(counts[entrants].sum())
    rows = np.concatenate([rows[~idle[rows]], _some_of_each(rows[idle[rows]], looks, tasks)])
    rows.sort()
    free = np.hstack([field.room.free.T[rows], extra.free[rows]])
    problem = Problem(
        free=free,
        capacity=np.maximum(free, np.hstack([field.snapshot.total[rows], extra.free[rows]])),
        active=~idle[rows],
        cost=field.cost[rows],
        shapes=np.hstack([demand, extra.asked])[entrants],
        counts=counts[entrants],
        opening=False,
        worth=worth[entrants],
        needs=np.array([1 << bit[number] for number in entrants], dtype=np.int64),
        offers=offers[rows],
    )
    idle_cost = np.where(idle, field.cost, 0.0)
    return Contest(problem, rows, np.array(entrants, dtype=np.int64), worth, idle_cost)


def _some_of_each(rows: Ints, looks: Ints, most: int) -> Ints:
    """Of rows that look alike the first `most`: of those that are idle no plan opens more than
    there are tasks, and a search among thousands takes longer than all the rest of a pass.
    """
    kind = np.zeros(rows.size, dtype=np.uint64)
    for column in looks[rows].T.view(np.uint64):  # two looks of one hash only cost a choice
        kind = (kind ^ column) * _MIXING
        kind ^= kind >> np.uint64(29)
    order = np.argsort(kind, kind="stable")
    begins = np.flatnonzero(np.diff(kind[order], prepend=~kind[order[:1]]))
    nth = np.arange(rows.size) - np.repeat(begins, np.diff(begins, append=rows.size))
    return rows[order[nth < most]]


def _allowed(field: Field, shape: Shape) -> Bools:
    """bool[n]: where the constraints that no placement changes let the shape go."""
    mask: Bools = field.snapshot.placeable
    for allowed in (field.constraints.attributes(shape), field.constraints.member_of(shape)):
        if allowed is not None:
            mask = mask & allowed
    return mask


class _Extra:
    """Further dimensions: one per host port, and one per task group that wants to be apart.

    A free port offers 1. Of such a group a row offers more than all its tasks together, less those
    that run; a task that is to be alone asks for all of it, any other for 1.
    """

    def __init__(self, field: Field, shapes: Sequence[Shape], counts: Ints) -> None:
        constraints, size = field.constraints, len(field.snapshot)
        asked = Counter(port for shape in shapes for port in ports_of(shape))
        self._ports = [port for port, _ in asked.most_common(_MOST_EXTRA)]
        apart = Counter(shape.group for shape in shapes if shape.distinct_instance)
        self._groups = [group for group, _ in apart.most_common(_MOST_EXTRA) if group is not None]
        self._apart = set(apart)
        free = [(~constraints.port_taken(port)).astype(np.int64) for port in self._ports]
        demand = [[int(port in ports_of(shape)) for shape in shapes] for port in self._ports]
        for group in self._groups:
            running = constraints.columns.tasks_of(group)
            all_of_it = int(running.max(initial=0)) + int(counts.sum()) + 1
            free.append(all_of_it - running)
            of_group = [(shape.group == group, shape.distinct_instance) for shape in shapes]
            demand.append([of * (all_of_it if alone else 1) for of, alone in of_group])
        self.free: Ints = np.array(free, dtype=np.int64).reshape(len(free), size).T
        self.asked: Ints = np.array(demand, dtype=np.int64).reshape(len(free), len(shapes)).T

    def covers(self, shape: Shape) -> bool:
        """Whether all of the shape's ports, and its group where that matters, have a dimension."""
        ports = all(port in self._ports for port in ports_of(shape))
        return ports and (shape.group not in self._apart or shape.group in self._groups)
