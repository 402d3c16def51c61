"""The thorough gear: prices from the volume plan, rows poured by them, improved within a budget.

`solve` chooses the gear. Its answer is never worse than the fast gear's, which is always computed.
"""

from dataclasses import replace

import numpy as np

from ecs_placement.bounds import least_cost, proven_cost
from ecs_placement.greedy import best_fit
from ecs_placement.one_shape import cheapest
from ecs_placement.packing import Packing
from ecs_placement.patterns import Rows, Task, repack
from ecs_placement.pouring import pour
from ecs_placement.problem import Floats, Ints, Placed, Problem
from ecs_placement.steps import Steps
from ecs_placement.swapping import improve
from ecs_placement.volume import VolumePlan, classify, volume_plan
from ecs_placement.whole_rows import every_way, mixed

_DETAIL = 16  # classes of rows in use
_FEW_SHAPES = 64
# Of the mean worth of a shape: what a swap may lose at first.
_HEAT_FILLING, _HEAT_OPENING, _HEAT_GUIDED = 1.5, 0.3, 0.4
_LONG_S = (
    0.1  # what a search needs to find anything in what is left by listing all ways to fill rows
)
_LEAN, _LEANT = 0.9, 0.8  # how far worth leans towards the guide at first, and until when
_STARTS, _START_S = 8, 0.005  # coolings at most, and what each takes at least for every row
# Patterns are worth their time where rows hold few tasks of few shapes.
_MOST_SHAPES, _MOST_PER_ROW, _MOST_KINDS = 300, 8, 8
_PRICING_S = 1e-3  # of the budget, for each shape on each kind of row, or a round is out of scale


Merit = tuple[float, float]
"""What is left over, and what the opened rows cost: compared as a pair, the smaller is better."""
UNKNOWN: Merit = (np.inf, np.inf)


def default_budget_s(problem: Problem) -> float:
    """Four seconds where patterns pay, one for other small batches, three for larger ones.

    From 50,000 tasks on, what lets few shapes go at 100,000/s and many at 20,000/s.
    """
    tasks = float(problem.counts.sum())
    if _patterns_pay(problem):
        return 4.0
    if tasks <= 50_000:
        return 1.0 if tasks < 1_000 else 3.0
    return tasks * (0.7e-5 if problem.counts.size <= _FEW_SHAPES else 3.0e-5)


def _patterns_pay(problem: Problem) -> bool:
    """Whether rows are to be opened for few tasks each, of not too many shapes."""
    if not problem.opening or problem.counts.size > _MOST_SHAPES:
        return False
    amounts = np.maximum(problem.shapes, 0).astype(np.float64)  # their sums may pass int64
    asked = (problem.counts @ amounts) * _even(problem.capacity)
    return bool(problem.counts.sum() <= _MOST_PER_ROW * float(asked.max()))


def solve(problem: Problem, budget_s: float | None, seed: int, known: Merit = UNKNOWN) -> Placed:
    """Pack within the budget: 0 is the fast gear alone, None a default by the size of the batch.

    `known` is the merit of a packing that is there already: no search begins, or goes on, where
    nothing can be better. The answer is the fast gear's then, which may be worse.
    """
    fast = best_fit(problem)
    if budget_s == 0 or not fast.row.size:
        return fast
    if budget_s is None:
        budget_s = default_budget_s(problem)
    steps = Steps(budget_s, seed)
    merit = min(_merit(problem, fast), known)
    if merit[0] == 0 and (not problem.opening or merit[1] <= least_cost(problem) * (1 + 1e-12)):
        return fast
    search = _fewer_opened if problem.opening else _fill_rows
    better = search(problem, steps, merit)
    return fast if better is None or _merit(problem, better) >= merit else better


def _fewer_opened(problem: Problem, steps: Steps, known: Merit) -> Placed | None:
    """Open rows for everything as cheaply as possible: exactly for one shape, by all ways to fill
    a row where they can be listed, and by a search where there is time for one or nothing else.
    """
    if problem.counts.size == 1 and (exact := cheapest(problem)) is not None:
        return exact
    mix, ways = None, every_way(problem) if known[0] == 0 else None
    if ways is not None:
        mix, floor = mixed(problem, ways, known[1], steps)
        known = known if mix is None else min(known, _merit(problem, mix))
        if known[1] <= floor * (1 + 1e-9) or steps.budget_s - steps.spent_s < _LONG_S:
            return mix
    found = open_rows(problem, steps, known)
    return mix if found is None or _merit(problem, found) >= known else found


