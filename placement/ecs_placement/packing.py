"""A packing under construction, with room for change: what is on each row, and what still waits."""

from dataclasses import dataclass

import numpy as np

from ecs_placement.problem import Bools, Floats, Ints, Placed, Problem


@dataclass(frozen=True, slots=True)
class Saved:
    """A copy of everything that changes."""

    free: Ints
    pool: Ints
    items: Ints
    count: Ints
    usable: Bools


class Packing:
    """`items` [n, width] holds the shapes on each row, packed to the left and padded with
    `nothing`.

    `free` [n, d] is what is left, never negative (a row over-subscribed from the start offers 0);
    `pool` [s] is how many of each shape wait; `usable` [n] says which rows may be filled.
    `demand` and `worth` have one more entry than there are shapes: `nothing`, which asks for 0
    and is worth 0.
    """

    def __init__(self, problem: Problem, worth: Floats) -> None:
        self.problem = problem
        shapes, dims = problem.shapes.shape
        self.nothing = shapes
        self.demand = np.zeros((shapes + 1, dims), dtype=np.int64)
        self.demand[:shapes] = np.maximum(problem.shapes, 0)
        self.worth = np.append(worth, 0.0)
        self.free: Ints = np.maximum(problem.free, 0)
        self.pool: Ints = problem.counts.copy()
        self.items = np.full((problem.free.shape[0], 8), shapes, dtype=np.int64)
        self.count = np.zeros(problem.free.shape[0], dtype=np.int64)
        self.usable = np.ones(problem.free.shape[0], dtype=np.bool_)
        self._needs = None if problem.needs is None else np.append(problem.needs, 0)

    def needs(self, shapes: Ints) -> Ints | None:
        """The bits that `shapes` (or `nothing`) need of a row; None where none needs any."""
        return None if self._needs is None else self._needs[shapes]

    def admits(self, rows: Ints, needed: Ints | None) -> Bools | None:
        """Whether each of `rows` [m, 1] offers the bits `needed` [m or 1, c]; None: all do."""
        if needed is None or self.problem.offers is None:
            return None
        admitted: Bools = (needed & ~self.problem.offers[rows]) == 0
        return admitted

    def put(self, rows: Ints, shapes: Ints) -> None:
        """One more item on each of `rows`, which are distinct."""
        self.widen(int(self.count[rows].max(initial=0)) + 1)
        self.items[rows, self.count[rows]] = shapes
        self.count[rows] += 1
        self.free[rows] -= self.demand[shapes]
        self.pool -= np.bincount(shapes, minlength=self.nothing)

    def widen(self, width: int) -> None:
        """Make place for `width` items on every row."""
        missing = width - self.items.shape[1]
        if missing > 0:
            more = np.full(
                (self.items.shape[0], max(missing, self.items.shape[1] // 2)), self.nothing
            )
            self.items = np.hstack([self.items, more])

    def clear(self, rows: Ints) -> None:
        """Send everything on `rows` back to the pool."""
        self.free[rows] += self.demand[self.items[rows]].sum(axis=1)
        back = np.bincount(self.items[rows].reshape(-1), minlength=self.nothing + 1)
        self.pool += back[: self.nothing]
        self.items[rows] = self.nothing
        self.count[rows] = 0

    def waiting(self) -> float:
        """The worth of what still waits."""
        return float(self.pool @ self.worth[: self.nothing])

    def cost(self) -> float:
        """The cost of the rows that were not in use and now are."""
        return float(self.problem.cost[(self.count > 0) & ~self.problem.active].sum())

    def save(self) -> Saved:
        """A copy to come back to."""
        return Saved(
            self.free.copy(),
            self.pool.copy(),
            self.items.copy(),
            self.count.copy(),
            self.usable.copy(),
        )

    def restore(self, saved: Saved) -> None:
        """Back to `saved`, which stays usable."""
        self.free, self.pool = saved.free.copy(), saved.pool.copy()
        self.items, self.count = saved.items.copy(), saved.count.copy()
        self.usable = saved.usable.copy()

    def placed(self) -> Placed:
        """The answer so far."""
        row, slot = np.nonzero(self.items != self.nothing)
        return Placed(self.items[row, slot], row, np.ones(row.size, dtype=np.int64))
