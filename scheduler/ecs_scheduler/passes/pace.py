"""How often the service repeats what no setting says."""

from dataclasses import dataclass

LONGEST_PAUSE_S = 10.0
"""After which a step that failed looks whether all is well again, however often it failed."""


def pause_after(failures: int, interval_s: float) -> float:
    """A step's pause: doubled with each failure in a row, up to ten seconds."""
    return max(interval_s, min(interval_s * 2.0 ** min(failures, 16), LONGEST_PAUSE_S))


def worth_telling(failures: int) -> bool:
    """Whether so many failures in a row are news: at first each, then more and more seldom."""
    return failures.bit_count() == 1 or failures % 60 == 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses in seconds between two of the same step."""

    busy_s: float = 0.02
    """Between passes while launches are under way and the budget has room for more."""
    refresh_s: float = 0.5
    interruptions_s: float = 1.0
    recurring_s: float = 1.0
    reconcile_s: float = 2.0
    """Also of the looks at strays and at a queue that went back in time."""
    observe_s: float = 1.0
    come_back_s: float = 5.0
    reload_s: float = 60.0
