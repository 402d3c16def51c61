"""Many tasks of a chain at once give what choosing one after the other gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecs_placement.turns import Key, Keys, Spread, coded, fill

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
DEEPEST = 6

TABLE = st.lists(st.integers(0, 3), min_size=DEEPEST, max_size=DEEPEST)
CANDIDATE = st.tuples(st.integers(0, DEEPEST), st.integers(0, 2), TABLE, TABLE)


def looked_up(table: Ints) -> Key:
    """Column k of the table is the key of the (k+1)-th task; beyond it nobody may go by it."""
    return lambda at, taken: np.where(
        taken < DEEPEST, table[at, np.minimum(taken, DEEPEST - 1)], -1_000_000
    )


def one_by_one(
    fits: Ints, count: int, tables: tuple[Ints, Ints], spread: tuple[Ints, list[int]] | None
) -> list[int]:
    """Look at every candidate for every task."""
    taken = [0] * fits.size
    first, second = tables
    code, tasks = (np.zeros(fits.size, dtype=int), [0]) if spread is None else spread
    for _ in range(count):
        able = [at for at in range(fits.size) if taken[at] < fits[at]]
        if not able:
            break
        best = min(
            able,
            key=lambda at: (first[at, taken[at]], tasks[code[at]], second[at, taken[at]], at),
        )
        taken[best] += 1
        tasks[code[best]] += spread is not None
    return taken


@pytest.mark.parametrize("falls", [False, True])
@given(
    st.lists(CANDIDATE, min_size=1, max_size=7),
    st.integers(0, 30),
    st.booleans(),
    st.integers(1, 60),
)
def test_a_group_never_goes_elsewhere_than_its_tasks_one_by_one(
    falls: bool,
    drawn: list[tuple[int, int, list[int], list[int]]],
    count: int,
    spreads: bool,
    pairs: int,
) -> None:
    """Whatever the keys, and however few tasks are looked at ahead."""
    fits = np.array([fit for fit, *_ in drawn])
    code = np.array([value for _, value, *_ in drawn])
    first, second = (np.array([each[column] for each in drawn]) for column in (2, 3))
    if falls:
        first, second = (-np.sort(-table, axis=1) for table in (first, second))
    tasks = [2, 0, 1]
    expected = one_by_one(fits, count, (first, second), (code, list(tasks)) if spreads else None)
    spread = Spread(code, np.array(tasks)) if spreads else None
    keys = Keys([looked_up(first)], spread, [looked_up(second)], falls)
    assert fill(keys, fits, count, pairs).tolist() == expected
    if spread is not None:
        added = np.bincount(code, weights=expected, minlength=3)
        assert (spread.tasks == np.array(tasks) + added).all()


BIG = st.integers(-(2**62), 2**62 - 1)


@given(st.lists(st.tuples(BIG, BIG, st.floats(allow_nan=False, width=16)), max_size=6))
def test_one_integer_never_orders_otherwise_than_the_keys(
    drawn: list[tuple[int, int, float]],
) -> None:
    """Also where the ranges of the keys together exceed 64 bits."""
    columns: list[Ints | Floats] = [
        np.array([each[0] for each in drawn], dtype=np.int64),
        np.array([each[1] for each in drawn], dtype=np.int64),
        np.array([each[2] for each in drawn], dtype=np.float64),
    ]
    code = coded(columns, len(drawn)).tolist()
    for one, a in zip(code, drawn, strict=True):
        for other, b in zip(code, drawn, strict=True):
            assert (one < other) == (a < b)
