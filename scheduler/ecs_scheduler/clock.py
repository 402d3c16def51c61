"""The only module that reads a clock: SystemClock for the service, LoopClock for runs in virtual
time.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the service gets the time from; durations are slept with asyncio.sleep."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()

    def cpu_s(self) -> float:
        """Seconds of CPU that this process has used."""
        return time.process_time()


class LoopClock:
    """The running event loop's clock, so that virtual time moves everything together."""

    def __init__(self, start_ms: int = 0) -> None:
        self._start_ms = start_ms

    def now_ms(self) -> int:
        """The start plus what the loop has run."""
        return self._start_ms + round(asyncio.get_running_loop().time() * 1000)

    def monotonic_s(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()
