"""Python is tuned for as long as a service runs, and no longer."""

import gc
import sys

from ecs_scheduler.interpreter import TURN_S, YOUNG, collecting_seldom, short_turns


def test_the_collector_is_left_as_it_was_found() -> None:
    """A process that plays one service after the other does not end with another's collector."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collecting_seldom():
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_circles_are_still_found() -> None:
    """Seldom is not never: garbage that refers to itself goes when enough was made."""
    with collecting_seldom():
        for _ in range(2 * YOUNG):
            circle: list[object] = []
            circle.append(circle)
        assert len(gc.get_objects()) < 2 * YOUNG


def test_threads_take_turns_as_before_once_the_service_is_over() -> None:
    """Short turns while it runs; Python's own, or whatever was set, afterwards."""
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == TURN_S
    assert sys.getswitchinterval() == before
