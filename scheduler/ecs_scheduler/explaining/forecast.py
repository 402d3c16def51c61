"""When a waiting job may start: a forecast from the launches of the last minutes, with its
uncertainty, and a record of how good past forecasts were. No I/O.
"""

import math
from collections import deque
from collections.abc import Container, Hashable
from dataclasses import dataclass

HALF_LIFE_S = 300.0
"""Launches count half after this time: a rate follows the day and still forgets a burst."""

LEAST_SEEN = 3.0
"""Launches without which no rate is believed."""

Z_80 = 1.2815515655446004
"""The normal distribution's quantile at 90 %: between both, 80 % lie."""

KEPT = 200
MOST_WATCHED = 1000


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until the launch: most likely about `in_s`, in four cases of five from `low_s` to
    `high_s`. `by` says which launches it goes by: those of equal jobs, or all.
    """

    in_s: float
    low_s: float
    high_s: float
    by: str


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """Of the latest `forecasts` that came true, the share that did so within the range (0.8 would
    be perfect), and the median of actual wait over forecast (1 would be).
    """

    forecasts: int
    within: float
    median_ratio: float


class _Rate:
    """An exponentially decaying count over an equally decaying time: events a second."""

    __slots__ = ("at_s", "count", "seen_s")

    def __init__(self, now: float) -> None:
        self.at_s, self.count, self.seen_s = now, 0.0, 0.0

    def advance(self, now: float) -> None:
        passed = max(0.0, now - self.at_s)
        left = 0.5 ** (passed / HALF_LIFE_S)
        self.count *= left
        self.seen_s = self.seen_s * left + HALF_LIFE_S / math.log(2) * (1 - left)
        self.at_s = now


@dataclass(frozen=True, slots=True)
class _Promise:
    at_s: float
    eta: Eta


class Forecast:
    """Fed by launches; asked for waiting jobs."""

    def __init__(self, now: float) -> None:
        self._all = _Rate(now)
        self._lanes: dict[Hashable, _Rate] = {}
        self._began_s = now
        self._watched: dict[str, _Promise] = {}
        self._past: deque[tuple[float, bool]] = deque(maxlen=KEPT)

    def launched(self, lane: Hashable, job_id: str, now: float) -> None:
        """One job of this lane was launched."""
        if lane not in self._lanes:
            self._lanes[lane] = _Rate(self._began_s)
        for rate in (self._all, self._lanes[lane]):
            rate.advance(now)
            rate.count += 1
        promise = self._watched.pop(job_id, None)
        if promise is not None:
            waited_s = now - promise.at_s
            eta = promise.eta
            self._past.append((waited_s / eta.in_s, eta.low_s <= waited_s <= eta.high_s))

    def eta(self, lane: Hashable, ahead_in_lane: int, ahead: int, now: float) -> Eta | None:
        """The launch of a job with so many before it in its lane, and in all; None while too little
        was launched to tell.

        The time to the k-th launch has a relative variance of about 1/k if launches come at random,
        and the rate, counted from n of them, one of 1/n: the range is log-normal with both.
        """
        own = self._lanes.get(lane)
        for rate, before, by in (
            (own, ahead_in_lane, "launches of equal jobs"),
            (self._all, ahead, "all launches"),
        ):
            if rate is None:
                continue
            rate.advance(now)
            if rate.count >= LEAST_SEEN and rate.seen_s > 0:
                in_s = (before + 1) * rate.seen_s / rate.count
                spread = math.exp(Z_80 * math.sqrt(1 / (before + 1) + 1 / rate.count))
                return Eta(in_s, in_s / spread, in_s * spread, by)
        return None

    def watch(self, job_id: str, eta: Eta, now: float) -> None:
        """Remember a forecast, to see how good it was; the first one of a job counts."""
        if len(self._watched) < MOST_WATCHED:
            self._watched.setdefault(job_id, _Promise(now, eta))

    def forget(self, keep: Container[str]) -> None:
        """Drop forecasts of jobs that do not wait here any more, and lanes that nobody uses."""
        self._watched = {name: each for name, each in self._watched.items() if name in keep}
        self._lanes = {lane: rate for lane, rate in self._lanes.items() if rate.count > 1e-3}

    def track_record(self) -> TrackRecord | None:
        """How good past forecasts were; None before the first came true."""
        if not self._past:
            return None
        ratios = sorted(ratio for ratio, _ in self._past)
        within = sum(inside for _, inside in self._past) / len(self._past)
        return TrackRecord(len(ratios), within, ratios[len(ratios) // 2])
