"""Weighted scores over groups of equal requests, exactly as if placed one request at a time.

Terms that never fall as a row fills allow sorting once. Others are asked about the next few tasks
of each row ahead; a row's tasks are then taken in the order of the least value up to each, which
is the order in which a greedy choice takes them. Spreads are merged bucket by bucket.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecs_placement.buckets import Buckets, spreads
from ecs_placement.feasible import Constraints
from ecs_placement.grouping import weighted
from ecs_placement.policy import Policy, Term
from ecs_placement.request import Shape
from ecs_placement.room import Filled, Room
from ecs_placement.terms import KINDS, Ground, Seen

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_WAVE = 512
"""Tasks of a group that are looked ahead at once; bounds the memory, never the answer."""

_PAIRS = 200_000
"""Rows × tasks ahead of a wave, about."""

_LAST = np.int64(2**62)

_ROUNDING = 1e-9
"""A share of all weights: rows whose room differs by more have scores that differ."""

_ONE = np.ones(1, dtype=np.int64)


@dataclass(slots=True)
class _Candidates:
    """The rows that could take the shape: how many each has room for and has been given."""

    shape: Shape
    rows: Ints
    fit: Ints
    taken: Ints


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The next tasks, in the order in which each bucket would take them.

    `row` indexes the candidates. `last` marks a row's last known task where more may follow.
    """

    row: Ints
    value: Floats
    bucket: Ints
    last: Bools


