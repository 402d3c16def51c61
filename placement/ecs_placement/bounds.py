"""What opened rows cost at the least when all is placed: where that is reached, no search goes
on.
"""

import numpy as np

from ecs_placement.problem import Floats, Problem
from ecs_placement.volume import MOST_GROUPS, VolumePlan

_MOST_SUMS = 20_000  # sums of costs looked at; with more of them a bound is not raised


LARGEST_COUNT = 2**53
"""What a row holds of tasks that ask for nothing: whole numbers are exact up to here."""


def least_cost(problem: Problem) -> float:
    """By volume alone: in no dimension do fewer of the roomiest do, nor do as many of any cost less
    than the cheapest. For one shape rows count the tasks that they hold, so that equal rows make it
    exact.
    """
    room = np.maximum(problem.free, 0).astype(np.float64)
    asked = problem.counts @ np.maximum(problem.shapes, 0).astype(np.float64)
    if problem.counts.size == 1:
        room, asked = held_of_one(problem)[:, None], problem.counts.astype(np.float64)
    closed = ~problem.active & (problem.cost > 0)
    short = asked * (1 - 1e-9) - room[~closed].sum(axis=0)
    roomiest = np.cumsum(np.sort(room[closed], axis=0)[::-1], axis=0)
    rows = int(np.max((roomiest < short).sum(axis=0) + (short > 0), initial=0))
    return float(np.sort(problem.cost[closed])[:rows].sum())


def held_of_one(problem: Problem) -> Floats:
    """How many tasks of the only shape each row holds, [n]."""
    needed = problem.shapes[0] > 0
    room = np.maximum(problem.free[:, needed], 0)
    held: Floats = (room // problem.shapes[0, needed]).min(axis=1, initial=LARGEST_COUNT)
    allowed = problem.allowed(0)
    return held.astype(np.float64) if allowed is None else held * allowed.astype(np.float64)


def proven_cost(problem: Problem, plan: VolumePlan) -> float:
    """By the volume plan, raised to what whole rows can cost; 0 where it says nothing: it may not
    place all, or average over shapes, or over rows that cost differently.
    """
    asked = problem.counts > 0
    if asked.sum() > MOST_GROUPS or (plan.share[asked].sum(axis=1) < 1 - 1e-9).any():
        return 0.0
    closed = plan.classes.closed[plan.classes.label]
    average = plan.classes.cost[plan.classes.label[closed]]
    if not np.allclose(average, problem.cost[closed], rtol=1e-12):
        return 0.0
    return of_whole_rows(plan.value, problem.cost[closed])


def of_whole_rows(value: float, cost: Floats) -> float:
    """The least sum of costs, each any number of times, that is not below `value`."""
    kinds = np.unique(cost)[::-1]
    most = np.ceil(value / kinds)  # more than an int64 holds, of rows that cost next to nothing
    if not kinds.size or value <= 0 or np.prod(most[:-1] + 1.0) > _MOST_SUMS:
        return value
    sums = np.zeros(1)
    for kind, times in zip(kinds[:-1].tolist(), most[:-1].tolist(), strict=True):
        sums = (sums[:, None] + kind * np.arange(times + 1)).reshape(-1)
    # The cheapest fills up what is missing.
    missing = np.ceil(np.maximum(value - sums, 0.0) / kinds[-1] - 1e-7)
    return max(value, float((sums + missing * kinds[-1]).min()) * (1 - 1e-9))
