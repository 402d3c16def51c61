"""The array-level entry point: vector bin packing of anything, without tasks and clusters.

`pack` validates, turns amounts into int64, interns equal demands into shapes, and hands a Problem
to the fast gear (`greedy`) or, with a budget, to the thorough one (`thorough`).
"""

import operator
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from ecs_placement.errors import InvalidArray
from ecs_placement.problem import LARGEST, Floats, Ints, Placed, Problem, shares_of
from ecs_placement.thorough import solve

Objective = Literal["fit", "open"]

_EXACT = 2**53  # floats hold every integer up to here
_SCALED = 44  # fractional amounts are scaled by a power of two, the largest of a column to 2^44
_ROUNDING = 0.025  # negative demand down to this share of the largest capacity is let pass
_SLACK = 1e-10  # relative; ten times below what rounding of sums of fractions needs


_Amounts = Ints | Floats


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
    budget_s, seed = options.get("budget_s"), options.get("seed", 0)
    placed = solve(problem, _seconds(budget_s), _seed(seed))
    return _rows_of_tasks(placed, shape_of, problem.counts)


def as_problem(free: ArrayLike, demand: ArrayLike, options: Options) -> tuple[Problem, Ints]:
    """Validate what `pack` is given: the problem, and for each task the index of its shape."""
    for name in options:
        if name not in Options.__annotations__:
            raise TypeError(f"pack() got an unexpected keyword argument {name!r}")
    rows, tasks = _of_equal_width(_matrix("free", free), _matrix("demand", demand))
    given = options.get("capacity")
    capacity = rows if given is None else _matrix("capacity", given)
    if capacity.shape != rows.shape:
        raise InvalidArray(f"capacity has shape {capacity.shape}, expected {rows.shape}")
    tasks = _without_negatives(tasks, capacity)
    objective = options.get("objective", "fit")
    if objective not in ("fit", "open"):
        raise InvalidArray(f'objective is {objective!r}, expected "fit" or "open"')
    active = _vector("active", options.get("active"), rows.shape[0])
    if not np.isin(active, (0.0, 1.0)).all():
        raise InvalidArray("active: every entry must be true or false")
    cost = _vector("cost", options.get("cost"), rows.shape[0])
    if not np.isfinite(cost).all() or (cost < 0).any():
        raise InvalidArray("cost: every entry must be a finite number, 0 or more")
    cost = cost / (cost.max(initial=0.0) or 1.0)  # their scale means nothing, and sums stay finite
    rows, capacity, tasks = _as_integers(rows, capacity, tasks)
    shapes, counts, shape_of = intern(tasks)
    opening, worth = objective == "open", shares_of(shapes, rows)
    problem = Problem(rows, capacity, active.astype(np.bool_), cost, shapes, counts, opening, worth)
    return problem, shape_of


def _of_equal_width(rows: _Amounts, tasks: _Amounts) -> tuple[_Amounts, _Amounts]:
    """Both as they are; an empty one gets the other's dimensions."""
    if not len(rows):
        rows = rows.reshape(0, tasks.shape[1] or 1)
    if not len(tasks):
        tasks = tasks.reshape(0, rows.shape[1])
    if rows.shape[1] != tasks.shape[1]:
        raise InvalidArray(
            f"demand has {tasks.shape[1]} dimensions, expected {rows.shape[1]} as free has"
        )
    if rows.shape[1] == 0:
        raise InvalidArray("free has no dimensions, expected at least one")
    return rows, tasks


def _seconds(budget_s: object) -> float | None:
    if budget_s is None:
        return None
    if isinstance(budget_s, int | float | np.integer | np.floating) and 0 <= budget_s < np.inf:
        return float(budget_s)
    raise InvalidArray(f"budget_s is {budget_s!r}, expected seconds, 0 or more, or None")


def _seed(seed: object) -> int:
    try:
        return operator.index(seed) % 2**64  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArray(f"seed is {seed!r}, expected an integer") from None


def _without_negatives(tasks: _Amounts, capacity: _Amounts) -> _Amounts:
    """Let slightly negative amounts pass, as published test sets have them from rounding."""
    if not tasks.size or tasks.min() >= 0:
        return tasks
    bad = tasks < -_ROUNDING * np.abs(capacity).max(axis=0, initial=0)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InvalidArray(f"demand[{row}, {column}] = {tasks[row, column]} is negative")
    return tasks


def _matrix(name: str, values: ArrayLike) -> _Amounts:
    array = _numbers(name, values)
    if array.size == 0 and array.ndim == 1:
        array = array.reshape(0, 0)
    if array.ndim != 2:
        raise InvalidArray(f"{name} has {array.ndim} axes, expected 2: [rows, dimensions]")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0].tolist()
            raise InvalidArray(f"{name}[{row}, {column}] = {array[row, column]} is not finite")
        return array.astype(np.float64)
    if array.size and (array.max() > LARGEST or array.min() < -LARGEST):
        far = (array > LARGEST) | (array < -LARGEST)
        row, column = np.argwhere(far)[0].tolist()
        raise InvalidArray(
            f"{name}[{row}, {column}] = {array[row, column]} is out of range, "
            f"expected at most 2^61 = {LARGEST} in size, or floats"
        )
    return array.astype(np.int64)


def _vector(name: str, values: ArrayLike | None, size: int) -> Floats:
    """float64[size]; ones where nothing is given."""
    array = np.ones(size) if values is None else _numbers(name, values)
    if array.shape != (size,):
        raise InvalidArray(f"{name} has shape {array.shape}, expected {(size,)}")
    return array.astype(np.float64)


def _numbers(name: str, values: ArrayLike) -> _Amounts:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidArray(f"{name} is no array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise InvalidArray(f"{name} has dtype {array.dtype}, expected integers or floats")
    return array


def _as_integers(
    free: _Amounts,
    capacity: _Amounts,
    demand: _Amounts,
) -> tuple[Ints, Ints, Ints]:
    """Whole amounts stay exact; a column with a fraction is scaled and rounded with some slack."""
    columns = []
    for column in zip(free.T, capacity.T, demand.T, strict=True):
        if all(_is_whole(values) for values in column):
            columns.append(tuple(values.astype(np.int64) for values in column))
        else:
            columns.append(_scaled(*(values.astype(np.float64) for values in column)))
    return tuple(np.stack(values, axis=1) for values in zip(*columns, strict=True))  # type: ignore[return-value]


def _scaled(free: Floats, capacity: Floats, demand: Floats) -> tuple[Ints, Ints, Ints]:
    """Room is rounded down, after a slack for the rounding of its sums; demand to the nearest."""
    largest = max(float(np.abs(values).max(initial=0)) for values in (free, demand))
    shift = _SCALED - int(np.frexp(largest)[1])
    with np.errstate(under="ignore"):
        room = np.ldexp(free, shift)
        room = np.floor(room + np.abs(room) * _SLACK)
        asked = np.rint(np.ldexp(demand, shift))
        total = np.rint(np.ldexp(np.minimum(capacity, largest), shift))
    asked = np.where((asked == 0) & (demand > 0), 1, asked)
    return room.astype(np.int64), total.astype(np.int64), asked.astype(np.int64)


def _is_whole(values: _Amounts) -> bool:
    if values.dtype.kind != "f":
        return True
    return bool((np.abs(values) < _EXACT).all() and (values == np.rint(values)).all())


def intern(demand: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct rows as they first come, how often each comes, and for each task the index of its
    own.

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
    if not (demand[first][shape_of] == demand).all():
        _, first, shape_of, counts = np.unique(
            demand, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return demand[first[order]], counts[order], place[shape_of.reshape(-1)]


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
