"""Why this instance and not another: the instances that fit a shape, best first, with their score
term by term.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecs_placement.buckets import Buckets
from ecs_placement.chains import Chain
from ecs_placement.feasible import Constraints
from ecs_placement.policy import Policy
from ecs_placement.request import Shape
from ecs_placement.room import Room, weights_of
from ecs_placement.scoring import Scores
from ecs_placement.snapshot import InstanceId, Snapshot
from ecs_placement.terms import Ground

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TermValue:
    """One term of a score from 0 to 1, or one strategy of a chain and what it wants least of."""

    name: str
    weight: float
    value: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """One instance with room for the shape. `score` is the weighted mean of the terms, from 0 to 1;
    with the objective `open` instances in use (`opens` false) come before all others.
    """

    instance_id: InstanceId
    score: float
    terms: tuple[TermValue, ...]
    opens: bool


def ranking(
    shape: Shape, snapshot: Snapshot, policy: Policy, waiting: Collection[Shape] = (), most: int = 3
) -> tuple[Ranked, ...]:
    """The `most` best instances for one task of the shape, in the order of the policy's choice.

    `waiting` are the shapes that wait besides, for `keep_room`. What `random` picks is not ranked.
    """
    if not len(snapshot):
        return ()
    snapshot = snapshot.over(tuple(name for name, _ in shape.scalars))
    names = snapshot.scalars
    shape, waiting = replace(shape, over=names), [replace(each, over=names) for each in waiting]
    constraints = Constraints(snapshot)
    weights = weights_of(policy.weights_over(names), snapshot.total)
    room = Room(snapshot.free, weights, idle=snapshot.idle)
    ground = Ground(policy, snapshot, room, [*waiting, shape])
    scores = Scores(policy, constraints, ground)
    rows = np.flatnonzero(room.fits(shape.demand, constraints.eligible(shape)))
    buckets = Buckets(policy, shape, rows, constraints)
    rows = rows[buckets.allowed[buckets.code]]
    none = np.zeros(rows.size, dtype=np.int64)
    by_term = scores.by_term(shape, rows)
    shares = {term.label: term.weight for term in policy.scored}
    total = sum(shares.values())
    score = np.zeros(rows.size)
    for label, value in by_term.items():
        score += shares[label] * value / total
    tier = scores.tiers(shape, rows, none) if policy.objective == "open" else none
    keys = [-tier, -score]
    if policy.strategies:
        by_term = Chain(policy, constraints, scores).keys(shape, rows, room)
        shares = {}
        keys = [-tier, *by_term.values()]
    order = np.lexsort(tuple(reversed(keys)))
    idle = ground.idle[rows]
    return tuple(
        Ranked(
            snapshot.instances[rows[at]].id,
            float(score[at]),
            tuple(
                TermValue(name, shares.get(name, 1.0), float(value[at]))
                for name, value in by_term.items()
            ),
            bool(idle[at]),
        )
        for at in order[:most].tolist()
    )
