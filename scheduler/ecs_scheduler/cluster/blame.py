"""Bad instances: those that keep refusing or failing tasks, or whose tasks hang on their way in or
out, are left alone for a while.

Blame fades with time, so that an instance that was mended comes back by itself; and only the worst
few are ever avoided, since a fault that is everywhere is not the instances'.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ecs_queue.states import InstanceArn

HALF_LIFE_S = 300.0
TOO_MUCH = 2.5
"""Three failures within a few minutes; one alone, or one now and then, is bad luck."""

MOST_AVOIDED_SHARE = 0.2
"""Of all instances; of fewer than five, none."""


@dataclass(frozen=True, slots=True)
class _Blame:
    amount: float
    at: float

    def faded(self, now: float) -> float:
        return float(self.amount * 0.5 ** ((now - self.at) / HALF_LIFE_S))


class Blame:
    """How much each instance is to blame. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._blamed: dict[InstanceArn, _Blame] = {}
        self._lingering: Mapping[InstanceArn, float] = {}

    def add(self, arn: InstanceArn, now: float, weight: float = 1.0) -> None:
        """The instance refused or failed a task for a reason that lies with it."""
        before = self._blamed.get(arn)
        self._blamed[arn] = _Blame((before.faded(now) if before else 0.0) + weight, now)

    def linger(self, lingering: Mapping[InstanceArn, float]) -> None:
        """Tasks that hang on an instance at the moment, in place of what was said last; they count
        like failures, as long as they hang.
        """
        self._lingering = lingering

    def forget(self, arn: InstanceArn) -> None:
        """The instance is gone."""
        self._blamed.pop(arn, None)

    def trouble(self, now: float) -> dict[InstanceArn, float]:
        """How near each blamed instance is to too much, up to 1, in steps of a twentieth."""
        steps = {arn: round(20 * each.faded(now) / TOO_MUCH) for arn, each in self._blamed.items()}
        return {arn: min(step, 20) / 20 for arn, step in steps.items() if step}

    def too_much(
        self, instances: Collection[InstanceArn], now: float
    ) -> Mapping[InstanceArn, float]:
        """The instances to avoid now, with their blame; at most a fifth of all."""
        blamed = Counter({arn: each.faded(now) for arn, each in self._blamed.items()})
        blamed.update(self._lingering)
        known = (arn for arn in blamed if arn in instances)
        worst = sorted(known, key=lambda arn: (-blamed[arn], arn))
        most = int(len(instances) * MOST_AVOIDED_SHARE)
        return {arn: blamed[arn] for arn in worst[:most] if blamed[arn] >= TOO_MUCH}


def troubles(kinds: Iterable[Blame], now: float) -> dict[InstanceArn, float]:
    """The worst trouble of each instance, whatever it is blamed for."""
    worst: dict[InstanceArn, float] = {}
    for kind in kinds:
        for arn, trouble in kind.trouble(now).items():
            worst[arn] = max(trouble, worst.get(arn, 0.0))
    return worst
