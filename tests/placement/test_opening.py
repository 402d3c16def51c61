"""What opening rows costs at the least, and the two ways to reach it without a search."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.placement.test_thorough import drawn, opened, problem, waiting

from ecs_placement.arrays import intern
from ecs_placement.bounds import least_cost, of_whole_rows, proven_cost
from ecs_placement.one_shape import cheapest
from ecs_placement.problem import LARGEST, Placed, Problem, shares_of
from ecs_placement.steps import Steps
from ecs_placement.thorough import UNKNOWN, open_rows, solve
from ecs_placement.volume import VolumePlan, classify, volume_plan
from ecs_placement.whole_rows import every_way, mixed


@pytest.mark.parametrize("seed", range(20))
def test_no_packing_is_cheaper_than_the_least_cost(seed: int) -> None:
    """Rows of different cost and room, some in use, some that a shape must not go to."""
    chance = np.random.default_rng(seed)
    free, demand = drawn(seed, 30, 90)
    shapes, counts, _ = intern(demand if seed % 2 else demand[:1].repeat(90, axis=0))
    offers, cost = chance.integers(1, 4, 30), chance.integers(1, 5, 30).astype(np.float64)
    case = Problem(
        free=free,
        capacity=free,
        active=np.arange(30) < seed % 5,
        cost=cost,
        shapes=shapes,
        counts=counts,
        opening=True,
        worth=shares_of(shapes, free),
        needs=np.ones(counts.size, dtype=np.int64),
        offers=offers,
    )
    for budget_s in (0, 0.1):
        placed = solve(case, budget_s, seed)
        if waiting(case, placed) < 1e-9:
            assert least_cost(case) <= opened(case, placed) + 1e-9


def test_one_shape_on_equal_rows_is_known_to_be_best_at_once() -> None:
    """70 of a size of which a row takes 6, on two rows in use and 30 others: ten must be opened,
    by volume (60 of 60 units a row are never used up) a row less would do.
    """
    demand = np.array([[9, 1, 1]]).repeat(70, axis=0)
    case = problem(np.full((32, 3), 60), demand, closed=30)
    assert least_cost(case) == opened(case, solve(case, 0, 0)) == 10


def planned(of: Problem) -> VolumePlan:
    usable = of.active | (of.cost <= 0)
    free = np.maximum(of.free, 0)
    return volume_plan(of, free, of.counts, classify(of, free, usable, 16))


@pytest.mark.parametrize("seed", range(8))
def test_no_packing_is_cheaper_than_what_the_plan_proves(seed: int) -> None:
    """A long search among rows of two prices finds nothing below it."""
    chance = np.random.default_rng(seed)
    free = chance.integers(20, 60, (4, 3))[chance.integers(0, 4, 14)]
    case = problem(free, chance.integers(4, 16, (25, 3)), closed=12)
    case = replace(case, cost=np.where(free[:, 0] > 40, 2.5, 1.0))
    proven = proven_cost(case, planned(case))
    found = solve(case, 0.3, seed)
    assert found.count.sum() == case.counts.sum()
    assert 0 < proven <= opened(case, found) + 1e-9


def test_a_plan_proves_what_leaves_no_choice() -> None:
    """Each of nine tasks of three shapes fills a row: nothing costs less than nine rows."""
    free = np.full((12, 3), 10)
    demand = np.repeat([[10, 1, 1], [10, 10, 1], [10, 1, 10]], 3, axis=0)
    case = problem(free, demand, closed=12)
    assert proven_cost(case, planned(case)) == pytest.approx(9.0)


def test_a_plan_that_averages_prices_proves_nothing() -> None:
    """More prices than the plan has classes of rows."""
    free = np.full((40, 3), 30)
    case = problem(free, np.full((20, 3), 10), closed=40)
    case = replace(case, cost=1.0 + np.arange(40) / 7)
    assert proven_cost(case, planned(case)) == 0.0


def test_a_plan_proves_what_whole_rows_cost() -> None:
    """By volume two rows and a half would do of the cheaper kind; whole ones cost 6 at least."""
    free = np.full((20, 2), 10)
    demand = np.array([[5, 1], [1, 5]]).repeat([5, 4], axis=0)
    case = problem(free, demand, closed=20)
    case = replace(case, cost=np.where(np.arange(20) % 2, 2.0, 3.0))
    plan = planned(case)
    assert 4.0 < plan.value < 6.0
    assert proven_cost(case, plan) == pytest.approx(6.0)


@given(
    held=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    asked=st.integers(1, 12),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_one_shape_never_costs_more_than_the_best_of_all_choices(
    held: list[int], asked: int, seed: int
) -> None:
    """Against every subset of the rows that are not in use."""
    chance = np.random.default_rng(seed)
    free = np.column_stack([np.array(held) * 10 + chance.integers(0, 10, len(held)), held])
    case = problem(free, np.array([[10, 1]]).repeat(asked, axis=0), closed=len(held))
    cost = chance.choice([0.0, 1.0, 1.3, 2.0, 2.5], len(held))
    case = replace(case, cost=cost, active=chance.random(len(held)) < 0.2)
    closed = np.flatnonzero(~case.active & (cost > 0))
    there = sum(held) - sum(held[row] for row in closed)
    choices = [
        sum(cost[row] for row in chosen)
        for size in range(closed.size + 1)
        for chosen in itertools.combinations(closed.tolist(), size)
        if there + sum(held[row] for row in chosen) >= asked
    ]
    found = cheapest(case)
    if not choices:
        assert found is None
        return
    assert found is not None
    assert found.count.sum() == asked
    assert opened(case, found) == pytest.approx(min(choices))


def test_no_search_begins_where_a_packing_is_known_that_none_can_beat() -> None:
    """Twelve rows hold what was cut out of twelve, best fit needs more: told of them, it stays."""
    chance = np.random.default_rng(8)
    cuts = np.sort(chance.integers(20, 80, (12, 4, 2)), axis=2)
    parts = np.stack([cuts[..., 0], cuts[..., 1] - cuts[..., 0], 100 - cuts[..., 1]], axis=1)
    case = problem(np.full((30, 4), 100), parts.reshape(36, 4), closed=30)
    fast = opened(case, solve(case, 0, 1))
    assert opened(case, solve(case, 0.5, 1)) < fast
    assert opened(case, solve(case, 0.5, 1, (0.0, 12.0))) == fast


@given(
    sizes=st.lists(st.sampled_from([(3, 1), (2, 4), (5, 2), (1, 6)]), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_mix_of_ways_to_fill_rows_never_costs_less_than_its_bound_or_more_than_it_was_told(
    sizes: list[tuple[int, int]], seed: int
) -> None:
    """Rows of several prices, some in use, some closed to a shape; against every assignment."""
    chance = np.random.default_rng(seed)
    free = chance.choice([4, 6, 8], (5, 2))
    case = problem(free, np.array(sizes), closed=5)
    case = replace(
        case,
        cost=chance.choice([1.0, 1.7, 2.5], 5),
        active=chance.random(5) < 0.3,
        needs=chance.integers(0, 2, case.counts.size),
        offers=(chance.random(5) < 0.7).astype(np.int64),
    )
    tasks = np.repeat(np.arange(case.counts.size), case.counts)
    possible = [
        opened(case, Placed(tasks, np.array(rows), np.ones(tasks.size, dtype=np.int64)))
        for rows in itertools.product(range(5), repeat=tasks.size)
        if fits(case, Placed(tasks, np.array(rows), np.ones(tasks.size, dtype=np.int64)))
    ]
    ways = every_way(case)
    assert ways is not None
    found, floor = mixed(case, ways, 1e9, Steps(1.0, seed))
    if not possible:
        assert found is None
        return
    assert floor <= min(possible) + 1e-9
    if found is not None:
        assert fits(case, found)
        assert found.count.sum() == tasks.size
        assert opened(case, found) >= min(possible) - 1e-9
        assert mixed(case, ways, min(possible), Steps(1.0, seed))[0] is None


def fits(of: Problem, placed: Placed) -> bool:
    used = np.zeros_like(of.free)
    np.add.at(used, placed.row, of.shapes[placed.shape] * placed.count[:, None])
    allowed = [of.allowed(shape) for shape in range(of.counts.size)]
    pairs = zip(placed.shape.tolist(), placed.row.tolist(), strict=True)
    admitted = all(mask is None or mask[row] for shape, row in pairs for mask in [allowed[shape]])
    return admitted and bool((used <= of.free).all())


def test_listing_all_ways_to_fill_a_row_finds_what_best_fit_does_not() -> None:
    """Twenty rows are cut into five shapes; best fit needs more to put them together again."""
    parts = np.array([[5, 2, 4], [3, 5, 1], [2, 3, 5], [6, 4, 3], [4, 6, 7]])
    case = problem(np.full((40, 3), 10), parts.repeat([10, 10, 10, 10, 10], axis=0), closed=40)
    fast, ways = opened(case, solve(case, 0, 1)), every_way(case)
    assert ways is not None
    found, floor = mixed(case, ways, fast, Steps(0.01, 1))
    assert found is not None
    assert opened(case, found) == pytest.approx(floor) == 20 < fast


def test_a_task_that_costs_more_than_a_row_is_placed_all_the_same() -> None:
    """Two large tasks keep all but one of ten small ones off the two large rows each, so that eight
    rows more are opened for them: the bound and the mix know it."""
    free = np.array([[100, 10]] * 2 + [[9, 1]] * 24)
    case = problem(free, np.array([[95, 1], [5, 1]]).repeat([2, 10], axis=0), closed=26)
    ways = every_way(case)
    assert ways is not None
    found, floor = mixed(case, ways, 1e9, Steps(1.0, 1))
    assert found is not None
    assert found.count.sum() == 12
    assert floor == pytest.approx(10.0) == opened(case, found)


def test_rows_that_hold_more_than_can_be_counted_are_not_listed() -> None:
    """Eight fillings of one shape, each with room for 2**61 of the other: 2**64 in sum."""
    free = np.full((3, 2), LARGEST)
    free[:, 0] = 7
    case = problem(free, np.array([[1, 0], [0, 1]]).repeat(9, axis=0), closed=3)
    assert every_way(case) is None
    assert solve(case, 0.01, 1).count.sum() == 18


def test_rows_that_cost_next_to_nothing_leave_a_bound_as_it_is() -> None:
    """More of them than can be counted make up for one of the dearest."""
    assert of_whole_rows(30.0, np.array([1e-22, 2e-22, 30.0])) == 30.0


@pytest.mark.parametrize(
    ("seed", "sizes_of", "tasks", "budget_s"),
    [(0, 40, 400, 0.034), (1, 40, 400, 0.034), (3, 40, 400, 0.034), (1, 290, 1500, 0.3)],
)
def test_a_short_search_spends_little_more_than_it_may(
    seed: int, sizes_of: int, tasks: int, budget_s: float
) -> None:
    """Patterns, whose first round alone takes longer, are left to long ones."""
    chance = np.random.default_rng(seed)
    kinds = np.array([[4096, 15360, 7, 3], [16384, 62000, 7, 7], [8192, 63000, 7, 3]])
    of = chance.integers(0, 3, 600)
    cpu, memory = chance.integers(1, 9, sizes_of), chance.integers(1, 13, sizes_of)
    sizes = np.column_stack([256 * cpu, 512 * memory])
    sizes[40:] += chance.integers(0, 99, sizes[40:].shape)
    demand = np.hstack([sizes, np.zeros_like(sizes)])[chance.integers(0, sizes_of, tasks)]
    case = replace(problem(kinds[of], demand, closed=600), cost=np.array([0.19, 0.77, 0.5])[of])
    steps = Steps(budget_s, seed)
    open_rows(case, steps, UNKNOWN)
    assert steps.spent_s < 1.3 * steps.budget_s


def test_dear_rows_that_take_nothing_stay_closed() -> None:
    """The second task fits nowhere: there is nothing to gain, and no measure of it."""
    free = np.array([[10, 10], [5, 5]])
    case = replace(problem(free, np.array([[6, 6], [6, 6]]), closed=1), cost=np.full(2, 1e9))
    assert solve(case, 0.01, 1).row.tolist() == [0]
