"""The fast gear on arrays: best-fit decreasing over groups of equal demands."""

import numpy as np

from ecs_placement.problem import Floats, Ints, Placed, Problem
from ecs_placement.room import Room


def best_fit(problem: Problem, weights: Floats | None = None) -> Placed:
    """Larger shapes first, each group on the rows with the least weighted room.

    By default a dimension weighs as much as it is asked for, relative to the largest row.
    A row not in use is taken only when no other fits, the cheapest per weighted capacity first.
    """
    if not problem.counts.size or not problem.free.shape[0]:
        return gathered([])
    if weights is None:
        weights = pressure(problem)
    room = Room(problem.free, weights, closed_penalty(problem, weights))
    return fill_by_size(problem, room, problem.counts, weights)


def pressure(problem: Problem) -> Floats:
    """How much is asked of each dimension, as a share of the largest row, per unit.

    Summed task by task, as best fit over single tasks sums it: equal sizes tie to the last bit.
    """
    largest = np.maximum(problem.free.max(axis=0), 1).astype(np.float64)
    asked: Floats = np.repeat(problem.shapes / largest, problem.counts, axis=0).sum(axis=0)
    scaled: Floats = asked / max(float(asked.max()), 1e-300) / largest
    return scaled


def closed_penalty(problem: Problem, weights: Floats) -> Floats | None:
    """What opening a row adds to its score: far more than any room, by cost per capacity."""
    if problem.active.all():
        return None
    weighted = np.maximum(problem.capacity @ weights, 1e-12)
    penalty = (problem.cost / weighted + 1.0) * 1e6
    return np.where(problem.active, 0.0, penalty)


def fill_by_size(problem: Problem, room: Room, counts: Ints, weights: Floats) -> Placed:
    """Place `counts` of every shape into `room`, larger shapes first."""
    size = problem.shapes @ weights
    steps = []
    for shape in np.lexsort((np.arange(size.size), -size)).tolist():
        if counts[shape]:
            filled = room.take(
                tuple(problem.shapes[shape].tolist()),
                int(counts[shape]),
                eligible=problem.allowed(shape),
            )
            if filled.rows.size:
                steps.append((np.full(filled.rows.size, shape), filled.rows, filled.counts))
    return gathered(steps)


def gathered(steps: list[tuple[Ints, Ints, Ints]]) -> Placed:
    """One Placed from many."""
    if not steps:
        empty = np.zeros(0, dtype=np.int64)
        return Placed(empty, empty, empty)
    shape, row, count = (np.concatenate(parts) for parts in zip(*steps, strict=True))
    return Placed(shape, row, count)
