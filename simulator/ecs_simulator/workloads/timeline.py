"""A long trace in a few minutes: idle stretches are closed, then the whole is scaled down.

Arrivals and run times go through the same change of time, so what overlapped still overlaps.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ecs_simulator.workloads.arrivals import Arrival
from ecs_simulator.workloads.batch import Run, run_of, with_run

SHORTEST_RUN_S = 1
LONGEST_IDLE_S = 3600.0

# StartTask + RunTask + StopTask, per account and Region.
LAUNCH_CALLS_PER_S = 40.0
LAUNCH_CALLS_BURST = 100


@dataclass(frozen=True, slots=True)
class Compressed:
    """A compressed workload and what it took.

    `factor` compressed seconds stand for one second of the trace; `idle_closed_s` is the idle time
    that was cut out first; `floored` runs would have become shorter than SHORTEST_RUN_S;
    `left_alone` jobs have a command of their own; `backlog_s` is how long a launch waits at worst
    if each job takes a call of its own.
    """

    arrivals: tuple[Arrival, ...]
    factor: float
    idle_closed_s: float
    floored: int
    left_alone: int
    backlog_s: float


def compress(arrivals: Sequence[Arrival], minutes: float) -> Compressed:
    """Fit a workload (in order of arrival) into so many minutes, if there is room for it at once.

    A stretch of more than LONGEST_IDLE_S without an arrival counts as LONGEST_IDLE_S. Run times
    become whole seconds, SHORTEST_RUN_S at least: equal run times let jobs share a launch call. A
    workload that is short enough already keeps its time line.
    """
    line = _TimeLine.over([arrival.at_s for arrival in arrivals])
    runs = [run_of(arrival.job) for arrival in arrivals]
    ends = [
        line.at(arrival.at_s + (run.run_time_s if run else 0.0))
        for arrival, run in zip(arrivals, runs, strict=True)
    ]
    room_s = max(minutes * 60 - SHORTEST_RUN_S, SHORTEST_RUN_S)
    factor = min(1.0, room_s / max(ends)) if ends and max(ends) > 0 else 1.0
    compressed, floored = [], 0
    for arrival, run, end in zip(arrivals, runs, ends, strict=True):
        at_s, job = line.at(arrival.at_s) * factor, arrival.job
        if run is not None:
            exact_s = end * factor - at_s
            floored += exact_s < SHORTEST_RUN_S
            job = with_run(job, Run(max(SHORTEST_RUN_S, round(exact_s)), run.exit_code))
        compressed.append(Arrival(round(at_s, 3), job))
    return Compressed(
        arrivals=tuple(compressed),
        factor=factor,
        idle_closed_s=line.closed_s,
        floored=floored,
        left_alone=sum(run is None for run in runs),
        backlog_s=launch_backlog_s([arrival.at_s for arrival in compressed]),
    )


def launch_backlog_s(at_s: Sequence[float]) -> float:
    """How long one of these launches (in order) waits at worst for its token, one call each."""
    tokens, before, worst = float(LAUNCH_CALLS_BURST), 0.0, 0.0
    for now in at_s:
        tokens = min(LAUNCH_CALLS_BURST, tokens + (now - before) * LAUNCH_CALLS_PER_S) - 1
        before = now
        worst = max(worst, -tokens / LAUNCH_CALLS_PER_S)
    return worst


@dataclass(frozen=True, slots=True)
class _TimeLine:
    """Maps trace time to time without the long idle stretches, starting at the first arrival."""

    arrivals_s: tuple[float, ...]
    shortened_s: tuple[float, ...]

    @classmethod
    def over(cls, arrivals_s: Sequence[float]) -> "_TimeLine":
        now, shortened = 0.0, [0.0]
        for before, after in pairwise(arrivals_s):
            now += min(after - before, LONGEST_IDLE_S)
            shortened.append(now)
        return cls(tuple(arrivals_s), tuple(shortened[: len(arrivals_s)]))

    @property
    def closed_s(self) -> float:
        if not self.arrivals_s:
            return 0.0
        return self.arrivals_s[-1] - self.arrivals_s[0] - self.shortened_s[-1]

    def at(self, trace_s: float) -> float:
        row = bisect_right(self.arrivals_s, trace_s) - 1
        return self.shortened_s[row] + min(trace_s - self.arrivals_s[row], LONGEST_IDLE_S)