def _merit(problem: Problem, placed: Placed) -> Merit:
    """What is left over, and what the opened rows cost: smaller is better."""
    done = np.bincount(placed.shape, weights=placed.count, minlength=problem.counts.size)
    waiting = float((problem.counts - done) @ problem.worth)
    opened = np.zeros(problem.active.size, dtype=np.bool_)
    opened[placed.row] = True
    cost = float(problem.cost[opened & ~problem.active].sum()) if problem.opening else 0.0
    return (waiting if waiting > 1e-12 else 0.0, cost)


def _even(free: Ints) -> Floats:
    """A unit of each dimension counts as a share of the largest row."""
    weights: Floats = 1.0 / np.maximum(free.max(axis=0, initial=0), 1).astype(np.float64)
    return weights


def _planned(packing: Packing, free: Ints, detail: int, steps: Steps) -> VolumePlan:
    """The volume plan of what waits, in the room `free` of the rows."""
    classes = classify(packing.problem, free, packing.usable, detail)
    steps.spend(free.shape[0] * classes.closed.size, free.shape[1])
    plan = volume_plan(packing.problem, free, packing.pool, classes)
    steps.spend(plan.work, 1)
    return plan


def _fill_rows(problem: Problem, steps: Steps, known: Merit) -> Placed:
    """Place as much worth as possible on all rows, whatever is `known`."""
    packing = Packing(problem, problem.worth)
    rows = np.flatnonzero(packing.usable)
    plan = _planned(packing, packing.free, _DETAIL, steps)
    guide = None
    if (plan.share.sum(axis=1) < 0.999).any():
        guide = _guide(problem, plan)
        _pour_by_plan(packing, plan, steps)
    pour(packing, rows, _even(packing.free), packing.pool, steps)
    _anneal_again(packing, rows, steps, guide)
    return _topped_up(packing)


def _guide(problem: Problem, plan: VolumePlan) -> Floats:
    """Where not all fits: what each shape, and at last `nothing`, takes up by the plan's prices.

    A task that is to be placed anyway is worth no more on one row than on another; what it takes
    up of the scarce room is what matters. In sum the guide is the worth of all.
    """
    priced = _priced(problem, plan)
    total = float(problem.counts @ problem.worth) / float(problem.counts @ priced)
    return np.append(priced * total, 0.0)


def _topped_up(packing: Packing) -> Placed:
    """The answer, with whatever of the rest still fits somewhere."""
    problem, placed = packing.problem, packing.placed()
    if not packing.pool.any():
        return placed
    active = problem.active | (packing.count > 0)
    rest = best_fit(replace(problem, free=packing.free, counts=packing.pool, active=active))
    return Placed(
        np.concatenate([placed.shape, rest.shape]),
        np.concatenate([placed.row, rest.row]),
        np.concatenate([placed.count, rest.count]),
    )


def _anneal(
    packing: Packing, rows: Ints, share: float, steps: Steps, guide: Floats | None = None
) -> None:
    """Improve until `share` of the budget is spent or nothing waits; cooling, then cold.

    With a `guide` [s + 1] worth leans towards it at first, and is itself again at the end.
    """
    begin, end = steps.spent_s, share * steps.budget_s
    worth = packing.worth
    hot = _HEAT_OPENING if packing.problem.opening else _HEAT_FILLING
    hot = (hot if guide is None else _HEAT_GUIDED) * float(worth[: packing.nothing].mean())
    while rows.size and steps.spent_s < end and packing.pool.any():
        progress = (steps.spent_s - begin) / max(end - begin, 1e-12)
        if guide is not None:
            packing.worth = worth + _LEAN * max(0.0, 1.0 - progress / _LEANT) * (guide - worth)
        improve(packing, rows, hot * max(0.0, 1.0 - 1.25 * progress) ** 2, steps)
    packing.worth = worth


def _anneal_again(packing: Packing, rows: Ints, steps: Steps, guide: Floats | None) -> None:
    """Improve until the budget is spent: a small batch cools several times from the best found."""
    least, best = packing.waiting(), packing.save()
    starts = int(np.clip((steps.budget_s - steps.spent_s) / (_START_S * rows.size), 1, _STARTS))
    begin = steps.spent_s / steps.budget_s
    for number in range(1, starts + 1):
        _anneal(packing, rows, begin + (1.0 - begin) * number / starts, steps, guide)
        if packing.waiting() < least:
            least, best = packing.waiting(), packing.save()
        elif number < starts or packing.waiting() > least:
            packing.restore(best)


