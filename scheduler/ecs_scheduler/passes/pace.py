"""How often the service repeats what no setting says."""

from dataclasses import dataclass


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