class Scores:
    """The weighted score of a policy over one snapshot."""

    def __init__(self, policy: Policy, constraints: Constraints, ground: Ground) -> None:
        self._policy = policy
        self._constraints = constraints
        self._ground = ground
        scored = policy.scored
        self._all = sum(term.weight for term in scored)
        self._terms = [term for term in scored if term.name != "spread"]
        self._rises = all(KINDS[term.name].rises for term in self._terms)
        self._tight = [term.name for term in scored] == ["best_fit"]
        weights = (*policy.weights, *(weight for _, weight in policy.scalar_weights))
        self._rounding = _ROUNDING * (sum(weights) + len(ground.room.weights))

    def take(
        self, shape: Shape, count: int, room: Room, eligible: Bools, *, once_per_row: bool = False
    ) -> Filled:
        """Place up to `count` tasks of a shape and occupy their room."""
        able = room.fits(shape.demand, eligible)
        most = 1 if once_per_row else count
        if self._rises and not spreads(self._policy, shape):
            filled = self._pour(shape, count, able, most)
        else:
            rows = np.flatnonzero(able)
            fit = room.multiplicity(rows, shape.demand, most)
            found = _Candidates(shape, rows, fit, np.zeros(rows.size, dtype=np.int64))
            if spreads(self._policy, shape):
                self._merge(found, count)
            else:
                self._look_ahead(found, count)
            chosen = np.flatnonzero(found.taken)
            filled = Filled(rows[chosen], found.taken[chosen])
        room.occupy(filled, shape.demand)
        return filled

    def values(self, shape: Shape, rows: Ints, taken: Ints) -> Floats:
        """float64: the score of each row before its next task, without the spread terms.

        From 0 to 1; with the objective `open`, rows in use come 2 above all empty ones, and these
        2 apart by their price.
        """
        score = self._mean(Seen(self._ground, shape, rows, taken))
        if self._policy.objective == "open":
            score += 2.0 * self.tiers(shape, rows, taken)
        return score

    def _mean(self, seen: Seen) -> Floats:
        """The weighted mean of the terms, without the spreads."""
        score = np.zeros(seen.rows.size)
        for term in self._terms:
            score += term.weight * KINDS[term.name].value(seen, term.field)
        score /= self._all
        return score

    def by_term(self, shape: Shape, rows: Ints) -> dict[str, Floats]:
        """The value of every term for each row, before the next task."""
        seen = Seen(self._ground, shape, rows, np.zeros(rows.size, dtype=np.int64))
        return {
            term.label: self._spread(term, shape, rows)
            if term.name == "spread"
            else KINDS[term.name].value(seen, term.field)
            for term in self._policy.scored
        }

    def _spread(self, term: Term, shape: Shape, rows: Ints) -> Floats:
        alone = Buckets(Policy(terms=(replace(term, weight=1.0),)), shape, rows, self._constraints)
        return alone.bonus[alone.code]

    def tiers(self, shape: Shape, rows: Ints, taken: Ints) -> Ints:
        """What comes before the score under the objective `open`: in use first, then by price."""
        tier = self._ground.tiers(shape)
        empty = self._ground.idle[rows] & (taken == 0)
        return np.where(empty, tier[self._ground.fleet.kind[rows]], tier.max(initial=0) + 1)

    def bonus(self, buckets: Buckets) -> Floats:
        """What the spread terms add to the score of each bucket's rows."""
        return buckets.bonus / self._all

    def _pour(self, shape: Shape, count: int, able: Bools, most: int) -> Filled:
        """No row's value falls as it fills: the best row until it is full, then the next, with at
        most so many of the shape on each. Under `open` empty rows are looked at last.
        """
        if self._policy.objective != "open":
            best = self._best(shape, count, np.flatnonzero(able), 0)
            return self._filled(shape, count, best, most)
        filled = self._fill_in_use(shape, count, np.flatnonzero(able & ~self._ground.idle), most)
        left = count - filled.placed
        if not left:
            return filled
        best = self._best_empty(shape, left, able & self._ground.idle)
        opened = self._filled(shape, left, best, most)
        if not filled.rows.size:
            return opened
        rows = np.concatenate((filled.rows, opened.rows))
        order = np.argsort(rows)
        return Filled(rows[order], np.concatenate((filled.counts, opened.counts))[order])

    def _fill_in_use(self, shape: Shape, count: int, rows: Ints, most: int) -> Filled:
        if not rows.size:
            return Filled(rows, rows)

        def tier() -> int:
            return int(self._ground.tiers(shape).max(initial=0)) + 1

        return self._filled(shape, count, self._best_of_tier(shape, count, rows, tier), most)

    def _filled(self, shape: Shape, count: int, best: Ints, most: int) -> Filled:
        """One row after the other, until `count` tasks have a place; the rows ascending."""
        if count == 1:
            return Filled(best[:1], _ONE[: best.size])
        fit = self._ground.room.multiplicity(best, shape.demand, most)
        before = np.cumsum(fit) - fit
        needed = int(np.searchsorted(before, count))
        rows, counts = best[:needed], np.minimum(fit[:needed], count - before[:needed])
        order = np.argsort(rows)
        return Filled(rows[order], counts[order])

    def _best(self, shape: Shape, count: int, rows: Ints, tier: Ints | int) -> Ints:
        """The best `count` of `rows`, or more, the best first; the `tier` of each, or of all,
        counts before the score.
        """
        score = self._mean(Seen(self._ground, shape, rows, np.zeros(rows.size, dtype=np.int64)))
        score += 2.0 * tier
        if rows.size > 2 * count:
            limit = np.partition(score, rows.size - count)[rows.size - count]
            near = np.flatnonzero(score >= limit)
            rows, score = rows[near], score[near]
        return rows[np.argsort(-score, kind="stable")]

    def _best_empty(self, shape: Shape, count: int, able: Bools) -> Ints:
        tiers = self._ground.tiers(shape)
        tier = np.where(able, tiers.take(self._ground.fleet.kind), -1)
        first = int(tier.max(initial=-1))
        rows = np.flatnonzero(tier == first)
        if first >= 0 and rows.size >= count:
            return self._best_of_tier(shape, count, rows, lambda: first)
        rows = np.flatnonzero(able)
        tier = tier[rows]
        if rows.size > count:
            upto = np.cumsum(np.bincount(tier)[::-1])
            near = tier >= upto.size - 1 - np.searchsorted(upto, count)
            rows, tier = rows[near], tier[near]
        return self._best(shape, count, rows, tier)

    def _best_of_tier(self, shape: Shape, count: int, rows: Ints, tier: Callable[[], int]) -> Ints:
        """As `_best`. The order of a score that is best fit alone is that of the room, unless
        rounding makes equal what is not: only then it is worked out.
        """
        if self._tight:
            room = self._ground.room
            left = np.maximum(room.score.take(rows), weighted(shape.demand, room.weights))
            if rows.size > 2 * count:
                limit = left.min() if count == 1 else np.partition(left, count - 1)[count - 1]
                near = left <= limit + self._rounding
                rows, left = rows[near], left[near]
            order = np.argsort(left, kind="stable")
            apart = np.diff(left[order])
            if not ((apart > 0.0) & (apart <= self._rounding)).any():
                return rows[order]
        return self._best(shape, count, rows, tier())

    def _look_ahead(self, found: _Candidates, count: int) -> None:
        """Rows are independent of one another, but their values may fall as they fill."""
        one = np.zeros(found.rows.size, dtype=np.int64)
        while count > 0:
            wave = min(count, _WAVE)
            ahead = self._ahead(found, one, wave)
            if not ahead.row.size:
                return
            unsure = np.flatnonzero(ahead.last[:wave])
            end = int(unsure[0]) + 1 if unsure.size else min(wave, ahead.row.size)
            np.add.at(found.taken, ahead.row[:end], 1)
            count -= end

    def _merge(self, found: _Candidates, count: int) -> None:
        """One task after the other from the bucket that is best with it."""
        buckets = Buckets(self._policy, found.shape, found.rows, self._constraints)
        while count > 0:
            placed = self._merge_wave(found, buckets, min(count, _WAVE))
            if not placed:
                return
            count -= placed

    def _merge_wave(self, found: _Candidates, buckets: Buckets, wave: int) -> int:
        """Place up to `wave` tasks; fewer where it is not known what follows."""
        ahead = self._ahead(found, buckets.code, wave)
        starts = np.searchsorted(ahead.bucket, np.arange(buckets.size))
        ends = np.searchsorted(ahead.bucket, np.arange(buckets.size), side="right")
        head = np.full(buckets.size, -np.inf)
        row = np.full(buckets.size, _LAST)
        some = starts < ends
        head[some], row[some] = ahead.value[starts[some]], ahead.row[starts[some]]
        for placed in range(wave):
            value = np.where(buckets.allowed, head + self.bonus(buckets), -np.inf)
            best = value.max(initial=-np.inf)
            if best == -np.inf:
                return placed
            ties = np.flatnonzero(value == best)
            bucket = int(ties[np.argmin(row[ties])])
            at = int(starts[bucket])
            found.taken[ahead.row[at]] += 1
            buckets.add(bucket)
            if ahead.last[at]:
                return placed + 1
            starts[bucket] = at = at + 1
            known = at < ends[bucket]
            head[bucket] = ahead.value[at] if known else -np.inf
            row[bucket] = ahead.row[at] if known else _LAST
        return wave

    def _ahead(self, found: _Candidates, code: Ints, wave: int) -> _Ahead:
        """The next tasks of the rows that can matter to the next `wave` of them."""
        rows = np.flatnonzero(found.taken < found.fit)
        rows = self._best_of_bucket(found, rows, code, wave)
        fit = (found.fit - found.taken)[rows]
        depth = max(1, min(wave, int(fit.max(initial=1)), _PAIRS // max(rows.size, 1)))
        step = np.arange(depth)
        known = step < fit[:, None]
        taken = found.taken[rows][:, None] + step
        each = np.repeat(rows, depth)
        value = self.values(found.shape, found.rows[each], taken.reshape(-1)).reshape(-1, depth)
        least = np.minimum.accumulate(value, axis=1)[known]
        last = (known & (step == depth - 1) & (fit[:, None] > depth))[known]
        row = each.reshape(-1, depth)[known]
        order = np.lexsort((-least, code[row]))
        return _Ahead(row[order], value[known][order], code[row][order], last[order])

    def _best_of_bucket(self, found: _Candidates, rows: Ints, code: Ints, most: int) -> Ints:
        """The `most` best rows of each bucket: no other can take any of the next `most` tasks."""
        if rows.size <= most:
            return rows
        score = self.values(found.shape, found.rows[rows], found.taken[rows])
        order = np.lexsort((-score, code[rows]))
        sorted_code = code[rows][order]
        place = np.arange(rows.size) - np.searchsorted(sorted_code, sorted_code)
        return np.sort(rows[order[place < most]])
