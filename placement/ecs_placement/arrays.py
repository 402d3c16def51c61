"""The array-level entry point: vector bin packing of anything, without tasks and clusters.

`pack` validates, turns amounts into int64, interns equal demands into shapes, and hands a Problem
to the fast gear (`greedy`) or, with a budget, to the thorough one (`thorough`).
"""

from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecs_placement.errors import InvalidArray
from ecs_placement.problem import Floats, Ints, Placed, Problem, shares_of
from ecs_placement.thorough import solve

Objective = Literal["fit", "open"]

_EXACT = 2**53  # floats hold every integer up to here
_SCALED = 2.0**44  # fractional amounts are scaled so that the largest of a column becomes this
_ROUNDING = 0.025  # negative demand down to this share of the largest capacity is let pass
_SLACK = 1e-10  # relative; ten times below what rounding of sums of fractions needs


class Options(TypedDict, total=False):
    """Keyword options of `pack`.

    active: bool[n], rows already in use (default: all); opening another costs its `cost`.
    capacity: [n, d], totals of the rows (default: `free`). cost: float[n] (default: ones).
    objective: "fit" places as much as possible, "open" places all on the cheapest rows.
    budget_s: seconds for the thorough gear, counted in steps so that plans stay
    deterministic; 0 is the fast gear, None chooses by the size. seed: any integer.
    """

    active: ArrayLike | None
    capacity: ArrayLike | None
    cost: ArrayLike | None
    objective: Objective
    budget_s: float | None
    seed: int


def pack(free: ArrayLike, demand: ArrayLike, **options: Unpack[Options]) -> Ints:
    """Choose a row for every task: int64[m], the row of `free` [n, d] or -1; raises InvalidArray.

    `free` and `demand` are integers or floats, `free` may be negative. No row ever takes more than
    its `free` in a dimension (fractional amounts: by more than 1e-9 of it); a dimension of which
    a task needs nothing does not concern it. Same arguments, same answer; inputs are not changed.
    """
    problem, shape_of = as_problem(free, demand, options)
    budget_s = options.get("budget_s")
    if budget_s is not None and not budget_s >= 0:
        raise InvalidArray(f"budget_s is {budget_s!r}, expected seconds, 0 or more, or None")
    placed = solve(problem, budget_s, int(options.get("seed", 0)))
    return _rows_of_tasks(placed, shape_of, problem.counts)


def as_problem(free: ArrayLike, demand: ArrayLike, options: Options) -> tuple[Problem, Ints]:
    """Validate what `pack` is given: the problem, and for each task the index of its shape."""
    rows, tasks = _matrix("free", free), _matrix("demand", demand)
    if rows.shape[1] != tasks.shape[1]:
        raise InvalidArray(
            f"demand has {tasks.shape[1]} dimensions, expected {rows.shape[1]} as free has"
        )
    if rows.shape[1] == 0:
        raise InvalidArray("free has no dimensions, expected at least one")
    given = options.get("capacity")
    capacity = rows if given is None else _matrix("capacity", given)
    if capacity.shape != rows.shape:
        raise InvalidArray(f"capacity has shape {capacity.shape}, expected {rows.shape}")
    tasks = _without_negatives(tasks, capacity)
    objective = options.get("objective", "fit")
    if objective not in ("fit", "open"):
        raise InvalidArray(f'objective is {objective!r}, expected "fit" or "open"')
    count = rows.shape[0]
    active = _vector("active", options.get("active"), np.ones(count, dtype=np.bool_))
    cost = _vector("cost", options.get("cost"), np.ones(count))
    if not np.isfinite(cost).all() or (cost < 0).any():
        raise InvalidArray("cost: every entry must be a finite number, 0 or more")
    rows, capacity, tasks = _as_integers(rows, capacity, tasks)
    shapes, counts, shape_of = intern(tasks)
    opening, worth = objective == "open", shares_of(shapes, rows)
    problem = Problem(rows, capacity, active.astype(np.bool_), cost, shapes, counts, opening, worth)
    return problem, shape_of


def _without_negatives(
    tasks: NDArray[np.int64] | Floats, capacity: NDArray[np.int64] | Floats
) -> NDArray[np.int64] | Floats:
    """Let slightly negative amounts pass, as published test sets have them from rounding."""
    if not tasks.size or tasks.min() >= 0:
        return tasks
    bad = tasks < -_ROUNDING * np.abs(capacity).max(axis=0, initial=0)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InvalidArray(f"demand[{row}, {column}] = {tasks[row, column]} is negative")
    return tasks


