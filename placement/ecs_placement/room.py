"""The room left while a batch is packed, and one step of best fit over a group of equal requests.

Best fit takes the feasible row with the least weighted room, which lowers that row's score further:
the next equal request goes there too, until it is full. So sorting the feasible rows once and
filling them in that order makes the same decisions as placing one request at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a group went: `counts[i]` requests on row `rows[i]`, in the order in which best fit
    chose the rows.
    """

    rows: Ints
    counts: Ints

    @property
    def placed(self) -> int:
        """How many requests of the group found a row."""
        return int(self.counts.sum())


_NOTHING = Filled(_NONE, _NONE)


def weights_of(weights: Sequence[float], total: Ints) -> Floats:
    """The score's weight of one unit of each column: a share of the largest instance's total.

    What no instance has any of has no share: over-subscribed, it would outweigh all the others.
    """
    per_unit: Floats = np.array(weights, dtype=np.float64)
    if len(total):
        largest = np.array(
            [column.max() for column in total.T]
        )  # along rows takes five times as long
        per_unit = np.where(largest > 0, per_unit / np.maximum(largest, 1), 0.0)
    return per_unit


class Room:
    """Mutable room per dimension and row; `free` is int64[d, n], one contiguous array per
    dimension.

    `score` is float64[n]: the weighted room, smaller is fuller. A row of `closed` (not in use
    yet) costs `penalty` on top of it until it takes its first request. `idle` is bool[n], where
    given: the rows that were idle at first and have as much room now as then.
    """

    def __init__(
        self,
        free: Ints,
        weights: Floats,
        penalty: Floats | None = None,
        idle: Bools | None = None,
    ) -> None:
        self.free: Ints = np.array(free.T, order="C")
        self.idle = None if idle is None else idle.copy()
        self._first = free, idle
        self.weights = weights
        self.penalty = None if penalty is None else penalty.copy()
        self.score = self._scores(slice(None))

    def _scores(self, rows: Ints | slice) -> Floats:
        # Summed dimension by dimension in a fixed order, so that equal rows score exactly equal.
        score = np.zeros(self.free[0, rows].shape, dtype=np.float64)
        for weight, free in zip(self.weights.tolist(), self.free, strict=True):
            if weight:
                score += weight * free[rows]
        return score if self.penalty is None else score + self.penalty[rows]

    def fits(self, demand: tuple[int, ...], eligible: Bools | None = None) -> Bools:
        """bool[n]: the eligible rows with room for one more; dimensions not asked for are not
        looked at.
        """
        mask = eligible
        for asked, free in zip(demand, self.free, strict=True):
            if asked > 0:
                enough = free >= asked
                mask = enough if mask is None else mask & enough
        return np.ones(self.free.shape[1], dtype=np.bool_) if mask is None else mask

    def take(
        self,
        demand: tuple[int, ...],
        count: int,
        *,
        eligible: Bools | None = None,
        once_per_row: bool = False,
    ) -> Filled:
        """Place up to `count` equal requests by best fit; ties go to the lower row."""
        rows = np.flatnonzero(self.fits(demand, eligible))
        if rows.size == 0 or count <= 0:
            return _NOTHING
        if count == 1:
            best = rows[np.argmin(self.score[rows])]
            filled = Filled(np.array([best]), np.ones(1, dtype=np.int64))
        else:
            filled = self._fill(rows, demand, count, once_per_row)
        self.occupy(filled, demand)
        return filled

    def _fill(self, rows: Ints, demand: tuple[int, ...], count: int, once_per_row: bool) -> Filled:
        """Choose rows by score until `count` requests have a place."""
        score = self.score[rows]
        if rows.size > 2 * count:
            # At most `count` rows can be needed: only the best of them are sorted.
            limit = np.partition(score, count - 1)[count - 1]
            near = score <= limit
            rows, score = rows[near], score[near]
        order = np.argsort(score, kind="stable")
        rows = rows[order]
        fit = self.multiplicity(rows, demand, 1 if once_per_row else count)
        upto = np.cumsum(fit)
        last = int(np.searchsorted(upto, count))
        if last >= rows.size:
            return Filled(rows, fit)
        counts = fit[: last + 1].copy()
        counts[last] -= upto[last] - count
        return Filled(rows[: last + 1], counts)

    def multiplicity(self, rows: Ints, demand: tuple[int, ...], limit: int) -> Ints:
        """How many of a shape each of `rows` has room for, at most `limit`."""
        fit = np.full(rows.size, limit, dtype=np.int64)
        for asked, free in zip(demand, self.free, strict=True):
            if asked > 0:
                np.minimum(fit, free[rows] // asked, out=fit)
        return fit

    def occupy(self, filled: Filled, demand: tuple[int, ...]) -> None:
        """Take the room of `filled` away."""
        for asked, free in zip(demand, self.free, strict=True):
            if asked:
                free[filled.rows] -= asked * filled.counts
        if self.penalty is not None:
            self.penalty[filled.rows] = 0.0
        self._look_at(filled.rows)

    def show(self, row: int, free: Ints) -> None:
        """Set what is free on one row, int64[d]."""
        self.free[:, row] = free
        self._look_at(np.array([row]))

    def release(self, filled: Filled, demand: tuple[int, ...]) -> None:
        """Give the room of `filled` back; what opening a row cost stays paid."""
        for asked, free in zip(demand, self.free, strict=True):
            if asked:
                free[filled.rows] += asked * filled.counts
        self._look_at(filled.rows)

    def _look_at(self, rows: Ints) -> None:
        """What follows from what is free on `rows`, anew."""
        self.score[rows] = self._scores(rows)
        free, idle = self._first
        if self.idle is not None and idle is not None and idle[rows].any():
            self.idle[rows] = idle[rows] & (free[rows] == self.free[:, rows].T).all(axis=1)
