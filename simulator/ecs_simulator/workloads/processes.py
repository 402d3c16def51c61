"""When submissions come, and how long their jobs run: the usual models of both, drawn by a seed.

Every process starts with a submission at 0 and goes on for ever.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

Quantiles = Sequence[tuple[float, float]]
"""(share, value) pairs from share 0 to share 1, both rising; interpolated in between."""

HOUR_S, DAY_H = 3600.0, 24.0


class Arriving(Protocol):
    """A process of submissions."""

    def times(self, rng: Random) -> Iterator[float]:
        """The seconds at which submissions come, rising, from 0 on."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Independent gaps with these quantiles, in seconds."""

    gap_s: Quantiles

    def times(self, rng: Random) -> Iterator[float]:
        """The seconds at which submissions come, rising, from 0 on."""
        now_s = 0.0
        while True:
            yield now_s
            now_s += drawn(self.gap_s, rng.random())


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent submissions, `per_hour` on average: exponential gaps."""

    per_hour: float

    def times(self, rng: Random) -> Iterator[float]:
        """The seconds at which submissions come, rising, from 0 on."""
        now_s = 0.0
        while True:
            yield now_s
            now_s += rng.expovariate(self.per_hour / HOUR_S)


@dataclass(frozen=True, slots=True)
class Diurnal:
    """A Poisson process whose rate follows the day: most at `peak_h` o'clock, least twelve hours
    later.

    The rate is `per_hour` (1 + `swing` cos(2 pi (t - peak) / 24 h)), drawn by thinning (Lewis and
    Shedler, 1979). The first submission comes at midnight.
    """

    per_hour: float
    swing: float = 0.8
    peak_h: float = 14.0

    def times(self, rng: Random) -> Iterator[float]:
        """The seconds at which submissions come, rising, from 0 on."""
        yield 0.0
        most = 1 + self.swing
        for now_s in Poisson(self.per_hour * most).times(rng):
            angle = 2 * math.pi * (now_s / HOUR_S - self.peak_h) / DAY_H
            if now_s and rng.random() * most < 1 + self.swing * math.cos(angle):
                yield now_s


@dataclass(frozen=True, slots=True)
class Bursts:
    """A Poisson process that changes between calm and bursts, `per_hour` on average.

    Within a burst the rate is `factor` times that of the calm; both last exponentially long, with
    means `burst_s` and `calm_s` (a Markov-modulated Poisson process of two states).
    """

    per_hour: float
    factor: float = 20.0
    burst_s: float = 60.0
    calm_s: float = 600.0

    def times(self, rng: Random) -> Iterator[float]:
        """The seconds at which submissions come, rising, from 0 on."""
        yield 0.0
        bursting = self.burst_s / (self.burst_s + self.calm_s)
        calm_rate = self.per_hour / HOUR_S / (1 - bursting + bursting * self.factor)
        begin_s, in_burst = 0.0, False
        while True:
            mean_s, factor = (self.burst_s, self.factor) if in_burst else (self.calm_s, 1.0)
            end_s = begin_s + rng.expovariate(1 / mean_s)
            now_s = begin_s + rng.expovariate(calm_rate * factor)
            while now_s < end_s:
                yield now_s
                now_s += rng.expovariate(calm_rate * factor)
            begin_s, in_burst = end_s, not in_burst


@dataclass(frozen=True, slots=True)
class HeavyTail:
    """Run times by a bounded Pareto distribution: most are short, few take almost all the time."""

    shortest_s: float = 5.0
    longest_s: float = 7 * DAY_H * HOUR_S
    alpha: float = 1.1

    def value(self, share: float) -> float:
        """The run time below which `share` of the jobs lie, in seconds."""
        cut = 1 - (self.shortest_s / self.longest_s) ** self.alpha
        return float(self.shortest_s * (1 - share * cut) ** (-1 / self.alpha))


def drawn(quantiles: Quantiles, share: float) -> float:
    """The value below which `share` of a distribution lies, by linear interpolation."""
    row = max(1, bisect_left(quantiles, share, key=lambda pair: pair[0]))
    (share_below, below), (share_above, above) = quantiles[row - 1], quantiles[row]
    return below + (above - below) * (share - share_below) / (share_above - share_below)
