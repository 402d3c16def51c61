"""The collector is held back for as long as a service runs, and no longer."""

import gc

from ecs_scheduler.collector import YOUNG, collecting_seldom


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
