"""A small dense linear program, solved exactly: the revised simplex method on an explicit inverse.

It is meant for some hundred rows and takes further columns between solutions, as column generation
needs; no such solver is in numpy.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-10
_SMALLEST_PIVOT = 1e-8
_REFRESH = 200  # pivots after which the inverse is computed afresh, before errors add up


class Program:
    """Maximise gain·x subject to uses·x <= limit, x >= 0, where limit >= 0.

    The limits are shifted by distinct amounts around 1e-9, so that no two bases tie and it cannot
    cycle; the answer is taken from the optimal basis with the true limits.
    """

    def __init__(self, limit: Floats) -> None:
        rows = limit.size
        self._limit = limit
        self._shifted = limit + 1e-9 * (1.0 + np.random.default_rng(rows).random(rows))
        # Columns are kept sparse, padded with row number `rows`; the slacks come first.
        self._index = np.arange(rows)[:, None]
        self._value: Floats = np.ones((rows, 1))
        self._gain = np.zeros(rows)
        self._basis = np.arange(rows)
        self._inverse, self._at = np.eye(rows), self._shifted.copy()
        self.pivots = 0

    @property
    def work(self) -> int:
        """Numbers looked at so far: each pivot goes over the inverse and over every column."""
        return self.pivots * (self._limit.size**2 + 6 * self._gain.size)

    def add(self, gain: Floats, uses: Floats) -> None:
        """Further columns: `gain` [k], `uses` [k, rows]."""
        rows = self._limit.size
        each, used = np.nonzero(uses)
        size = np.bincount(each, minlength=gain.size)
        before = self._index.shape[1]
        wide = max(int(size.max(initial=1)), before)
        place = np.arange(used.size) - np.repeat(np.cumsum(size) - size, size)
        # Padding names the row after the last, or it would overwrite an entry of row 0.
        index = np.full((self._gain.size + gain.size, wide), rows)
        value: Floats = np.zeros(index.shape)
        index[: self._gain.size, :before] = self._index
        value[: self._gain.size, :before] = self._value
        index[self._gain.size + each, place] = used
        value[self._gain.size + each, place] = uses[each, used]
        self._index, self._value = index, value
        self._gain = np.concatenate([self._gain, gain])

    def solve(self, most: float = np.inf) -> tuple[Floats, Floats]:
        """The optimal x of all columns added, and the price of each limit; where that takes more
        than `most` further `work`, how far it came: an x within the limits all the same.
        """
        enough = self.work + most
        for _ in range(50 * self._gain.size):
            if self.work > enough:
                break
            prices = np.append(self._prices(), 0.0)
            reduced = self._gain - (prices[self._index] * self._value).sum(axis=1)
            reduced[self._basis] = 0.0
            enters = int(reduced.argmax())
            if reduced[enters] <= _TINY or not self._pivot(enters):
                break
        x = np.zeros(self._gain.size)
        x[self._basis] = np.maximum(self._inverse @ self._limit, 0.0)
        return x[self._limit.size :], np.maximum(self._prices(), 0.0)

    def _prices(self) -> Floats:
        prices: Floats = self._gain[self._basis] @ self._inverse
        return prices

    def _column(self, number: int) -> Floats:
        column = np.zeros(self._limit.size + 1)
        column[self._index[number]] = self._value[number]
        return column[:-1]

    def _pivot(self, enters: int) -> bool:
        """Bring a column into the basis; False where nothing bounds it."""
        direction = self._inverse @ self._column(enters)
        bounds = direction > _SMALLEST_PIVOT
        if not bounds.any():
            return False
        ratio = np.where(bounds, self._at / np.where(bounds, direction, 1.0), np.inf)
        # Among equally tight rows the largest pivot keeps the inverse accurate.
        tight = ratio <= ratio.min() + 1e-11
        leaves = int(np.where(tight, direction, -np.inf).argmax())
        step = max(float(ratio[leaves]), 0.0)
        self._at -= step * direction
        self._at[leaves] = step
        scaled = self._inverse[leaves] / direction[leaves]
        self._inverse -= np.outer(direction, scaled)
        self._inverse[leaves] = scaled
        self._basis[leaves] = enters
        self.pivots += 1
        return self.pivots % _REFRESH != 0 or self._refreshed()

    def _refreshed(self) -> bool:
        """Compute the inverse afresh; False, which ends the search, where rounding spoilt it."""
        columns = [self._column(number) for number in self._basis.tolist()]
        try:
            self._inverse = np.linalg.inv(np.column_stack(columns))
        except np.linalg.LinAlgError:
            return False
        self._at = self._inverse @ self._shifted
        return True
