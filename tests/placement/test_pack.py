"""The array-level entry point: what it accepts, what it never does, what the fast gear decides."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from ecs_placement import pack
from ecs_placement.arrays import Objective, intern
from ecs_placement.errors import InvalidArray


def used(rows: NDArray[np.int64], demand: NDArray[np.generic], count: int) -> NDArray[np.float64]:
    """What each row takes, recomputed from the answer."""
    taken = np.zeros((count, demand.shape[1]))
    np.add.at(taken, rows[rows >= 0], demand[rows >= 0].astype(np.float64))
    return taken


@pytest.mark.parametrize(
    ("free", "demand", "expected"),
    [
        pytest.param([[4, 4], [2, 6]], [[2, 6], [4, 4]], [1, 0], id="exact fit"),
        pytest.param([[0.3, 1.0]], [[0.1, 0.1]] * 3, [0, 0, 0], id="fractions that sum to 0.3"),
        pytest.param([[0, 0], [0, 0]], [[0, 0]] * 3, [0, 0, 0], id="nothing asked of nothing"),
        pytest.param([[-1, 4], [4, 4]], [[1, 1]], [1], id="negative free"),
        pytest.param([[-1, 4]], [[0, 1]], [0], id="negative free, not asked for"),
        pytest.param([[4], [4]], [[5]], [-1], id="too big"),
        pytest.param([[2**60]], [[2**59 + 1], [2**59 + 1]], [0, -1], id="beyond 2^53, exact"),
        pytest.param([[-5, -5]] * 3, [[1, 1]], [-1], id="over-subscribed everywhere"),
        pytest.param([[2e-9]], [[1e-9], [1e-9], [1e-9]], [0, 0, -1], id="tiny amounts"),
        pytest.param([[5e-324]], [[5e-324]] * 2, [0, -1], id="the smallest float there is"),
        pytest.param([[1e300]], [[5e299]] * 3, [0, 0, -1], id="huge floats"),
        pytest.param([[2**61]], [[2**61], [1]], [0, -1], id="the largest amount, to the unit"),
        pytest.param([[2**53]], [[2**53 + 1]], [-1], id="short by one, beyond what floats tell"),
        pytest.param([[0.5], [1e9]], [[0.5], [1e9]], [0, 1], id="half a unit beside a billion"),
        pytest.param([], [[1, 1]], [-1], id="no rows, given as an empty list"),
        pytest.param([[1, 1]], [], [], id="no tasks, given as an empty list"),
        pytest.param([[True]], [[1]], [0], id="booleans"),
    ],
)
def test_small_cases(free: object, demand: object, expected: list[int]) -> None:
    """Each on both gears."""
    for budget_s in (0.0, 0.02):
        assert pack(free, demand, budget_s=budget_s).tolist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("demand", [[[0, 0]] * 3, [[9, 9]] * 3])
def test_closed_rows_that_hold_nothing_or_everything(demand: list[list[int]]) -> None:
    """Tasks that ask for nothing open one row; tasks that fit nowhere open none."""
    rows = pack([[1, 1]] * 4, demand, active=[False] * 4, objective="open", budget_s=0.05)
    assert len(set(rows.tolist())) == 1


@pytest.mark.parametrize(("rows", "tasks"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_pack_or_nowhere(rows: int, tasks: int) -> None:
    placed = pack(np.zeros((rows, 2)), np.ones((tasks, 2)))
    assert placed.tolist() == [-1] * tasks
    assert placed.dtype == np.int64


@pytest.mark.parametrize(
    ("free", "demand", "options", "message"),
    [
        ([[1.0, np.nan]], [[1, 1]], {}, r"free\[0, 1\] = nan is not finite"),
        ([[1, 1]], [[1, 1], [np.inf, 1]], {}, r"demand\[1, 0\] = inf is not finite"),
        ([[4, 4]], [[1, -1]], {}, r"demand\[0, 1\] = -1 is negative"),
        ([[4, 4]], [[1]], {}, "demand has 1 dimensions, expected 2 as free has"),
        (np.zeros((2, 0)), np.zeros((2, 0)), {}, "free has no dimensions"),
        ([4, 4], [[1]], {}, "free has 1 axes, expected 2"),
        ([["a"]], [[1]], {}, "free has dtype <U1"),
        ([[4]], [[1]], {"active": [True, False]}, r"active has shape \(2,\), expected \(1,\)"),
        ([[4]], [[1]], {"cost": [-1.0]}, "cost: every entry"),
        ([[4]], [[1]], {"capacity": [[4, 4]]}, r"capacity has shape \(1, 2\)"),
        ([[4]], [[1]], {"objective": "cheap"}, 'objective is \'cheap\', expected "fit" or "open"'),
        ([[4]], [[1]], {"budget_s": -1}, "budget_s is -1, expected seconds"),
        ([[4]], [[1]], {"budget_s": float("inf")}, "budget_s is inf, expected seconds"),
        ([[4]], [[1]], {"budget_s": "1"}, "budget_s is '1', expected seconds"),
        ([[4]], [[1]], {"seed": 1.5}, "seed is 1.5, expected an integer"),
        ([[4]], [[1]], {"active": [2]}, "active: every entry must be true or false"),
        ([[4]], [[1]], {"active": ["yes"]}, "active has dtype <U3"),
        ([[4]], [[1]], {"cost": [np.nan]}, "cost: every entry must be a finite number"),
        ([[4]], [[1]], {"capacity": [[np.inf]]}, r"capacity\[0, 0\] = inf is not finite"),
        ([[4]], [[2**62]], {}, r"demand\[0, 0\] = 4611686018427387904 is out of range"),
        ([[1, 2], [3]], [[1, 1]], {}, "free is no array"),
        ([[1j]], [[1]], {}, "free has dtype complex128"),
        (None, [[1]], {}, "free has dtype object"),
    ],
)
def test_bad_arguments_are_named(
    free: object, demand: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArray, match=message):
        pack(free, demand, **options)  # type: ignore[arg-type]


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        pack([[1]], [[1]], sed=3)  # type: ignore[call-arg]


def test_a_slightly_negative_amount_from_rounding_gives_room_back() -> None:
    """-1 of a capacity of 100, as in the published Triplet sets, never less than it gives."""
    assert pack([[100]], [[-1], [50], [50]]).tolist() == [0, 0, 0]
    assert (pack([[100]], [[-1], [50], [52]]) < 0).any()


def test_inputs_are_not_changed() -> None:
    free, demand = np.array([[4, 4], [8, 8]]), np.array([[1, 2]] * 9)
    active, cost = np.array([True, False]), np.array([1.0, 2.0])
    given = (free, demand, active, cost)
    before = [array.copy() for array in given]
    for array in given:
        array.setflags(write=False)
    pack(free, demand, active=active, cost=cost, capacity=free, objective="open", budget_s=0.02)
    assert all(np.array_equal(was, now) for was, now in zip(before, given, strict=True))


def test_a_row_not_in_use_is_opened_only_when_needed_and_the_cheaper_first() -> None:
    """Two tasks fit what is open; the third opens row 2, which costs 1 where row 1 costs 3."""
    placed = pack(
        [[2], [4], [4]],
        [[1]] * 3,
        active=[True, False, False],
        cost=[1.0, 3.0, 1.0],
        objective="open",
        budget_s=0,
    )
    assert sorted(placed.tolist()) == [0, 0, 2]


matrices = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 8), st.just(3)), elements=st.integers(-2, 12)
)


objectives: st.SearchStrategy[Objective] = st.sampled_from(["fit", "open"])
budgets = st.sampled_from([0.0, 0.005])


@given(matrices, matrices, objectives, budgets)
def test_no_row_is_ever_overcommitted(
    free: NDArray[np.int64], demand: NDArray[np.int64], objective: Objective, budget_s: float
) -> None:
    """Nor does a task wait that would fit, nor do two calls differ."""
    demand = np.abs(demand)
    active = np.arange(len(free)) % 2 == 0

    def answer() -> NDArray[np.int64]:
        return pack(free, demand, active=active, objective=objective, budget_s=budget_s)

    rows = answer()
    assert rows.shape == (len(demand),)
    taken = used(rows, demand, len(free))
    assert ((taken <= free) | (taken == 0)).all()
    left = free - taken
    for task in demand[rows < 0]:
        assert not ((left >= task) | (task == 0)).all(axis=1).any()
    assert np.array_equal(rows, answer())


@given(
    arrays.arrays(np.float64, (5, 2), elements=st.floats(0, 1e6, allow_subnormal=True)),
    arrays.arrays(np.float64, (9, 2), elements=st.floats(0, 1e6, allow_subnormal=True)),
    st.integers(-200, 200),
    budgets,
)
def test_no_row_is_ever_overcommitted_by_fractions_of_any_size(
    free: NDArray[np.float64], demand: NDArray[np.float64], power: int, budget_s: float
) -> None:
    """By more than 1e-9 of what it has; sums are exact fractions here, not floats."""
    free, demand = np.ldexp(free, power), np.ldexp(demand, power)
    rows = pack(free, demand, budget_s=budget_s)
    for row in range(5):
        for dim in range(2):
            total = sum(Fraction(each) for each in demand[rows == row, dim].tolist())
            assert total <= Fraction(free[row, dim]) * (1 + Fraction(1, 10**9)) or total == 0


@given(matrices, matrices, objectives, st.integers(1, 10**9))
def test_a_whole_scale_of_a_dimension_never_changes_the_answer(
    free: NDArray[np.int64], demand: NDArray[np.int64], objective: Objective, scale: int
) -> None:
    """MiB or bytes: the same rows, by the thorough gear too."""
    demand, scales = np.abs(demand), np.array([1, 1, 2 ** (scale % 30)])
    active = np.arange(len(free)) % 2 == 0
    plain, scaled = (
        pack(free * by, demand * by, active=active, objective=objective, budget_s=0.005)
        for by in (np.ones(3, dtype=np.int64), scales)
    )
    assert np.array_equal(plain, scaled)


@given(matrices, matrices, objectives, st.integers(0, 3))
def test_the_thorough_gear_is_never_worse_than_the_fast_one(
    free: NDArray[np.int64], demand: NDArray[np.int64], objective: Objective, seed: int
) -> None:
    """Neither leaves it more waiting, nor does it open dearer rows for as much."""
    demand = np.abs(demand)
    active, cost = np.arange(len(free)) % 2 == 0, 1.0 + np.arange(len(free)) % 3
    room = np.maximum(np.maximum(free, 0).sum(axis=0), 1)
    worth = (demand / room)[:, demand.any(axis=0)].mean(axis=1) if demand.any() else demand[:, 0]

    def merit(budget_s: float) -> tuple[float, float]:
        rows = pack(
            free,
            demand,
            active=active,
            cost=cost,
            objective=objective,
            budget_s=budget_s,
            seed=seed,
        )
        opened = np.unique(rows[rows >= 0])
        spent = float(cost[opened[~active[opened]]].sum()) if objective == "open" else 0.0
        return (round(float(worth[rows < 0].sum()), 9), spent)

    assert merit(0.005) <= merit(0.0)


EVERY_WAY = np.array(list(itertools.product(range(-1, 3), repeat=6)))


def test_tiny_clusters_are_packed_as_well_as_can_be() -> None:
    """Six tasks on three rows, 80 times, against every assignment: never more than the optimum, in
    nineteen of twenty cases all of it, and 99 % of it in the mean.
    """
    on_row = (EVERY_WAY[:, :, None] == np.arange(3)).astype(np.int64)
    chance, reached = np.random.default_rng(2), []
    for _ in range(80):
        free, demand = chance.integers(2, 10, (3, 2)), chance.integers(1, 7, (6, 2))
        worth = (demand / free.sum(axis=0)).mean(axis=1)
        possible = (np.einsum("atr,td->ard", on_row, demand) <= free).all(axis=(1, 2))
        best = float(((EVERY_WAY >= 0) @ worth)[possible].max())
        placed = float(worth[pack(free, demand, budget_s=0.05) >= 0].sum())
        reached.append(placed / best if best else 1.0)
    assert max(reached) <= 1 + 1e-9
    assert np.mean(np.array(reached) > 1 - 1e-9) >= 0.95
    assert np.mean(reached) >= 0.99


@given(matrices, matrices)
def test_the_fast_gear_is_best_fit_decreasing(
    free: NDArray[np.int64], demand: NDArray[np.int64]
) -> None:
    """Against one request at a time; equal sizes of different shape may go either way."""
    demand = np.abs(demand)
    largest = np.maximum(free.max(axis=0), 1)
    weights = (demand / largest).sum(axis=0)
    weights = weights / max(weights.max(), 1e-300) / largest
    sizes = demand @ weights
    _, shape_of = np.unique(demand, axis=0, return_inverse=True)
    if len(set(np.round(sizes, 9))) < len(set(shape_of.reshape(-1).tolist())):
        return
    left, expected = free.astype(np.float64), np.zeros(len(free), dtype=np.int64)
    for task in np.argsort(-sizes, kind="stable"):
        fits = ((left >= demand[task]) | (demand[task] == 0)).all(axis=1)
        if fits.any():
            best = int(np.where(fits, np.round(left @ weights, 9), np.inf).argmin())
            left[best] -= demand[task]
            expected[best] += 1
    rows = pack(free, demand, budget_s=0)
    assert np.bincount(rows[rows >= 0], minlength=len(free)).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_tasks_of_equal_size_go_in_the_order_given(seed: int) -> None:
    """Triplets: half of their sizes tie, and the ties decide how many rows best fit opens."""
    chance = np.random.default_rng(seed)
    first, second = chance.integers(15, 50, (60, 10)), chance.integers(10, 40, (60, 10))
    demand = chance.permutation(np.concatenate([first, second, 100 - first - second]))
    weights = (demand / 100).sum(axis=0)
    weights = weights / weights.max() / 100
    left, expected = np.full((len(demand), 10), 100), np.full(len(demand), -1)
    for task in np.argsort(-(demand @ weights), kind="stable"):
        # Opened rows, which are the first ones, by the least room; the next one if none fits.
        opened = 1 + int(expected.max())
        room = sum(w * left[:opened, d] for d, w in enumerate(weights))
        score = np.where((left[:opened] >= demand[task]).all(axis=1), room, np.inf)
        best = int(score.argmin()) if np.isfinite(score).any() else opened
        left[best] -= demand[task]
        expected[task] = best
    closed = np.zeros(len(demand), dtype=np.bool_)
    free = np.full((len(demand), 10), 100)
    rows = pack(free, demand, active=closed, objective="open", budget_s=0)
    assert rows.tolist() == expected.tolist()


@given(arrays.arrays(np.int64, (20, 2), elements=st.integers(0, 2)))
def test_interning_gives_back_every_task(tasks: NDArray[np.int64]) -> None:
    shapes, counts, shape_of = intern(tasks)
    assert np.array_equal(shapes[shape_of], tasks)
    assert np.array_equal(np.bincount(shape_of), counts)
    assert len({tuple(shape) for shape in shapes.tolist()}) == len(shapes)
