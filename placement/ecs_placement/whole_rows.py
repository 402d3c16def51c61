"""Few shapes, and rows that hold few of them: every way to fill a row is listed, and a linear
program over all of them says how often each is used, and what no packing undercuts.

It is column generation (Gilmore & Gomory 1961) with all columns there from the start.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecs_placement.bounds import of_whole_rows
from ecs_placement.linear import Program
from ecs_placement.problem import Bools, Floats, Ints, Placed, Problem
from ecs_placement.steps import Steps

_MOST_SHAPES, _MOST_KINDS = 12, 40
_MOST_FILLINGS = 2_000  # of one kind of row; with more of them columns are better generated
_MOST_WAYS = 400
_DIVES, _NOISE = 3, 1.0  # more dives, or less noise, find hardly anything


@dataclass(frozen=True, slots=True)
class Ways:
    """Rows of equal room and cost are of one kind: `kind_of` [n], `cost` [k], `number` [k] of rows.

    A way to fill a row of `kind` [w] `holds` [w, s] of each shape; no more of any fits there.
    """

    kind_of: Ints
    cost: Floats
    number: Ints
    kind: Ints
    holds: Ints


def every_way(problem: Problem) -> Ways | None:
    """All ways to fill a row of each kind; None where they are too many to list."""
    shapes = np.maximum(problem.shapes, 0)
    if shapes.shape[0] > _MOST_SHAPES or not (shapes > 0).any(axis=1).all():
        return None
    room = np.maximum(problem.free, 0)
    cost = np.where(problem.active, 0.0, np.maximum(problem.cost, 0.0))
    admitted = np.column_stack([_everywhere(problem, shape) for shape in range(len(shapes))])
    _, first, kind_of, number = np.unique(
        np.column_stack([room, cost.view(np.int64), admitted]),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    if first.size > _MOST_KINDS:
        return None
    listed: list[Ints] = []
    for row in first.tolist():
        of_row = _fillings(room[row].tobytes(), shapes.tobytes(), admitted[row].tobytes())
        if of_row is None or sum(map(len, listed)) + len(of_row) > _MOST_WAYS:
            return None
        listed.append(of_row.astype(np.int64))
    kind = np.repeat(np.arange(first.size), [len(each) for each in listed])
    return Ways(kind_of.reshape(-1), cost[first], number, kind, np.vstack(listed))


def _everywhere(problem: Problem, shape: int) -> Bools:
    allowed = problem.allowed(shape)
    return np.ones(problem.active.size, dtype=np.bool_) if allowed is None else allowed


@lru_cache(maxsize=4096)
def _fillings(room: bytes, shapes: bytes, admitted: bytes) -> NDArray[np.int16] | None:
    """Of each shape so many, [w, s], that no more fits; the same instances and shapes come pass
    after pass, so that thousands are kept: at most 40 MB of them.
    """
    left = np.frombuffer(room, dtype=np.int64)[None]
    demand = np.frombuffer(shapes, dtype=np.int64).reshape(-1, left.shape[1])
    allowed = np.frombuffer(admitted, dtype=np.bool_)
    holds = np.zeros((1, demand.shape[0]), dtype=np.int64)
    for shape in np.flatnonzero(allowed).tolist():
        needed = demand[shape] > 0
        most = (left[:, needed] // demand[shape, needed]).min(axis=1)
        most = np.minimum(most, _MOST_FILLINGS) + 1  # their sum may pass int64
        if most.sum() > _MOST_FILLINGS:
            return None
        of = np.repeat(np.arange(most.size), most)
        number = np.arange(of.size) - np.repeat(np.cumsum(most) - most, most)
        holds, left = holds[of], left[of] - number[:, None] * demand[shape]
        holds[:, shape] = number
    fits_more = (left[:, None] >= demand).all(axis=2) & allowed
    full = holds[~fits_more.any(axis=1)]
    return full.astype(np.int16) if len(full) <= _MOST_WAYS else None


def mixed(
    problem: Problem, ways: Ways, better_than: float, steps: Steps
) -> tuple[Placed | None, float]:
    """All tasks, on rows that cost less in sum than `better_than`, or None where no such mix of
    ways is found; and what no packing undercuts.
    """
    used, bound = _relaxed(ways, problem.counts, ways.number, steps)
    if bound == np.inf:
        return None, bound
    floor = of_whole_rows(bound, ways.cost[ways.cost > 0])
    found, best = None, better_than
    for dive in range(_DIVES):
        if best <= floor * (1 + 1e-9) or (dive and steps.past(1.0)):
            break
        rows = _dive(ways, problem.counts, used, _NOISE * bool(dive), steps)
        cost = np.inf if rows is None else ways.cost[ways.kind[[way for way, _ in rows]]].sum()
        if cost < best * (1 - 1e-12):
            found, best = rows, cost
    return (None if found is None else _placed(ways, found)), floor


_Rows = list[tuple[int, Ints]]
"""For each row in use: the way in which it is filled, and what of it there are tasks for, [s]."""


def _dive(ways: Ways, counts: Ints, used: Floats, noise: float, steps: Steps) -> _Rows | None:
    """Fix the ways that are used a whole number of times, or else the one used most; solve again
    for the rest, until nothing is left.
    """
    number, rows = ways.number.copy(), []
    counts = counts.copy()
    while counts.any():
        favoured = used * (1.0 + noise * steps.chance.random(used.size)) if noise else used
        times = np.floor(used + 1e-6).astype(np.int64)
        if not times.any():
            if not used.any():
                return None
            times[favoured.argmax()] = 1
        for way in np.flatnonzero(times).tolist():
            for _ in range(min(times[way], number[ways.kind[way]])):
                holds = np.minimum(ways.holds[way], counts)
                if holds.any():
                    rows.append((way, holds))
                    counts -= holds
                    number[ways.kind[way]] -= 1
        if counts.any():
            used, bound = _relaxed(ways, counts, number, steps)
            if bound == np.inf:
                return None
    return rows


def _relaxed(ways: Ways, counts: Ints, number: Ints, steps: Steps) -> tuple[Floats, float]:
    """How often each way is used [w] where fractions of a row may be, and the cost; infinite where
    not all `counts` [s] find room on `number` [k] rows.

    Of a way part may be left empty.
    """
    wanted = np.flatnonzero(counts)
    size, kinds = wanted.size, number.size
    useful = np.flatnonzero(ways.holds[:, wanted].any(axis=1) & (number[ways.kind] > 0))
    limit = np.concatenate([counts[wanted], np.zeros(size), number]).astype(np.float64)
    uses = np.zeros((size + useful.size, 2 * size + kinds))
    each = np.arange(size)
    uses[each, each] = uses[each, size + each] = 1.0
    uses[size:, size : 2 * size] = -np.minimum(ways.holds[useful][:, wanted], counts[wanted])
    uses[size + np.arange(useful.size), 2 * size + ways.kind[useful]] = 1.0
    cost = ways.cost[ways.kind[useful]]
    more_than_a_row = 2.0 * float(ways.cost.max(initial=0.0)) + 1.0
    used = np.zeros(ways.kind.size)
    # A task may drive others onto rows of their own, and so cost as much as all of them.
    for worth in (more_than_a_row, more_than_a_row * min(counts.sum(), number.sum())):
        program = Program(limit)
        program.add(np.concatenate([np.full(size, worth), -cost]), uses)
        solved, _ = program.solve()
        steps.spend(program.work, 1)
        used[useful] = solved[size:]
        if np.all(solved[:size] >= counts[wanted] - 1e-6):
            return used, float(cost @ solved[size:])
    return used, np.inf


def _placed(ways: Ways, rows: _Rows) -> Placed:
    """Each filling on a row of its kind, the first ones first."""
    order = np.argsort(ways.kind_of, kind="stable")
    next_of = np.searchsorted(ways.kind_of[order], np.arange(ways.number.size))
    shape, row, count = [], [], []
    for way, holds in rows:
        kind = ways.kind[way]
        for each in np.flatnonzero(holds).tolist():
            shape.append(each)
            row.append(order[next_of[kind]])
            count.append(holds[each])
        next_of[kind] += 1
    return Placed(*(np.array(column, dtype=np.int64) for column in (shape, row, count)))
