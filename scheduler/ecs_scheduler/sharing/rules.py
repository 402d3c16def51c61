"""What operators say of shares and families: weights, quotas, rates."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ShareRule:
    """A share's weight (more is more), what it may use at once, and how many tasks it may launch a
    second; None is no bound.
    """

    weight: float = 1.0
    max_running: int | None = None
    max_used: tuple[int | None, int | None, int | None] = (None, None, None)
    max_launches_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by share and most running tasks by family; `reservation` is the part of the cluster
    that one active share leaves free for others, r^n for n of them, as Batch's computeReservation.
    """

    shares: Mapping[str, ShareRule] = field(default_factory=dict)
    families: Mapping[str, int] = field(default_factory=dict)
    reservation: float = 0.0

    def of(self, share: str) -> ShareRule:
        """The share's own rule, else that of the longest name ending in * that it begins with."""
        if share in self.shares:
            return self.shares[share]
        stars = [n for n in self.shares if n.endswith("*") and share.startswith(n[:-1])]
        return self.shares[max(stars, key=len)] if stars else _PLAIN


_PLAIN = ShareRule()