def _pour_by_plan(packing: Packing, plan: VolumePlan, steps: Steps) -> None:
    """Fill the usable rows of each class with its share of what waits, by its prices."""
    wanted = packing.pool.copy()
    for number in range(plan.classes.closed.size):
        rows = np.flatnonzero((plan.classes.label == number) & packing.usable)
        quota = np.ceil(plan.share[:, number] * wanted - 1e-6).astype(np.int64)
        quota = np.minimum(quota, packing.pool)
        if not rows.size or not quota.any():
            continue
        largest = np.maximum(packing.free[rows].max(axis=0), 1)
        valued = plan.price[number] * largest
        weights = (valued / max(float(valued.sum()), 1e-300) + 0.02) / largest
        pour(packing, rows, weights, quota, steps)


def _priced(problem: Problem, plan: VolumePlan) -> Floats:
    """A shape's worth by the prices of the class where it is cheapest, plus a little for its
    size.
    """
    size = np.maximum(problem.shapes, 0) @ _even(problem.capacity)
    size = size / max(float(size.mean()), 1e-300)
    priced = plan.price[plan.price.sum(axis=1) > 0]
    if not priced.size:
        return size + 1e-9
    worth: Floats = (np.maximum(problem.shapes, 0) @ priced.T).min(axis=1)
    worth = worth / max(float(worth.mean()), 1e-300) + 0.05 * size + 1e-9
    return worth


def open_rows(problem: Problem, steps: Steps, known: Merit) -> Placed | None:
    """Place everything on rows in use and on as cheap a choice of others as possible; None where
    the plan proves that nothing is better than what is `known`.
    """
    packing = Packing(problem, problem.worth)
    packing.usable = problem.active | (problem.cost <= 0)
    plan = _planned(packing, packing.free, _DETAIL, steps)
    floor = proven_cost(problem, plan) * (1 + 1e-9)
    if known[0] == 0 and known[1] <= floor:
        return None
    packing.worth[:-1] = _priced(problem, plan)
    _open(packing, plan, up=False)
    _pour_by_plan(packing, plan, steps)
    pour(packing, np.flatnonzero(packing.usable), _even(problem.capacity), packing.pool, steps)
    share = 0.05 if _patterns_pay(problem) else 0.35
    _anneal(packing, np.flatnonzero(packing.usable), share, steps)
    _settle(packing, 0.02, steps)
    if not packing.pool.any() and packing.cost() > floor:
        if steps.budget_s - steps.spent_s >= _LONG_S:  # else its first round alone takes longer
            _repack_small(packing, steps)
        _reopen(packing, floor, steps)
    return _topped_up(packing)


