"""The volume plan: one linear program that pours shapes into classes of rows like liquids.

It says how much of each shape belongs on each class, which closed rows are worth opening, and what
a unit of each resource of each class is worth. Its value bounds what any packing reaches.
"""

from dataclasses import dataclass

import numpy as np

from ecs_placement.linear import Program
from ecs_placement.problem import Bools, Floats, Ints, Problem

MOST_GROUPS = (
    48  # clusters of shapes in the program; beyond that its time grows faster than its use
)
_MOST_CLOSED = 12
_PLACING = 20.0  # placing a shape is worth this many times all rows' cost: everything gets placed


@dataclass(frozen=True, slots=True)
class Classes:
    """Rows that the plan does not tell apart: `label` per row; `closed` and `cost` per class."""

    label: Ints
    closed: Bools
    cost: Floats

    @property
    def rows(self) -> Ints:
        """How many rows each class has."""
        return np.bincount(self.label, minlength=self.closed.size).astype(np.int64)


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """`share` [shape, class] of each shape's count; `opened` rows per class; `price` [class, d]
    per unit.

    `value` is the program's optimum: the cost of opening (a lower bound), or the worth placed (an
    upper one). `work` is how many numbers were looked at to solve it.
    """

    classes: Classes
    share: Floats
    opened: Floats
    price: Floats
    value: float
    work: int


def classify(problem: Problem, free: Ints, usable: Bools, detail: int) -> Classes:
    """Rows in use by the profile of their room, `detail` classes of them; others by type and
    cost.
    """
    label = np.zeros(free.shape[0], dtype=np.int64)
    closed = ~usable if problem.opening else np.zeros(usable.size, dtype=np.bool_)
    largest = np.maximum(free.max(axis=0, initial=0), 1)
    flags: list[bool] = []
    for is_closed in (False, True):
        rows = np.flatnonzero(closed == is_closed)
        if not rows.size:
            continue
        profile = free[rows] / largest
        if problem.offers is not None:
            profile = np.column_stack([profile, _bits(problem.offers[rows])])
        if is_closed:
            profile = np.column_stack(
                [profile, problem.cost[rows] / max(problem.cost.max(), 1e-300)]
            )
        part = _alike(profile, _MOST_CLOSED if is_closed else detail)
        label[rows] = part + len(flags)
        flags += [is_closed] * (int(part.max()) + 1)
    total = np.bincount(label, weights=problem.cost, minlength=len(flags))
    rows_of = np.maximum(np.bincount(label, minlength=len(flags)), 1)
    cost: Floats = np.where(flags, total / rows_of, 0.0)
    return Classes(label, np.array(flags, dtype=np.bool_), cost)


def volume_plan(problem: Problem, free: Ints, counts: Ints, classes: Classes) -> VolumePlan:
    """Solve the program for `counts` of each shape in the room `free` of the rows."""
    group = _groups(problem, free, counts)
    size = int(group.max(initial=0)) + 1
    asked = np.zeros((size, free.shape[1]))
    np.add.at(asked, group, problem.shapes * counts[:, None].astype(np.float64))
    tasks = np.maximum(np.bincount(group, weights=counts, minlength=size), 1e-300)
    total = np.maximum(free.sum(axis=0, dtype=np.float64), 1.0)
    each, room = (asked / tasks[:, None]), _per_class(free, classes, np.add)
    largest = _per_class(free, classes, np.maximum)
    admitted: Bools = np.all(each[:, None, :] <= largest[None] + 1e-9, axis=2)
    if problem.needs is not None and problem.offers is not None:
        offered = np.zeros(classes.closed.size, dtype=np.int64)
        np.bitwise_or.at(offered, classes.label, problem.offers)
        needed = np.full(size, -1, dtype=np.int64)
        np.bitwise_and.at(needed, group, problem.needs)
        admitted &= (needed[:, None] & ~offered[None]) == 0
    program = _Program(asked / total, room / total, admitted, classes)
    share, opened, price, value, work = program.solve(problem.opening)
    return VolumePlan(classes, share[group], opened, price / total, value, work)


