"""Python's garbage collector, kept out of large simulations: what they hold lives to their end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """No collection while the block runs, in this whole process; afterwards as before.

    Every task ever started is kept as evidence, so each full collection looks through all of them
    and frees none: a quarter of the time of a large direct-path simulation. Not for a block that
    makes cyclic garbage without end.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
