"""The only module that reads a clock: SystemClock for the service, LoopClock for runs in virtual
time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Where the service gets the time from; durations are slept with asyncio.sleep."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""

    async def beside_loop(self, work: Callable[[], T]) -> T:
        """The result of pure work that may take long, while everything else goes on."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()

    async def beside_loop(self, work: Callable[[], T]) -> T:
        """In a thread."""
        return await asyncio.to_thread(work)

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

    async def beside_loop(self, work: Callable[[], T]) -> T:
        """At once: in virtual time it takes none."""
        return work()
