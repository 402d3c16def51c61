"""Python's garbage collector in a process that makes many short-lived objects and few circles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 50_000, 20, 20
"""Objects made before a young collection, and collections of a generation before the next one's.

Python's own are 700, 10 and 10: a claim of a hundred jobs alone would be looked through several
times with nothing to free, since reference counts end what requests and answers leave behind.
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
