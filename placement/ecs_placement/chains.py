"""ECS's placement strategies, chained with ECS's meaning: each narrows what the one before left.

`binpack` keeps the instances with the least available CPU or memory, `spread` those whose bucket
runs the fewest tasks of the same task group, `random` picks one; `score`, which ECS has not, keeps
those with the best weighted score. What still ties goes by instance id.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.buckets import Buckets, spreads
from ecs_placement.feasible import Constraints
from ecs_placement.policy import Policy, Strategy
from ecs_placement.request import CPU, MEMORY, Shape, TaskRequest
from ecs_placement.room import Filled, Room
from ecs_placement.scoring import Scores
from ecs_placement.turns import Key, Keys, Spread, fill

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_DIMENSION = {"cpu": CPU, "memory": MEMORY}


@dataclass(slots=True)
class _Tasks:
    """Tasks of a group per value of the field: `tasks[code[row]]`."""

    code: Ints
    tasks: Ints


@dataclass(slots=True)
class _Sight:
    """What the strategies look at while tasks of one shape are placed, per candidate row.

    `score` and `tier` are there when the policy asks for them.
    """

    shape: Shape
    rows: Ints
    placed: Ints
    free: dict[int, Ints]
    tasks: dict[Strategy, _Tasks]
    buckets: Buckets
    score: Floats | None
    tier: Ints | None


class Chain:
    """The strategies of a policy over one snapshot; tasks are placed one after the other. Chance
    depends on the `batch` too: drawn from the seed alone, one task a batch would always go to the
    same of the instances.
    """

    def __init__(
        self,
        policy: Policy,
        constraints: Constraints,
        scores: Scores,
        batch: Sequence[TaskRequest] = (),
    ) -> None:
        self._policy = policy
        self._strategies = policy.strategies
        self._constraints = constraints
        self._scores = scores
        self._chance = np.random.default_rng((policy.seed, _number_of(batch)))

    def take(
        self, shape: Shape, count: int, room: Room, eligible: Bools, *, once_per_row: bool = False
    ) -> Filled:
        """Place up to `count` tasks of a shape and occupy their room."""
        rows = np.flatnonzero(room.fits(shape.demand, eligible))
        if not rows.size:
            return Filled(rows, rows)
        fits = room.multiplicity(rows, shape.demand, 1 if once_per_row else count)
        sight = self._look(shape, rows, room)
        ordered = self._ordered(sight)
        if ordered is None:
            self._one_by_one(sight, fits, count)
        else:
            sight.placed = fill(ordered, fits, count)
        chosen = np.flatnonzero(sight.placed)
        filled = Filled(rows[chosen], sight.placed[chosen])
        room.occupy(filled, shape.demand)
        return filled

    def _one_by_one(self, sight: _Sight, fits: Ints, count: int) -> None:
        for _ in range(min(count, int(fits.sum()))):
            able = sight.placed < fits
            if self._policy.limits:
                able &= sight.buckets.allowed[sight.buckets.code]
            if not able.any():
                break
            self._put(self._choose(np.flatnonzero(able), sight), sight)

    def _ordered(self, sight: _Sight) -> Keys | None:
        """What decides, where each row's keys depend on that row alone but for one spread; None
        for chance, skew limits, several spreads, and scores that spread.
        """
        shape, steps = sight.shape, list(dict.fromkeys(self._strategies))
        kinds = [strategy.type for strategy in steps]
        apart = [at for at, each in enumerate(steps) if each.type == "spread" and _shared(each)]
        limited = bool(self._policy.limits) and shape.group is not None
        scattered = "score" in kinds and spreads(self._policy, shape)
        if "random" in kinds or limited or scattered or len(apart) > 1:
            return None
        keys = [self._key_of(each, sight) for each in steps]
        first = [] if sight.tier is None else [self._tier_of(sight)]
        own = [each for at, each in enumerate(steps) if at not in apart]
        moving = next((each for each in own if _moves(each, shape)), None)
        falls = moving is None or moving.type == "binpack"
        if not apart:
            return Keys([*first, *keys], None, [], falls)
        at = apart[0]
        spread = Spread(sight.tasks[steps[at]].code, sight.tasks[steps[at]].tasks)
        return Keys([*first, *keys[:at]], spread, keys[at + 1 :], falls)

    def _key_of(self, strategy: Strategy, sight: _Sight) -> Key:
        """The strategy's key of candidates that have been given so many tasks already."""
        shape = sight.shape
        if strategy.type == "binpack":
            dimension = _DIMENSION[strategy.field]
            free, asked = sight.free[dimension], shape.demand[dimension]
            return lambda at, taken: free[at] - taken * asked
        if strategy.type == "spread":
            counted = sight.tasks[strategy]
            tasks = counted.tasks[counted.code]
            return lambda at, taken: tasks[at] + taken
        return lambda at, taken: -self._scores.values(shape, sight.rows[at], taken)

    def _tier_of(self, sight: _Sight) -> Key:
        return lambda at, taken: -self._scores.tiers(sight.shape, sight.rows[at], taken)

    def keys(self, shape: Shape, rows: Ints, room: Room) -> dict[str, Floats]:
        """What each strategy wants least of, per row, before the next task; `random` has none."""
        sight, able = self._look(shape, rows, room), np.arange(rows.size)
        ordered = [each for each in self._strategies if each.type != "random"]
        return {each.label: self._key(each, able, sight).astype(np.float64) for each in ordered}

    def _look(self, shape: Shape, rows: Ints, room: Room) -> _Sight:
        placed = np.zeros(rows.size, dtype=np.int64)
        scored = any(strategy.type == "score" for strategy in self._strategies)
        return _Sight(
            shape=shape,
            rows=rows,
            placed=placed,
            free={dim: room.free[dim][rows].copy() for dim in _DIMENSION.values()},
            tasks={s: self._tasks(s, shape, rows) for s in self._strategies if s.type == "spread"},
            buckets=Buckets(self._policy, shape, rows, self._constraints),
            score=self._scores.values(shape, rows, placed) if scored else None,
            tier=self._scores.tiers(shape, rows, placed)
            if self._policy.objective == "open"
            else None,
        )

    def _put(self, at: int, sight: _Sight) -> None:
        """One more task on candidate `at`; only what it touches is looked at anew."""
        sight.placed[at] += 1
        for dim, left in sight.free.items():
            left[at] -= sight.shape.demand[dim]
        for each in sight.tasks.values():
            each.tasks[each.code[at]] += 1
        sight.buckets.add(int(sight.buckets.code[at]))
        touched, placed = sight.rows[at : at + 1], sight.placed[at : at + 1]
        if sight.score is not None:
            sight.score[at] = self._scores.values(sight.shape, touched, placed)[0]
        if sight.tier is not None:
            sight.tier[at] = self._scores.tiers(sight.shape, touched, placed)[0]

    def _choose(self, able: Ints, sight: _Sight) -> int:
        if sight.tier is not None:
            tier = sight.tier[able]
            able = able[tier == tier.max()]
        for strategy in self._strategies:
            if strategy.type == "random":
                return int(self._chance.choice(able))
            key = self._key(strategy, able, sight)
            able = able[key == key.min()]
        return int(able[0])

    def _key(self, strategy: Strategy, able: Ints, sight: _Sight) -> Ints | Floats:
        """What this strategy wants least of."""
        if strategy.type == "binpack":
            return sight.free[_DIMENSION[strategy.field]][able]
        if strategy.type == "spread":
            counted = sight.tasks[strategy]
            return counted.tasks[counted.code[able]]
        assert sight.score is not None
        bonus = self._scores.bonus(sight.buckets)[sight.buckets.code[able]]
        return -(sight.score[able] + bonus)

    def _tasks(self, strategy: Strategy, shape: Shape, rows: Ints) -> _Tasks:
        """Instances without the attribute share a bucket; without a group only this call counts."""
        subject = "instanceId" if strategy.field == "host" else strategy.field
        column = self._constraints.columns.column(subject)
        tasks = np.zeros(len(column.values), dtype=np.int64)
        if shape.group is not None:
            np.add.at(tasks, column.code, self._constraints.columns.tasks_of(shape.group))
        return _Tasks(column.code[rows], tasks)


def _shared(spread: Strategy) -> bool:
    """Whether several rows may be in one bucket."""
    return spread.field not in ("instanceId", "host")


def _moves(strategy: Strategy, shape: Shape) -> bool:
    """Whether a row's key changes as it takes tasks of the shape."""
    return strategy.type != "binpack" or shape.demand[_DIMENSION[strategy.field]] > 0


def _number_of(batch: Sequence[TaskRequest]) -> int:
    """The same for the same requests, in whatever process."""
    return zlib.crc32("\n".join(sorted(request.id for request in batch)).encode())
