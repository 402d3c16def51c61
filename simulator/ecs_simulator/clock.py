"""The wall clock, for the simulator as a server; everything else is given its time."""

import time


class ServerClock:
    """Seconds since the epoch that pass `speed` times as fast as real ones, and can jump."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began = time.time()
        self._origin = time.monotonic()

    def __call__(self) -> float:
        """Now."""
        return self._began + (time.monotonic() - self._origin) * self._speed

    def skip(self, seconds: float) -> None:
        """Jump ahead."""
        self._began += seconds
