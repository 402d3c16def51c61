"""Intervals: areas, open instances, what is in use at a moment; against plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_scheduler.simulate.occupancy import areas, instance_tracks, opened_hours, used_at
from ecs_scheduler.simulate.record import Tasks

moments = st.integers(0, 100)
intervals = st.lists(
    st.tuples(moments, st.integers(0, 40), st.integers(0, 2), st.integers(1, 9)), max_size=12
)


def tasks_of(drawn: list[tuple[int, int, int, int]]) -> Tasks:
    return Tasks(
        instance=np.array([each[2] for each in drawn], int),
        start_s=np.array([each[0] for each in drawn], float),
        stop_s=np.array([each[0] + each[1] for each in drawn], float),
        demand=np.array([(each[3], 0, 0) for each in drawn], np.int64).reshape(-1, 3),
    )


@given(intervals, st.integers(1, 7))
@settings(deadline=None)
def test_areas_are_what_a_loop_over_intervals_and_columns_adds_up(
    drawn: list[tuple[int, int, int, int]], columns: int
) -> None:
    """Each interval gives each column its amount times their overlap."""
    tasks, edges = tasks_of(drawn), np.linspace(10.0, 90.0, columns + 1)
    expected = [
        sum(
            amount * max(0.0, min(start + length, high) - max(start, low))
            for start, length, _, amount in drawn
        )
        for low, high in pairwise(edges)
    ]
    found = areas(tasks.start_s, tasks.stop_s, tasks.demand, edges)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(intervals, st.integers(0, 30))
@settings(deadline=None)
def test_an_instance_is_open_in_every_second_after_a_task_ran_within_the_idle_time(
    drawn: list[tuple[int, int, int, int]], idle_s: int
) -> None:
    """Tracks cover exactly the union of the intervals, each prolonged by the idle time."""
    tracks = instance_tracks(tasks_of(drawn), 3, idle_s)
    for instance in range(3):
        covered = sum(
            any(
                start <= second < start + length + idle_s
                for start, length, where, _ in drawn
                if where == instance
            )
            for second in range(200)
        )
        assert opened_hours(tracks, 3)[instance] * 3600 == pytest.approx(covered, abs=1e-6)


@given(intervals, st.lists(moments, min_size=1, max_size=4, unique=True))
@settings(deadline=None)
def test_what_is_used_at_a_moment_is_what_started_before_it_and_has_not_stopped(
    drawn: list[tuple[int, int, int, int]], whole: list[int]
) -> None:
    """A task counts from just after its start up to and including its stop."""
    at = np.sort(np.array(whole, float)) + 0.5
    used = used_at(tasks_of(drawn), 3, at)
    for row, moment in enumerate(at):
        for instance in range(3):
            expected = sum(
                amount
                for start, length, where, amount in drawn
                if where == instance and start <= moment < start + length
            )
            assert used[row, instance, 0] == expected