def _repack_small(packing: Packing, steps: Steps) -> None:
    """Where little is on opened rows, choose their whole content anew by patterns."""
    problem = packing.problem
    closed = np.flatnonzero(~problem.active & (problem.cost > 0))
    opened = closed[packing.count[closed] > 0]
    held = np.bincount(packing.items[opened].reshape(-1), minlength=packing.nothing + 1)[:-1]
    shapes = np.flatnonzero(held)
    if not 0 < shapes.size <= _MOST_SHAPES or held.sum() > _MOST_PER_ROW * opened.size:
        return
    offers = np.zeros(problem.free.shape[0], dtype=np.int64)
    if problem.offers is not None:
        _, offers = np.unique(problem.offers, return_inverse=True)
    kinds, first, kind_of, number = np.unique(
        np.column_stack(
            [np.maximum(problem.free[closed], 0), problem.cost[closed], offers[closed]]
        ),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    least_s = _PRICING_S * kinds.shape[0] * shapes.size
    if kinds.shape[0] > _MOST_KINDS or steps.budget_s - steps.spent_s < least_s:
        return
    room = np.maximum(problem.free[closed[first]], 0)
    rows = Rows(room, problem.cost[closed[first]], number)
    admitted = packing.admits(closed[first][:, None], packing.needs(shapes[None]))
    if admitted is None:
        admitted = np.ones((kinds.shape[0], shapes.size), dtype=np.bool_)
    task = Task(packing.demand[shapes], held[shapes], rows, admitted)
    patterns = repack(task, 0.9 * steps.budget_s, packing.cost(), steps)
    if patterns is None:
        return
    packing.clear(opened)
    packing.usable[closed] = False
    unused = [closed[kind_of.reshape(-1) == kind].tolist() for kind in range(kinds.shape[0])]
    for kind, holds in zip(patterns.kind.tolist(), patterns.holds, strict=True):
        row = unused[kind].pop(0)
        packing.usable[row] = True
        for shape in np.repeat(shapes, holds).tolist():
            packing.put(np.array([row]), np.array([shape]))


def _open(packing: Packing, plan: VolumePlan, *, up: bool) -> int:
    """Make the planned number of closed rows usable; fractions of a row go `up` or down."""
    before = int(packing.usable.sum())
    for number in np.flatnonzero(plan.classes.closed).tolist():
        rows = np.flatnonzero((plan.classes.label == number) & ~packing.usable)
        wanted = float(plan.opened[number])
        rows = rows[: int(np.ceil(wanted - 1e-6) if up else np.floor(wanted + 1e-6))]
        packing.usable[rows] = True
    return int(packing.usable.sum()) - before


def _settle(packing: Packing, share: float, steps: Steps) -> None:
    """Open rows for what waits, by a volume plan of it alone, until nothing waits or the budget is
    spent.
    """
    problem = packing.problem
    weights = _even(problem.capacity)
    while packing.pool.any() and not (packing.usable.all() or steps.past(1.0)):
        plan = _planned(packing, np.where(packing.usable[:, None], 0, packing.free), 1, steps)
        if not _open(packing, plan, up=float(plan.opened.sum()) < 4.0):
            able = _able(packing, np.flatnonzero(~packing.usable))
            if not able.size:
                return
            packing.usable[able[problem.cost[able].argmin()]] = True
        fresh = np.flatnonzero(packing.usable & (packing.count == 0))
        pour(packing, fresh, weights, packing.pool, steps)
        rows = np.flatnonzero(packing.usable)
        pour(packing, rows, weights, packing.pool, steps)
        _anneal(packing, rows, steps.spent_s / steps.budget_s + share, steps)


def _able(packing: Packing, rows: Ints) -> Ints:
    """Those of `rows` that could take something that waits."""
    able = np.zeros(rows.size, dtype=np.bool_)
    for shape in np.flatnonzero(packing.pool > 0).tolist():
        fits = (packing.free[rows] >= packing.demand[shape]).all(axis=1)
        allowed = packing.problem.allowed(shape)
        able |= fits if allowed is None else fits & allowed[rows]
    return rows[able]


def _reopen(packing: Packing, floor: float, steps: Steps) -> None:
    """Close some opened rows, place their content again, and keep what is cheaper, down to the
    `floor`.

    Mostly those that hold least for their cost; every third time a few at random, since the row
    that seems worst may be the only one that can hold what is on it.
    """
    problem = packing.problem
    best, saved = packing.cost(), packing.save()
    part, trial = 0.1, 0
    while best > floor and not steps.past(1.0):
        opened = np.flatnonzero((packing.count > 0) & ~problem.active & (problem.cost > 0))
        if not opened.size:
            return
        trial += 1
        steps.spend(opened.size, 1)
        most = max(1, int(part * opened.size))
        if trial % 3:
            held = packing.worth[packing.items[opened]].sum(axis=1) / problem.cost[opened]
            held = held * (1.0 + 0.1 * steps.chance.random(opened.size))
            closing = opened[np.argsort(held, kind="stable")[:most]]
        else:
            closing = steps.chance.choice(opened, min(most, 3), replace=False)
        packing.clear(closing)
        packing.usable = packing.usable & ~((packing.count == 0) & ~problem.active)
        rows = np.flatnonzero(packing.usable)
        pour(packing, rows, _even(problem.capacity), packing.pool, steps)
        _anneal(packing, rows, steps.spent_s / steps.budget_s + 0.06, steps)
        _settle(packing, 0.01, steps)
        if not packing.pool.any() and packing.cost() <= best:
            part = min(part * 1.5, 0.3) if packing.cost() < best else part * 0.7
            best, saved = packing.cost(), packing.save()
        else:
            packing.restore(saved)
            part *= 0.5
    packing.restore(saved)
