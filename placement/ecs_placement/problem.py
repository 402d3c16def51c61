"""What both gears are asked and what they answer: a Problem and a packing of it, in integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


LARGEST = 2**61
"""No amount is larger: the demand of three tasks, as swaps add it up, stays within int64."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Integer arrays: `free` and `capacity` [n, d], `shapes` [s, d] asked `counts` [s] times.

    Bits say where a shape may go at all: it needs all of its `needs` [s] among the `offers` [n] of
    a row; None where every shape may go anywhere. `worth` [s] is what placing a shape counts for.
    """

    free: Ints
    capacity: Ints
    active: Bools
    cost: Floats
    shapes: Ints
    counts: Ints
    opening: bool  # the objective is the cost of rows opened, not the amount placed
    worth: Floats
    needs: Ints | None = None
    offers: Ints | None = None

    def allowed(self, shape: int) -> Bools | None:
        """bool[n]: the rows that offer what a shape needs; None where that is every row."""
        if self.needs is None or self.offers is None or not self.needs[shape]:
            return None
        allowed: Bools = (self.needs[shape] & ~self.offers) == 0
        return allowed


@dataclass(frozen=True, slots=True)
class Placed:
    """A packing: `count[i]` tasks of shape `shape[i]` on row `row[i]`; a pair may come twice."""

    shape: Ints
    row: Ints
    count: Ints


def shares_of(shapes: Ints, free: Ints) -> Floats:
    """A shape's worth [s]: its mean share of all room, over the dimensions that anyone asks for."""
    room = np.maximum(free, 0).sum(axis=0, dtype=np.float64)
    asked = (shapes > 0).any(axis=0)
    if not asked.any():
        return np.full(shapes.shape[0], 1e-12)
    shares = np.maximum(shapes, 0) / np.maximum(room, 1.0)
    worth: Floats = shares[:, asked].mean(axis=1) + 1e-15
    return worth
