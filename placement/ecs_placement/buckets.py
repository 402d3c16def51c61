"""Spreading a task group over the values of an attribute: soft as a score term, hard as a limit of
the skew.

A bucket is a combination of the values that a policy's spreads and limits look at. Rows of one
bucket gain and lose together, so that a batch keeps count per bucket and not per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.feasible import Constraints
from ecs_placement.policy import Policy
from ecs_placement.request import Shape

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Count:
    """Tasks of the group per value of one field. `value_of[bucket]` indexes `tasks`; `counted` are
    the values among which the fewest are looked for. `most` None is a soft term of this `weight`.
    """

    tasks: Ints
    value_of: Ints
    counted: Bools
    missing: int
    weight: float = 0.0
    most: int | None = None

    def above_fewest(self) -> Ints:
        """Per bucket: how many tasks its value has more than the value that has fewest."""
        fewest = self.tasks[self.counted].min() if self.counted.any() else 0
        above: Ints = self.tasks[self.value_of] - fewest
        return above


class Buckets:
    """The buckets of `rows` for one shape; `code[i]` is the bucket of `rows[i]`."""

    def __init__(self, policy: Policy, shape: Shape, rows: Ints, constraints: Constraints) -> None:
        soft = [(t.field, t.weight, None) for t in policy.terms if t.name == "spread" and t.weight]
        hard = [(e.field, 0.0, e.most) for e in policy.limits if shape.group is not None]
        columns = constraints.columns
        within = constraints.possible(shape)
        self._counts: list[_Count] = []
        values: list[Ints] = []
        for field, weight, most in (*soft, *hard):
            column = columns.column("instanceId" if field == "host" else field)
            tasks = np.zeros(len(column.values), dtype=np.int64)
            if shape.group is not None:
                np.add.at(tasks, column.code, columns.tasks_of(shape.group))
            counted = np.zeros(tasks.size, dtype=np.bool_)
            counted[column.code[within]] = True
            missing = column.values.index(None) if None in column.values else -1
            if missing >= 0:
                counted[missing] &= most is None
            values.append(column.code[rows])
            self._counts.append(_Count(tasks, column.code[:0], counted, missing, weight, most))
        self.code, members = _combined(values, rows.size)
        for count, of_row in zip(self._counts, values, strict=True):
            count.value_of = of_row[members]
        self.size = members.size

    @property
    def bonus(self) -> Floats:
        """float64[buckets]: the weighted value of the soft terms."""
        total = np.zeros(self.size)
        for count in self._counts:
            if count.most is None:
                total += count.weight / (1.0 + np.maximum(count.above_fewest(), 0))
        return total

    @property
    def allowed(self) -> Bools:
        """bool[buckets]: where one more task breaks no limit."""
        mask = np.ones(self.size, dtype=np.bool_)
        for count in self._counts:
            if count.most is not None:
                within = count.above_fewest() + 1 <= count.most
                mask &= within & (count.value_of != count.missing)
        return mask

    def add(self, bucket: int) -> None:
        """One more task of the group in there."""
        for count in self._counts:
            count.tasks[count.value_of[bucket]] += 1


def _combined(values: Sequence[Ints], rows: int) -> tuple[Ints, Ints]:
    """The bucket of each row, and one row of each bucket."""
    if not values or not rows:
        return np.zeros(rows, dtype=np.int64), np.zeros(min(rows, 1), dtype=np.int64)
    _, members, code = np.unique(np.stack(values), axis=1, return_index=True, return_inverse=True)
    return code.reshape(-1).astype(np.int64), members.astype(np.int64)


def spreads(policy: Policy, shape: Shape) -> bool:
    """Whether this policy looks at buckets for this shape at all."""
    soft = any(term.name == "spread" and term.weight for term in policy.terms)
    return soft or (bool(policy.limits) and shape.group is not None)
