"""What both gears are asked and what they answer: a Problem and a packing of it, in integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Problem:
    """Integer arrays: `free` and `capacity` [n, d], `shapes` [s, d] asked `counts` [s] times."""

    free: Ints
    capacity: Ints
    active: Bools
    cost: Floats
    shapes: Ints
    counts: Ints
    opening: bool  # the objective is the cost of rows opened, not the amount placed


@dataclass(frozen=True, slots=True)
class Placed:
    """A packing: `count[i]` tasks of shape `shape[i]` on row `row[i]`; a pair may come twice."""

    shape: Ints
    row: Ints
    count: Ints