@dataclass(frozen=True, slots=True)
class _Program:
    """Amounts as shares of the cluster's total: `asked` [group, d], `room` [class, d]."""

    asked: Floats
    room: Floats
    admitted: Bools
    classes: Classes

    def solve(self, opening: bool) -> tuple[Floats, Floats, Floats, float, int]:
        groups, classes = self.admitted.shape
        dims = self.asked.shape[1]
        group, into = np.nonzero(self.admitted)
        closed = np.flatnonzero(self.classes.closed)
        poured, rows = group.size, self.classes.rows
        uses = np.zeros((groups + classes * dims + closed.size, poured + closed.size))
        limit, gain = np.zeros(uses.shape[0]), np.zeros(uses.shape[1])
        uses[group, np.arange(poured)] = 1.0
        limit[:groups] = 1.0
        for dim in range(dims):
            uses[groups + into * dims + dim, np.arange(poured)] = self.asked[group, dim]
        available = np.where(self.classes.closed[:, None], 0.0, self.room)
        limit[groups : groups + classes * dims] = available.reshape(-1)
        spent = self.classes.cost * rows
        worth = _worth(self.asked, opening, float(spent.sum()))
        gain[:poured] = worth[group]
        for number, of in enumerate(closed.tolist()):
            uses[groups + of * dims : groups + (of + 1) * dims, poured + number] = -self.room[of]
            uses[groups + classes * dims + number, poured + number] = 1.0
            limit[groups + classes * dims + number] = 1.0
            gain[poured + number] = -spent[of]
        scale = float(gain.max(initial=0.0)) or 1.0  # nothing to gain where no row admits anything
        program = Program(limit)
        program.add(gain / scale, uses.T)
        x, prices = program.solve()
        share = np.zeros((groups, classes))
        share[group, into] = x[:poured]
        opened = np.zeros(classes)
        opened[closed] = x[poured:] * rows[closed]
        price = prices[groups : groups + classes * dims].reshape(classes, dims) * scale
        value = float(spent[closed] @ x[poured:]) if opening else float(worth[group] @ x[:poured])
        return share, opened, price, value, program.work


def _worth(asked: Floats, opening: bool, spent: float) -> Floats:
    if opening:
        largest: Floats = asked.max(axis=1) * max(spent, 1.0) * _PLACING + 1e-9
        return largest
    used = asked.sum(axis=0) > 0
    if not used.any():
        return np.full(asked.shape[0], 1e-9)
    worth: Floats = asked[:, used].mean(axis=1)
    return worth


def _bits(offers: Ints) -> Floats:
    """One column for every bit in which the rows differ."""
    differing = int(np.bitwise_or.reduce(offers) & ~np.bitwise_and.reduce(offers))
    places = [place for place in range(63) if differing >> place & 1]
    return (
        np.array([(offers >> place) & 1 for place in places], dtype=np.float64)
        .reshape(len(places), offers.size)
        .T
    )


def _per_class(free: Ints, classes: Classes, reduce: np.ufunc) -> Floats:
    order = np.argsort(classes.label, kind="stable")
    first = np.searchsorted(classes.label[order], np.arange(classes.closed.size))
    result: Floats = reduce.reduceat(free[order].astype(np.float64), first, axis=0)
    return result


def _groups(problem: Problem, free: Ints, counts: Ints) -> Ints:
    """Shapes that ask for about the same, in proportion and size; each its own while they are
    few.
    """
    wanted = np.flatnonzero(counts > 0)
    shapes = problem.shapes
    group = np.zeros(shapes.shape[0], dtype=np.int64)
    if wanted.size <= MOST_GROUPS:
        group[wanted] = np.arange(wanted.size)
        return group
    part = shapes[wanted] / np.maximum(free.max(axis=0, initial=0), 1)
    proportion = part / np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
    size = np.sqrt(part.max(axis=1, keepdims=True))
    looks = [proportion, 0.5 * size]
    if problem.needs is not None:
        looks.append(_bits(problem.needs[wanted]))
    group[wanted] = _alike(np.hstack(looks), MOST_GROUPS)
    return group


def _alike(points: Floats, most: int) -> Ints:
    """k-means from points chosen far apart; equal points stay together, labels leave no gaps."""
    columns = np.ascontiguousarray(points.T)

    def squared(centre: Floats) -> Floats:
        far: Floats = ((columns - centre[:, None]) ** 2).sum(axis=0)
        return far

    centres = [int(columns.sum(axis=0).argmax())]
    distance = squared(points[centres[0]])
    while len(centres) < most and distance.max() > 1e-12:
        centres.append(int(distance.argmax()))
        distance = np.minimum(distance, squared(points[centres[-1]]))
    middle = points[centres]
    label = np.zeros(points.shape[0], dtype=np.int64)
    for _ in range(6 if distance.max() > 1e-12 else 1):
        label = np.stack([squared(centre) for centre in middle]).argmin(axis=0)
        for number in np.unique(label).tolist():
            middle[number] = points[label == number].mean(axis=0)
    _, label = np.unique(label, return_inverse=True)
    return label.reshape(-1).astype(np.int64)
