"""Exact-minded repacking of a small part: whole-row patterns by column generation, then a dive.

A linear program over patterns (which shapes share one row) prices the shapes; a beam search finds
patterns worth adding at these prices (Gilmore & Gomory 1961 in several dimensions). Diving fixes
the most used patterns and solves again for the rest, until all is placed.
"""

from dataclasses import dataclass

import numpy as np

from ecs_placement.linear import Program
from ecs_placement.problem import Bools, Floats, Ints
from ecs_placement.steps import Steps

_BEAM_WORK = 1.5e6  # entries (pattern, shape, dimension) looked at per level of the beam
_DEEPEST = 60
_ROUNDS, _ROUNDS_DIVING = 60, 6
_FIXED_PER_DIVE = 0.12
_PRICING = 0.6  # of the budget at most, before the first dive
_DIVING = 0.1  # of it at most, for each step of a dive


@dataclass(frozen=True, slots=True)
class Rows:
    """Types of empty rows: `room` [t, d], `cost` [t] and how many there are, `number` [t]."""

    room: Ints
    cost: Floats
    number: Ints


@dataclass(frozen=True, slots=True)
class Patterns:
    """`holds` [p, s] of each shape on a row of type `kind` [p]."""

    kind: Ints
    holds: Ints

    def chosen(self, which: Bools | Ints) -> "Patterns":
        """Some of them."""
        return Patterns(self.kind[which], self.holds[which])

    def joined(self, more: "Patterns") -> "Patterns":
        """These, then more."""
        return Patterns(np.concatenate([self.kind, more.kind]), np.vstack([self.holds, more.holds]))


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be placed: `demand` [s, d], `counts` [s] of each, on empty `rows`, where
    `admitted` [t, s].
    """

    demand: Ints
    counts: Ints
    rows: Rows
    admitted: Bools

    def without(self, kind: int, holds: Ints) -> "Task":
        """What is left once one pattern is fixed."""
        number = self.rows.number.copy()
        number[kind] -= 1
        rows = Rows(self.rows.room, self.rows.cost, number)
        return Task(self.demand, self.counts - holds, rows, self.admitted)


def repack(task: Task, until_s: float, better_than: float, steps: Steps) -> Patterns | None:
    """One pattern per opened row, cheaper in sum than `better_than`; None where none was found."""
    found, best = None, better_than
    enough_s = steps.spent_s + _PRICING * (until_s - steps.spent_s)
    root, used, bound = _generate(task, _none(task), _ROUNDS, enough_s, steps)
    floor = np.ceil(bound - 1e-6) if (task.rows.cost == 1.0).all() else bound * (1 + 1e-9)
    first = True
    while (first or steps.spent_s < until_s) and best > floor + 1e-9:
        fixed = _dive(task, root, used, 0.0 if first else 0.15, steps)
        first = False
        if fixed is not None:
            cost = float(task.rows.cost[fixed.kind].sum())
            if cost < best - 1e-9:
                found, best = fixed, cost
    return found


def _none(task: Task) -> Patterns:
    return Patterns(np.zeros(0, dtype=np.int64), np.zeros((0, task.counts.size), dtype=np.int64))


def _dive(
    task: Task, patterns: Patterns, used: Floats, noise: float, steps: Steps
) -> Patterns | None:
    fixed = _none(task)
    while task.counts.any():
        quota = max(1, int(_FIXED_PER_DIVE * used.sum()))
        favour = used + noise * steps.chance.random(used.size) * (used > 1e-6)
        before = task
        for number in np.argsort(-favour, kind="stable").tolist():
            weak = used[number] < 0.35 and task is not before
            if quota == 0 or used[number] < 1e-6 or weak:
                break
            kind, holds = int(patterns.kind[number]), patterns.holds[number]
            for _ in range(max(1, int(used[number] + 1e-6))):
                if (holds <= task.counts).all() and task.rows.number[kind] > 0:
                    task = task.without(kind, holds)
                    fixed = fixed.joined(patterns.chosen(np.array([number])))
                    quota = max(0, quota - 1)
        if task is before:
            return None
        if task.counts.any():
            until_s = steps.spent_s + _DIVING * steps.budget_s
            patterns, used, _ = _generate(task, patterns, _ROUNDS_DIVING, until_s, steps)
    return fixed


def _generate(
    task: Task, known: Patterns, rounds: int, until_s: float, steps: Steps
) -> tuple[Patterns, Floats, float]:
    """Column generation: patterns, how often the linear optimum uses each, and its cost."""
    wanted = np.flatnonzero(task.counts)
    kinds = task.rows.number.size
    worth = 2.0 * float(task.rows.cost.max())  # of placing one more; no shape costs more
    program = Program(np.concatenate([task.counts[wanted], task.rows.number]).astype(np.float64))
    still: Bools = np.all(known.holds <= task.counts, axis=1)
    patterns = known.chosen(still).joined(_singles(task))
    patterns = _distinct(patterns)
    seen = {_key(patterns, number) for number in range(patterns.kind.size)}
    _add(program, patterns, task, wanted, worth)
    used, prices = _solve(program, until_s, steps)
    for _ in range(rounds):
        if steps.spent_s > until_s:
            break
        value = np.zeros(task.counts.size)
        value[wanted] = worth - prices[: wanted.size]
        charge = task.rows.cost + prices[wanted.size :]
        fresh = _none(task)
        for kind in range(kinds):
            if task.rows.number[kind] > 0:
                fresh = fresh.joined(_priced(task, kind, value, steps))
        gain = fresh.holds @ value - charge[fresh.kind]
        new = [n for n in np.flatnonzero(gain > 1e-7).tolist() if _key(fresh, n) not in seen]
        if not new:
            break
        fresh = fresh.chosen(np.array(new))
        seen.update(_key(fresh, number) for number in range(fresh.kind.size))
        _add(program, fresh, task, wanted, worth)
        patterns = patterns.joined(fresh)
        used, prices = _solve(program, until_s, steps)
    cost = float(task.rows.cost[patterns.kind] @ used)
    return patterns, used, cost


def _solve(program: Program, until_s: float, steps: Steps) -> tuple[Floats, Floats]:
    before = program.work
    used, prices = program.solve(steps.affordable(until_s))
    steps.spend(program.work - before, 1)
    return used, prices


def _key(patterns: Patterns, number: int) -> tuple[int, bytes]:
    return int(patterns.kind[number]), patterns.holds[number].tobytes()


def _distinct(patterns: Patterns) -> Patterns:
    _, first = np.unique(
        np.column_stack([patterns.kind, patterns.holds]), axis=0, return_index=True
    )
    return patterns.chosen(np.sort(first))


def _add(program: Program, patterns: Patterns, task: Task, wanted: Ints, worth: float) -> None:
    of_kind = patterns.kind[:, None] == np.arange(task.rows.number.size)
    uses = np.hstack([patterns.holds[:, wanted], of_kind]).astype(np.float64)
    program.add(worth * patterns.holds.sum(axis=1) - task.rows.cost[patterns.kind], uses)


def _singles(task: Task) -> Patterns:
    """Each shape alone on each type of row that has room for it."""
    fits = (task.demand[None] <= task.rows.room[:, None]).all(axis=2) & (task.counts > 0)
    fits &= task.admitted
    kind, shape = np.nonzero(fits)
    holds = np.zeros((kind.size, task.counts.size), dtype=np.int64)
    holds[np.arange(kind.size), shape] = 1
    return Patterns(kind, holds)


def _priced(task: Task, kind: int, value: Floats, steps: Steps) -> Patterns:
    """For each shape the most valuable pattern with it that a beam search meets."""
    room = task.rows.room[kind]
    scarce = (task.counts @ task.demand.astype(np.float64)) / np.maximum(room, 1)
    weights = scarce / max(float(scarce.max()), 1e-300) / np.maximum(room, 1)
    able = (value > 1e-9) & (task.counts > 0) & (task.demand <= room).all(axis=1)
    shapes = np.flatnonzero(able & task.admitted[kind])
    if not shapes.size:
        return _none(task)
    density = value[shapes] / np.maximum(task.demand[shapes] @ weights, 1e-12)
    order = np.argsort(-density, kind="stable")
    beam = _Beam(task.demand[shapes[order]], value[shapes[order]], density[order], weights)
    members = beam.search(room, task.counts[shapes[order]], steps)
    holds = np.zeros((len(members), task.counts.size), dtype=np.int64)
    for number, pattern in enumerate(members):
        np.add.at(holds[number], shapes[order][list(pattern)], 1)
    return Patterns(np.full(len(members), kind, dtype=np.int64), holds)


@dataclass(frozen=True, slots=True)
class _Beam:
    """Shapes by falling `density`: value per weighted demand."""

    demand: Ints
    value: Floats
    density: Floats
    weights: Floats

    def search(self, room: Ints, counts: Ints, steps: Steps) -> list[tuple[int, ...]]:
        """Patterns as sorted tuples of shapes: the best found with each shape."""
        size, dims = self.demand.shape
        width = int(min(2000, max(60, _BEAM_WORK / (size * dims))))
        members, left = np.arange(size)[:, None], room - self.demand
        value, run = self.value, np.ones(size, dtype=np.int64)
        best: dict[int, tuple[float, tuple[int, ...]]] = {}
        self._note(members, value, best)
        while members.shape[1] < _DEEPEST:
            last = members[:, -1]
            may = np.arange(size) >= last[:, None]
            may[np.arange(last.size), last] &= run < counts[last]
            for dim in range(dims):
                may &= left[:, dim, None] >= self.demand[None, :, dim]
            steps.spend(may.size, dims)
            of, shape = np.nonzero(may)
            if not of.size:
                break
            value = value[of] + self.value[shape]
            hope = value + self.density[shape] * ((left[of] - self.demand[shape]) @ self.weights)
            top = _largest(value, 4 * size)
            self._note(np.column_stack([members[of[top]], shape[top]]), value[top], best)
            kept = np.union1d(_largest(hope, width), _largest(value, width // 4))
            run = np.where(shape[kept] == last[of[kept]], run[of[kept]] + 1, 1)
            members = np.column_stack([members[of[kept]], shape[kept]])
            left, value = left[of[kept]] - self.demand[shape[kept]], value[kept]
        return sorted({pattern for _, pattern in best.values()})

    def _note(
        self, members: Ints, value: Floats, best: dict[int, tuple[float, tuple[int, ...]]]
    ) -> None:
        for number in np.argsort(-value, kind="stable").tolist():
            worth, pattern = float(value[number]), tuple(members[number].tolist())
            for shape in set(pattern):
                if shape not in best or worth > best[shape][0] + 1e-9:
                    best[shape] = (worth, pattern)


def _largest(values: Floats, most: int) -> Ints:
    if values.size <= most:
        return np.arange(values.size)
    return np.sort(np.argpartition(-values, most)[:most])
