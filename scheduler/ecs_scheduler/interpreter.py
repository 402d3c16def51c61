"""Python itself in a process that serves: garbage is sought seldom, threads take short turns."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 50_000, 20, 20
"""Objects made before a young collection, and collections of a generation before the next one's.

Python's own are 700, 10 and 10: a claim of a hundred jobs alone would be looked through several
times with nothing to free, since reference counts end what requests and answers leave behind.
"""

TURN_S = 0.0005
"""How long a thread computes before another one may. Python's own 5 ms would keep the event loop
waiting at each of its turns while a placement is computed beside it, and an answer takes dozens.
"""


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """In this whole process while the block runs; what is alive at its start is not looked at."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def short_turns() -> Iterator[None]:
    """In this whole process while the block runs."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
