"""ECS's placement strategies, chained with ECS's meaning: each narrows what the one before left.

`binpack` keeps the instances with the least available CPU or memory, `spread` those whose bucket
runs the fewest tasks of the same task group, `random` picks one; what still ties goes by instance
id.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.columns import Columns
from ecs_placement.policy import Policy, Strategy
from ecs_placement.request import CPU, MEMORY, Shape
from ecs_placement.room import Filled, Room

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_DIMENSION = {"cpu": CPU, "memory": MEMORY}


@dataclass(slots=True)
class _Buckets:
    """Tasks of a group per value of the field: `tasks[code[row]]`."""

    code: Ints
    tasks: Ints


class Chain:
    """The strategies of a policy over one snapshot; tasks are placed one after the other."""

    def __init__(self, policy: Policy, columns: Columns) -> None:
        self._strategies = policy.strategies
        self._columns = columns
        self._chance = np.random.default_rng(policy.seed)

    def take(
        self, shape: Shape, count: int, room: Room, eligible: Bools, *, once_per_row: bool = False
    ) -> Filled:
        """Place up to `count` tasks of a shape and occupy their room."""
        rows = np.flatnonzero(room.fits(shape.demand, eligible))
        fits = room.multiplicity(rows, shape.demand, 1 if once_per_row else count)
        free = {dim: room.free[dim][rows].copy() for dim in _DIMENSION.values()}
        buckets = {s: self._buckets(s, shape, rows) for s in self._strategies if s.type == "spread"}
        placed = np.zeros(rows.size, dtype=np.int64)
        for _ in range(min(count, int(fits.sum()))):
            at = self._choose(np.flatnonzero(placed < fits), free, buckets)
            placed[at] += 1
            for dim, left in free.items():
                left[at] -= shape.demand[dim]
            for bucket in buckets.values():
                bucket.tasks[bucket.code[at]] += 1
        chosen = np.flatnonzero(placed)
        filled = Filled(rows[chosen], placed[chosen])
        room.occupy(filled, shape.demand)
        return filled

    def _choose(self, able: Ints, free: dict[int, Ints], buckets: dict[Strategy, _Buckets]) -> int:
        for strategy in self._strategies:
            if strategy.type == "random":
                return int(self._chance.choice(able))
            if strategy.type == "binpack":
                key = free[_DIMENSION[strategy.field]][able]
            else:
                bucket = buckets[strategy]
                key = bucket.tasks[bucket.code[able]]
            able = able[key == key.min()]
        return int(able[0])

    def _buckets(self, strategy: Strategy, shape: Shape, rows: Ints) -> _Buckets:
        """Instances without the attribute share a bucket; without a group only this call counts."""
        subject = "instanceId" if strategy.field == "host" else strategy.field
        column = self._columns.column(subject)
        tasks = np.zeros(len(column.values), dtype=np.int64)
        if shape.group is not None:
            np.add.at(tasks, column.code, self._columns.tasks_of(shape.group))
        return _Buckets(column.code[rows], tasks)
