"""The terms of the weighted score: pure functions over rows, each from 0 (worst) to 1 (best).

A term is asked about rows as they are just before one more task of a shape is placed there. Only
`spread` is not here: it looks at all rows at once, by buckets.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecs_placement.columns import Columns
from ecs_placement.fleet import Fleet, fleet_of
from ecs_placement.policy import Policy
from ecs_placement.query import parse
from ecs_placement.request import GPU, Shape
from ecs_placement.room import Room
from ecs_placement.snapshot import Instance, Snapshot

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Ground:
    """What the terms need to know of the instances; each array is float64[n], made when first
    asked for. `waiting` are the shapes of the batch, as often as there are tasks of each.
    """

    def __init__(
        self, policy: Policy, snapshot: Snapshot, room: Room, waiting: Sequence[Shape]
    ) -> None:
        self.policy = policy
        self.room = room
        self._shapes = waiting
        self._snapshot = snapshot
        self._preferred: dict[str, Floats] = {}
        self._warm: dict[str, Floats] = {}
        self._tiers: dict[tuple[tuple[int, ...], int], Ints] = {}

    @cached_property
    def _waiting(self) -> Mapping[Shape, int]:
        """How many tasks there are of each shape."""
        by_address = Counter(map(id, self._shapes))  # cheaper than by value
        shapes = {id(shape): shape for shape in self._shapes}
        counted: Counter[Shape] = Counter()
        for address, count in by_address.items():
            counted[shapes[address]] += count
        return counted

    @cached_property
    def keep(self) -> Shape | None:
        """The shape of the greatest weighted size, for which `keep_room` keeps room."""
        weights = self.room.weights.tolist()

        def size(shape: Shape) -> tuple[float, tuple[int, ...]]:
            weighed = zip(weights, shape.demand, strict=True)
            return sum(weight * asked for weight, asked in weighed), shape.demand

        return max(self._waiting, key=size, default=None)

    @cached_property
    def fleet(self) -> Fleet:
        """What the instances are and cost, by the policy's weights and prices."""
        return fleet_of(self._snapshot, self.room.weights, self.policy.prices)

    @cached_property
    def idle(self) -> Bools:
        """bool[n], of the room: which rows are empty; nothing runs there and this batch has placed
        nothing.
        """
        assert self.room.idle is not None, "a room that does not know it"
        return self.room.idle

    def tiers(self, shape: Shape) -> Ints:
        """`Fleet.tiers` for as many of the shape as wait, `Policy.opens_for` if those are more."""
        ahead = max(self.policy.opens_for, self._waiting.get(shape, 1))
        key = shape.demand, ahead
        if key not in self._tiers:
            self._tiers[key] = self.fleet.tiers(*key)
        return self._tiers[key]

    @cached_property
    def trouble(self) -> Floats:
        """How bad each instance has been, 0 to 1."""
        return np.clip([i.facts.trouble for i in self._rows], 0.0, 1.0).astype(np.float64)

    @cached_property
    def most_gpus(self) -> int:
        """GPUs of the instance that has most."""
        return int(self._snapshot.total[:, GPU].max(initial=0))

    def warm(self, image: str) -> Floats:
        """1 where this image has run."""
        if image not in self._warm:
            found = [image in i.facts.warm for i in self._rows]
            self._warm[image] = np.array(found, dtype=np.float64)
        return self._warm[image]

    def preferred(self, expression: str) -> Floats:
        """1 where the expression holds for the cluster as it was."""
        if expression not in self._preferred:
            mask = parse(expression).mask(Columns(self._snapshot))
            self._preferred[expression] = mask.astype(np.float64)
        return self._preferred[expression]

    @property
    def _rows(self) -> tuple[Instance, ...]:
        return self._snapshot.instances


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows before one more task of `shape`: `taken[i]` of it were put on `rows[i]` since the room
    was last written down.
    """

    ground: Ground
    shape: Shape
    rows: Ints
    taken: Ints

    def free(self, dimension: int) -> Ints:
        """Room in one dimension."""
        free: Ints = self.ground.room.free[dimension][self.rows]
        return free - self.taken * self.shape.demand[dimension]

    @property
    def size(self) -> float:
        """The task's weighted size."""
        size = 0.0
        for weight, asked in zip(self.ground.room.weights.tolist(), self.shape.demand, strict=True):
            size += weight * asked
        return size

    @property
    def left(self) -> Floats:
        """Weighted room."""
        left: Floats = self.ground.room.score[self.rows] - self.taken * self.size
        return left


