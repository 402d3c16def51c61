"""From a record to what an operator asks of it: waiting, utilisation, cost, stranded capacity."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecs_scheduler.simulate.occupancy import (
    areas,
    instance_tracks,
    opened_hours,
    stranded_share,
)
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import RESOURCES, Floats, Record

COLUMNS = 160
"""Moments, evenly spread over the run, at which a chart shows a value."""

QUANTILES = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Seconds from a job's submission to its (last) launch; `curve` are its values at QUANTILES."""

    mean_s: float
    median_s: float
    p95_s: float
    p99_s: float
    curve: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """One policy on one seed.

    `makespan_s`: from the first submission to the last end. `utilisation` by resource: share of
    what is registered that was reserved, averaged from the first submission to the last end;
    `packed` is the same on the instances that were open at the time. `instance_hours` and `cost`:
    each instance from its first launch until it stood idle for `idle_s`, and again. `stranded`:
    of the free CPU and memory while jobs waited, the share on instances where none of the waiting
    shapes fitted. `times_s`, `used`, `open_instances` and `waiting_jobs` are for charts; `heat` is
    the mean share of the dominant resource, rows of instances × columns of time. `waits_s` has a
    row per job.
    """

    policy: str
    seed: int
    succeeded: int
    failed: int
    unfinished: int
    makespan_s: float
    waiting: Waiting
    utilisation: Mapping[str, float]
    packed: Mapping[str, float]
    instance_hours: float
    cost: float
    stranded: float | None
    launch_calls: int
    throttled: int
    times_s: Floats
    used: Mapping[str, Floats]
    open_instances: Floats
    waiting_jobs: Floats
    heat: Floats
    waits_s: Floats
    wall_s: float

    @property
    def cost_per_1000(self) -> float:
        """What 1,000 jobs cost."""
        return 1000 * self.cost / max(len(self.waits_s), 1)


def measure(record: Record, prices: Prices, idle_s: float) -> Measures:
    """All measures of one record; an instance is given back after `idle_s` without a task."""
    jobs, tasks, instances = record.jobs, record.tasks, record.instances
    begin = float(jobs.submitted_s.min())
    end = float(np.nanmax(jobs.ended_s)) if np.isfinite(jobs.ended_s).any() else record.ended_s
    end = max(end, begin + 1.0)
    edges = np.linspace(begin, end, COLUMNS + 1)
    waits = jobs.launched_s - jobs.submitted_s
    tracks = instance_tracks(tasks, len(instances.types), idle_s)
    hours = opened_hours(tracks, len(instances.types))
    rates = np.array(
        [
            prices.of(kind, (int(row[0]), int(row[1]), int(row[2])))
            for kind, row in zip(instances.types, instances.capacity, strict=True)
        ]
    )
    registered = instances.capacity.sum(axis=0)
    used = areas(tasks.start_s, tasks.stop_s, tasks.demand, edges) / np.diff(edges)[:, None]
    opened = areas(
        tracks.start_s, tracks.stop_s - idle_s, instances.capacity[tracks.instance], edges
    ).sum(axis=0)
    busy = (used * np.diff(edges)[:, None]).sum(axis=0)
    ended = np.isfinite(jobs.ended_s)
    return Measures(
        policy=record.policy,
        seed=record.seed,
        succeeded=int(jobs.succeeded.sum()),
        failed=int((ended & ~jobs.succeeded).sum()),
        unfinished=record.unfinished,
        makespan_s=end - begin,
        waiting=_waiting(waits),
        utilisation=_shares(busy, registered * (end - begin)),
        packed=_shares(busy, opened),
        instance_hours=float(hours.sum()),
        cost=float(hours @ rates),
        stranded=stranded_share(record, np.linspace(begin, end, 61)[1:-1]),
        launch_calls=record.calls.get("StartTask", 0) + record.calls.get("RunTask", 0),
        throttled=record.throttled,
        times_s=(edges[1:] + edges[:-1]) / 2 - begin,
        used={
            name: used[:, column] / registered[column]
            for column, name in enumerate(RESOURCES)
            if registered[column]
        },
        open_instances=areas(
            tracks.start_s, tracks.stop_s, np.ones((len(tracks.start_s), 1), np.int64), edges
        )[:, 0]
        / np.diff(edges),
        waiting_jobs=_waiting_jobs(record, edges),
        heat=_heat(record, edges),
        waits_s=waits,
        wall_s=record.wall_s,
    )


def _waiting(waits: Floats) -> Waiting:
    known = waits[np.isfinite(waits)]
    if not len(known):
        known = np.array([np.nan])
    curve = np.quantile(known, QUANTILES)
    return Waiting(
        mean_s=float(known.mean()),
        median_s=float(np.median(known)),
        p95_s=float(np.quantile(known, 0.95)),
        p99_s=float(np.quantile(known, 0.99)),
        curve=tuple(curve.tolist()),
    )


def _shares(busy: Floats, there: Floats) -> dict[str, float]:
    return {
        name: float(busy[column] / there[column])
        for column, name in enumerate(RESOURCES)
        if there[column] > 0
    }


def _waiting_jobs(record: Record, edges: Floats) -> Floats:
    """How many jobs waited, on average, in each column."""
    jobs = record.jobs
    until = np.where(np.isfinite(jobs.launched_s), jobs.launched_s, jobs.ended_s)
    until = np.where(np.isfinite(until), until, record.ended_s)
    ones = np.ones((len(until), 1), np.int64)
    waited: Floats = areas(jobs.submitted_s, until, ones, edges)[:, 0] / np.diff(edges)
    return waited


MOST_ROWS = 60


def _heat(record: Record, edges: Floats) -> Floats:
    """The share of its dominant resource in use: float[rows, columns], instances in the order of
    the fleet, neighbours averaged where there are more than MOST_ROWS.
    """
    capacity = np.maximum(record.instances.capacity, 1)
    count = len(capacity)
    rows = min(MOST_ROWS, count)
    row_of = np.arange(count) * rows // count
    shares = np.zeros((rows, len(edges) - 1))
    for row in range(rows):
        members = np.flatnonzero(row_of == row)
        chosen = np.isin(record.tasks.instance, members)
        used = areas(
            record.tasks.start_s[chosen],
            record.tasks.stop_s[chosen],
            record.tasks.demand[chosen],
            edges,
        )
        total = capacity[members].sum(axis=0) * np.diff(edges)[:, None]
        shares[row] = (used / total).max(axis=1)
    return shares
