"""Policies side by side over several seeds: means with bootstrap intervals, and who gains or loses
against the first policy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecs_scheduler.simulate.measures import Measures
from ecs_scheduler.simulate.record import Floats, Ints, Jobs

RESAMPLES = 2000
NOTICED_S = 1.0
"""A job got better or worse when its wait changed by more than this, and by more than a tenth."""

MOST_LOSERS = 8


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over the seeds, and the 95 % interval of it by bootstrap; equal for a single seed."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the comparison; `better` says whether less or more of it is better."""

    key: str
    title: str
    unit: str
    better: str
    of: Callable[[Measures], float | None]


METRICS = (
    Metric("instance_hours", "instance-hours", "h", "less", lambda m: m.instance_hours),
    Metric("cost", "cost", "$", "less", lambda m: m.cost),
    Metric("cost_per_1000", "cost of 1,000 jobs", "$", "less", lambda m: m.cost_per_1000),
    Metric("wait_median_s", "wait, median", "s", "less", lambda m: m.waiting.median_s),
    Metric("wait_mean_s", "wait, mean", "s", "less", lambda m: m.waiting.mean_s),
    Metric("wait_p95_s", "wait, 95 %", "s", "less", lambda m: m.waiting.p95_s),
    Metric("wait_p99_s", "wait, 99 %", "s", "less", lambda m: m.waiting.p99_s),
    Metric("makespan_s", "makespan", "s", "less", lambda m: m.makespan_s),
    Metric("cpu", "CPU in use, all", "%", "more", lambda m: _percent(m.utilisation, "CPU")),
    Metric(
        "memory", "memory in use, all", "%", "more", lambda m: _percent(m.utilisation, "memory")
    ),
    Metric("gpu", "GPUs in use, all", "%", "more", lambda m: _percent(m.utilisation, "GPU")),
    Metric("cpu_packed", "CPU in use, open", "%", "more", lambda m: _percent(m.packed, "CPU")),
    Metric(
        "memory_packed", "memory in use, open", "%", "more", lambda m: _percent(m.packed, "memory")
    ),
    Metric("stranded", "stranded while waiting", "%", "less", lambda m: _times_100(m.stranded)),
    Metric("launch_calls", "launch calls", "", "less", lambda m: float(m.launch_calls)),
    Metric("failed", "jobs failed", "", "less", lambda m: float(m.failed)),
    Metric("unfinished", "jobs unfinished", "", "less", lambda m: float(m.unfinished)),
)


def _percent(shares: Mapping[str, float], name: str) -> float | None:
    return _times_100(shares.get(name))


def _times_100(share: float | None) -> float | None:
    return None if share is None else 100 * share


@dataclass(frozen=True, slots=True)
class Loser:
    """A share or shape whose mean wait differs from the first policy's by the most."""

    kind: str
    name: str
    jobs: int
    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Against:
    """One policy against the first, job by job over all seeds: numbers of jobs, and the shares and
    shapes that lose the most.
    """

    better: int
    worse: int
    same: int
    losers: tuple[Loser, ...]
    difference: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Compared:
    """One policy's line of the comparison; `against` is None for the first policy."""

    policy: str
    metrics: Mapping[str, Interval]
    runs: tuple[Measures, ...]
    against: Against | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All policies in the order given, on the same seeds."""

    seeds: tuple[int, ...]
    policies: tuple[Compared, ...]


def compare(runs: Sequence[Measures], jobs: Mapping[int, Jobs]) -> Comparison:
    """Put runs side by side; `jobs` are those of each seed, the same for every policy."""
    names = list(dict.fromkeys(run.policy for run in runs))
    seeds = tuple(sorted(jobs))
    by_policy = {
        name: tuple(sorted((r for r in runs if r.policy == name), key=lambda r: r.seed))
        for name in names
    }
    first = by_policy[names[0]]
    return Comparison(
        seeds,
        tuple(
            Compared(
                name,
                _intervals([_values(run) for run in by_policy[name]]),
                by_policy[name],
                None if name == names[0] else _against(first, by_policy[name], jobs),
            )
            for name in names
        ),
    )


def _values(run: Measures) -> dict[str, float]:
    found = {metric.key: metric.of(run) for metric in METRICS}
    return {key: value for key, value in found.items() if value is not None}


def _intervals(rows: Sequence[Mapping[str, float]]) -> dict[str, Interval]:
    """An interval for each metric that every seed has."""
    keys = [key for key in rows[0] if all(key in row for row in rows)]
    return {key: interval(np.array([row[key] for row in rows])) for key in keys}


def interval(values: Floats) -> Interval:
    """The mean and its 95 % percentile-bootstrap interval (Efron 1979), resampled with a fixed
    seed, so that the same runs give the same report.
    """
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, mean, mean)
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(mean, float(low), float(high))


def _against(
    first: Sequence[Measures], runs: Sequence[Measures], jobs: Mapping[int, Jobs]
) -> Against:
    better = worse = total = 0
    for before, after in zip(first, runs, strict=True):
        change = after.waits_s - before.waits_s
        noticed = np.maximum(NOTICED_S, 0.1 * before.waits_s)
        better += int((change < -noticed).sum())
        worse += int((change > noticed).sum())
        total += len(change)
    losers = [*_losers("share", first, runs, jobs), *_losers("shape", first, runs, jobs)]
    losers.sort(key=lambda each: each.before_s - each.after_s)
    lost = [each for each in losers if each.after_s - each.before_s > NOTICED_S]
    return Against(
        better, worse, total - better - worse, tuple(lost[:MOST_LOSERS]), differences(first, runs)
    )


def differences(first: Sequence[Measures], runs: Sequence[Measures]) -> dict[str, Interval]:
    """How much each metric differs from `first`, seed by seed."""
    rows = []
    for before, after in zip(first, runs, strict=True):
        known = _values(before)
        rows.append({key: new - known[key] for key, new in _values(after).items() if key in known})
    return _intervals(rows)


def _losers(
    kind: str, first: Sequence[Measures], runs: Sequence[Measures], jobs: Mapping[int, Jobs]
) -> list[Loser]:
    waits: dict[str, list[tuple[Floats, Floats]]] = {}
    for before, after in zip(first, runs, strict=True):
        columns = jobs[before.seed]
        rows = columns.share if kind == "share" else columns.shape
        for number in np.unique(rows):
            name = (
                columns.share_names[number] if kind == "share" else _shape(columns.shapes[number])
            )
            of = (rows == number) & np.isfinite(before.waits_s) & np.isfinite(after.waits_s)
            waits.setdefault(name, []).append((before.waits_s[of], after.waits_s[of]))
    found = []
    for name, pairs in waits.items():
        before_s = np.concatenate([pair[0] for pair in pairs])
        after_s = np.concatenate([pair[1] for pair in pairs])
        if len(before_s):
            means = float(before_s.mean()), float(after_s.mean())
            found.append(Loser(kind, name, len(before_s), *means))
    return found


def _shape(row: Ints) -> str:
    cpu_units, memory_mib, gpus = (int(value) for value in row)
    text = f"{cpu_units / 1024:g} vCPU, {memory_mib / 1024:.3g} GiB"
    return f"{text}, {gpus} GPU" if gpus else text
