"""Virtual time for asyncio: a loop whose clock jumps to the next timer when nothing is ready.

A service that sleeps, times out and polls runs unmodified, hours in seconds, as long as it waits
only for timers and objects of the same process: no real sockets, threads or subprocesses.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ecs_simulator.errors import VirtualDeadlock

T = TypeVar("T")

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z: where virtual time starts unless told otherwise."""


ASK_EVERY = 100
"""Turns of a busy loop between two looks for what threads or sockets bring."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a time-out, moves the clock forward by it."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed_s = 0.0
        self._unasked = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll; when nothing is ready, jump."""
        if timeout == 0 and len(self.get_map()) == 1 and self._unasked < ASK_EVERY:
            self._unasked += 1  # only the loop's own pipe is there, for other threads to write to
            return []
        self._unasked = 0
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            self._wait_for_threads()
            return super().select(0)
        self.elapsed_s += timeout
        return ready

    def _wait_for_threads(self) -> None:
        """Nothing is scheduled: only another thread could still wake the loop; give it a second."""
        if not super().select(1.0):
            raise VirtualDeadlock(
                "nothing is scheduled and nothing is ready: every task waits for something that no "
                "timer will bring"
            )


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `time()` starts at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._jumping.elapsed_s


class VirtualClock:
    """What a simulated ECS and a service under virtual time read the time from."""

    def __init__(self, loop: VirtualLoop, start: float) -> None:
        self._loop = loop
        self.start = start

    def now(self) -> float:
        """Virtual seconds since the epoch."""
        return self.start + self._loop.time()

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._loop.time()


def run_virtual(
    main: Callable[[VirtualClock], Awaitable[T]] | Coroutine[Any, Any, T], *, start: float = START
) -> T:
    """Run `main(clock)` (or a coroutine) to its end in virtual time, in a loop of its own.

    VirtualDeadlock when everything waits and nothing is scheduled. Whatever `main` left running is
    cancelled.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop, start)

        async def entry() -> T:
            return await (main if isinstance(main, Coroutine) else main(clock))

        return runner.run(entry())
