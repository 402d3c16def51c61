"""How many tasks each share may launch now: a token bucket for each that has a rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_scheduler.sharing.fairness import burst_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_scheduler.sharing.rules import Rules


class LaunchRates:
    """Tokens by share. A gang may leave a bucket below zero, so that it is not too large for ever;
    the share then waits until it is paid off.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._tokens: dict[str, float] = {}
        self._refilled_at: float | None = None

    def spend(self, share: str) -> None:
        """A task of this share is being launched."""
        if share in self._tokens:
            self._tokens[share] -= 1

    def allowed(self, shares: Iterable[str], now: float) -> dict[str, float]:
        """Tokens of those shares that have a rate."""
        elapsed_s = 0.0 if self._refilled_at is None else max(0.0, now - self._refilled_at)
        self._refilled_at = now
        for share in {*shares, *self._tokens}:
            rate = self._rules.of(share).max_launches_per_s
            if rate is not None:
                most = burst_of(rate)
                self._tokens[share] = min(most, self._tokens.get(share, most) + elapsed_s * rate)
        return dict(self._tokens)