def _best_fit(seen: Seen, _: str) -> Floats:
    left = np.clip(seen.left - seen.size, 0.0, seen.ground.fleet.largest)
    return np.asarray(1.0 - left / seen.ground.fleet.largest)


def _consolidate(seen: Seen, _: str) -> Floats:
    return np.asarray(1.0 - np.clip(seen.left / seen.ground.fleet.capacity[seen.rows], 0.0, 1.0))


def _open_cost(seen: Seen, _: str) -> Floats:
    idle = seen.ground.idle[seen.rows] & (seen.taken == 0)
    return np.where(idle, (1.0 - seen.ground.fleet.cost[seen.rows]) / 2, 1.0)


def _keep_room(seen: Seen, _: str) -> Floats:
    """How little the task adds to the room that the kept shape can't use (FGD, ATC'23, for one
    shape): taking of what is lost to it anyway is best, breaking its last place is worst.
    """
    keep = seen.ground.keep
    if keep is None:
        return np.full(seen.rows.size, 0.5)
    before = np.ones(seen.rows.size, dtype=np.bool_)
    after = before.copy()
    for dimension, kept in enumerate(keep.demand):
        if kept > 0:
            free = seen.free(dimension)
            before &= free >= kept
            after &= free - seen.shape.demand[dimension] >= kept
    broken = np.maximum(seen.left - seen.size, 0.0)
    lost = np.where(after, 0.0, np.where(before, broken, -seen.size)) / seen.ground.fleet.largest
    return np.asarray((1.0 - np.clip(lost, -1.0, 1.0)) / 2)


def _leave_gpus(seen: Seen, _: str) -> Floats:
    if seen.shape.gpus or not seen.ground.most_gpus:
        return np.ones(seen.rows.size)
    free = np.clip(seen.free(GPU), 0, seen.ground.most_gpus)
    return np.asarray(1.0 - free / seen.ground.most_gpus)


def _warm(seen: Seen, _: str) -> Floats:
    if seen.shape.image is None:
        return np.ones(seen.rows.size)
    return seen.ground.warm(seen.shape.image)[seen.rows]


def _avoid(seen: Seen, _: str) -> Floats:
    return np.asarray(1.0 - seen.ground.trouble[seen.rows])


def _prefer(seen: Seen, expression: str) -> Floats:
    return seen.ground.preferred(expression)[seen.rows]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a term measures. `rises`: putting a task on a row never lowers that row's value for
    the next one like it, so that a group can be poured row by row.
    """

    about: str
    value: Callable[[Seen, str], Floats]
    rises: bool = True


KINDS: Mapping[str, Kind] = {
    "best_fit": Kind("1 less the weighted room left, as a share of the largest", _best_fit),
    "consolidate": Kind("the share of the instance that is in use already", _consolidate),
    "open_cost": Kind(
        "1 in use; empty: half of 1 less its price per capacity as a share of the dearest",
        _open_cost,
    ),
    "keep_room": Kind("how little room the largest waiting shape loses", _keep_room, rises=False),
    "leave_gpus": Kind("1 less the free GPUs, for tasks that need none", _leave_gpus),
    "warm": Kind("1 where the image has run before", _warm),
    "avoid": Kind("1 less the instance's trouble (failed or slow to stop)", _avoid),
    "prefer": Kind("1 where the expression holds", _prefer),
}
"""Every term but `spread`, whose value is 1 / (1 + tasks of the group there more than where they
are fewest): 1, 1/2, 1/3, ...
"""
