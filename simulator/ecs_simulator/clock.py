"""The wall clock, for the simulator as a server; everything else is given its time."""

import time
from collections.abc import Callable


def wall_clock(speed: float) -> Callable[[], float]:
    """Seconds since the epoch that pass `speed` times as fast as real ones, starting now."""
    began, origin = time.time(), time.monotonic()
    return lambda: began + (time.monotonic() - origin) * speed