def _matrix(name: str, values: ArrayLike) -> NDArray[np.int64] | Floats:
    array = np.asarray(values)
    if array.ndim != 2:
        raise InvalidArray(f"{name} has {array.ndim} axes, expected 2: [rows, dimensions]")
    if array.dtype.kind not in "biuf":
        raise InvalidArray(f"{name} has dtype {array.dtype}, expected integers or floats")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0].tolist()
            raise InvalidArray(f"{name}[{row}, {column}] = {array[row, column]} is not finite")
        return array.astype(np.float64)
    if array.size and array.dtype.kind == "u" and array.max() > 2**62:
        raise InvalidArray(f"{name}: {array.max()} is out of range")
    return array.astype(np.int64)


def _vector(name: str, values: ArrayLike | None, default: NDArray[np.generic]) -> Floats:
    if values is None:
        return default.astype(np.float64)
    array = np.asarray(values)
    if array.shape != default.shape:
        raise InvalidArray(f"{name} has shape {array.shape}, expected {default.shape}")
    if array.dtype.kind not in "biuf":
        raise InvalidArray(f"{name} has dtype {array.dtype}, expected numbers")
    return array.astype(np.float64)


def _as_integers(
    free: NDArray[np.int64] | Floats,
    capacity: NDArray[np.int64] | Floats,
    demand: NDArray[np.int64] | Floats,
) -> tuple[Ints, Ints, Ints]:
    """Whole amounts stay exact; a column with a fraction is scaled and rounded with some slack."""
    columns = []
    for free_c, capacity_c, demand_c in zip(free.T, capacity.T, demand.T, strict=True):
        column = (free_c, capacity_c, demand_c)
        if all(_is_whole(values) for values in column):
            columns.append(tuple(values.astype(np.int64) for values in column))
            continue
        largest = max(float(np.abs(values).max(initial=0)) for values in (free_c, demand_c))
        scale = _SCALED / largest if largest > 0 else 1.0
        room = free_c.astype(np.float64)
        room = np.floor((room + np.abs(room) * _SLACK) * scale)
        asked = np.rint(demand_c * scale)
        asked = np.where((asked == 0) & (demand_c > 0), 1, asked)
        total = np.rint(np.minimum(capacity_c * scale, 2.0**61))
        columns.append(tuple(values.astype(np.int64) for values in (room, total, asked)))
    if not columns:
        return tuple(values.astype(np.int64) for values in (free, capacity, demand))  # type: ignore[return-value]
    return tuple(np.stack(values, axis=1) for values in zip(*columns, strict=True))  # type: ignore[return-value]


def _is_whole(values: NDArray[np.int64] | Floats) -> bool:
    if values.dtype.kind != "f":
        return True
    return bool((np.abs(values) < _EXACT).all() and (values == np.rint(values)).all())


def intern(demand: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct rows, how often each comes, and for each task the index of its own.

    Rows are compared by a 64-bit hash first, which sorts ten times faster than whole rows do.
    """
    if demand.shape[0] == 0 or demand.shape[1] == 0:
        count = int(demand.shape[0] > 0)
        shape_of = np.zeros(demand.shape[0], dtype=np.int64)
        return demand[:count], np.full(count, demand.shape[0], dtype=np.int64), shape_of
    odd = np.random.default_rng(7).integers(1, 2**62, demand.shape[1], dtype=np.int64) * 2 + 1
    with np.errstate(over="ignore"):
        key = (demand * odd).sum(axis=1)
        key ^= key >> 29
    _, first, shape_of, counts = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    if (demand[first][shape_of] == demand).all():
        return demand[first], counts, shape_of
    shapes, shape_of, counts = np.unique(demand, axis=0, return_inverse=True, return_counts=True)
    return shapes, counts, shape_of.reshape(-1)


def _rows_of_tasks(placed: Placed, shape_of: Ints, counts: Ints) -> Ints:
    """Hand the places of each shape to its tasks in the order given; the rest stay -1."""
    rows = np.full(shape_of.size, -1, dtype=np.int64)
    by_shape = np.argsort(placed.shape, kind="stable")
    place = np.repeat(placed.row[by_shape], placed.count[by_shape])
    shape = np.repeat(placed.shape[by_shape], placed.count[by_shape])
    tasks = np.argsort(shape_of, kind="stable")
    first_task = np.cumsum(counts) - counts
    first_place = np.searchsorted(shape, np.arange(counts.size))
    rows[tasks[first_task[shape] + np.arange(place.size) - first_place[shape]]] = place
    return rows
