"""Tasks of one shape, where rows are to be opened for them: the cheapest choice of rows, exactly.

Equal tasks make it a knapsack to be covered: a row holds so many of them, whatever else is on it.
"""

from dataclasses import replace

import numpy as np

from ecs_placement.bounds import held_of_one
from ecs_placement.greedy import best_fit
from ecs_placement.problem import Bools, Floats, Ints, Placed, Problem

_MOST_WORK = 4e6  # tasks times bundles of rows; beyond that a search is as good and sooner done


def cheapest(problem: Problem) -> Placed | None:
    """All tasks, on rows in use and on those others that cost the least in sum; None where there is
    no room for all, or too much to choose from.
    """
    held = held_of_one(problem)
    closed = ~problem.active & (problem.cost > 0)
    short = int(problem.counts[0]) - held[~closed].sum()
    if short > held[closed].sum():
        return None
    usable = ~closed
    if short > 0:
        able = np.flatnonzero(closed & (held > 0))
        # Of rows that hold as many for as much those go first that have least room for others.
        room = (problem.free[able] / np.maximum(problem.free.max(axis=0), 1)).sum(axis=1)
        able = able[np.argsort(room, kind="stable")]
        chosen = _cover(int(short), np.minimum(held[able], short), problem.cost[able])
        if chosen is None:
            return None
        usable[able[chosen]] = True
    return best_fit(replace(problem, free=np.where(usable[:, None], problem.free, 0)))


def _cover(asked: int, held: Floats, cost: Floats) -> Bools | None:
    """The rows, bool[n], that hold `asked` together and cost the least: dynamic programming over
    what is still asked, by bundles of 1, 2, 4, … equal rows.
    """
    kinds, kind_of, number = np.unique(
        np.column_stack([held, cost]), axis=0, return_inverse=True, return_counts=True
    )
    useful = np.minimum(number, np.ceil(asked / kinds[:, 0])).astype(np.int64)
    bundles = [(kind, rows) for kind, most in enumerate(useful.tolist()) for rows in _bundles(most)]
    if len(bundles) * asked > _MOST_WORK:
        return None
    least = np.full(asked + 1, np.inf)
    least[0] = 0.0
    taken = np.zeros((len(bundles), asked + 1), dtype=np.bool_)
    for bundle, (kind, rows) in enumerate(bundles):
        holds = min(rows * int(kinds[kind, 0]), asked)
        with_it = np.concatenate([np.zeros(holds), least[: asked + 1 - holds]])
        with_it += rows * kinds[kind, 1]
        taken[bundle] = with_it < least * (1 - 1e-12)
        least = np.where(taken[bundle], with_it, least)
    opened = np.zeros(number.size, dtype=np.int64)
    for bundle in range(len(bundles) - 1, -1, -1):
        if taken[bundle, asked]:
            kind, rows = bundles[bundle]
            opened[kind] += rows
            asked = max(0, asked - rows * int(kinds[kind, 0]))
    return _first_of_each(kind_of.reshape(-1), opened)


def _bundles(most: int) -> list[int]:
    """Sizes that add up to any number of rows up to `most`."""
    sizes: list[int] = []
    while most > 0:
        sizes.append(min(2 ** len(sizes), most))
        most -= sizes[-1]
    return sizes


def _first_of_each(kind_of: Ints, wanted: Ints) -> Bools:
    order = np.argsort(kind_of, kind="stable")
    first = np.searchsorted(kind_of[order], kind_of[order])
    chosen = np.zeros(kind_of.size, dtype=np.bool_)
    chosen[order] = np.arange(order.size) - first < wanted[kind_of[order]]
    return chosen
