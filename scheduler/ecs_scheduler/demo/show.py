"""Where the frames of a demo go: a live view on a terminal, a plain line now and then elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live

from ecs_scheduler.demo.view import Frame, live, plain
from ecs_scheduler.logs import configure_logging

PLAIN_EVERY_S = 2.0

Show = Callable[[Frame], None]


@contextmanager
def screen(out: TextIO) -> Iterator[Show]:
    """Something that shows frames on `out` while the context is open; warnings go above it."""
    if not out.isatty():
        configure_logging("console", "warning")
        yield _Lines(out).show
        return
    with Live(console=Console(file=out), auto_refresh=False, transient=True) as view:
        # Only now, because Live has put its own stream in stderr's place.
        configure_logging("console", "warning", sys.stderr)
        yield lambda frame: view.update(live(frame, view.console.height), refresh=True)
    configure_logging("console", "warning")


class _Lines:
    """Prints a frame every PLAIN_EVERY_S."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next_s = 0.0

    def show(self, frame: Frame) -> None:
        if frame.elapsed_s >= self._next_s:
            self._next_s = frame.elapsed_s + PLAIN_EVERY_S
            self._out.write(plain(frame) + "\n")
            self._out.flush()
