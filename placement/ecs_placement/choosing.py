"""The way in which a policy chooses rows: best fit, weighted scores, or a chain of strategies."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecs_placement.buckets import Buckets
from ecs_placement.chains import Chain
from ecs_placement.feasible import Constraints
from ecs_placement.plan import Reason, Tally
from ecs_placement.policy import Policy
from ecs_placement.request import Shape, TaskRequest
from ecs_placement.room import Filled, Room
from ecs_placement.scoring import Scores
from ecs_placement.snapshot import Snapshot
from ecs_placement.terms import Ground

Bools = NDArray[np.bool_]


class Chooser(Protocol):
    """Places groups of equal requests, as if one request were placed after the other."""

    def take(
        self, shape: Shape, count: int, room: Room, eligible: Bools, *, once_per_row: bool = False
    ) -> Filled:
        """Place up to `count` tasks of a shape and occupy their room."""


class BestFit:
    """The default: `Room.take` as it is."""

    def take(
        self, shape: Shape, count: int, room: Room, eligible: Bools, *, once_per_row: bool = False
    ) -> Filled:
        """Place up to `count` tasks of a shape and occupy their room."""
        return room.take(shape.demand, count, eligible=eligible, once_per_row=once_per_row)


def chooser(
    policy: Policy,
    snapshot: Snapshot,
    constraints: Constraints,
    room: Room,
    batch: Sequence[TaskRequest],
) -> Chooser:
    """How `policy` chooses for the requests of a batch."""
    if policy.plain:
        return BestFit()
    ground = Ground(policy, snapshot, room, [request.shape for request in batch])
    scores = Scores(policy, constraints, ground)
    if not policy.strategies:
        return scores
    drawn = any(strategy.type == "random" for strategy in policy.strategies)
    return Chain(policy, constraints, scores, batch if drawn else ())


def barred(policy: Policy, shape: Shape, constraints: Constraints) -> tuple[Tally, ...]:
    """How many rows the policy's skew limits keep from taking one more task of the shape."""
    if not policy.limits or shape.group is None:
        return ()
    rows = np.arange(constraints.possible(shape).size)
    buckets = Buckets(policy, shape, rows, constraints)
    closed = int(np.count_nonzero(~buckets.allowed[buckets.code]))
    return (Tally(Reason.SKEW, closed),) if closed else ()
