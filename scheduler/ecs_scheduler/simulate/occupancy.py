"""Arithmetic over intervals: areas under step functions, open instances, what is free where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_scheduler.simulate.record import Floats, Ints, Record, Tasks

MOST_SHAPES = 100


@dataclass(frozen=True, eq=False)
class Tracks:
    """Stretches for which an instance was open, one row each; sorted by instance, then time."""

    instance: Ints
    start_s: Floats
    stop_s: Floats


def areas(start_s: Floats, stop_s: Floats, amounts: NDArray[np.int64], edges: Floats) -> Floats:
    """The integral of what the intervals hold, float[columns, k], over each column between two
    `edges`. `amounts` is int64[m, k].
    """
    columns = len(edges) - 1
    rate = np.zeros((columns + 1, amounts.shape[1]))
    area = np.zeros((columns + 1, amounts.shape[1]))
    for times, sign in ((start_s, 1.0), (stop_s, -1.0)):
        at = np.clip(times, edges[0], edges[-1])
        column = np.minimum(np.searchsorted(edges, at, side="right") - 1, columns - 1)
        signed = sign * amounts
        np.add.at(area, column, signed * (edges[column + 1] - at)[:, None])
        np.add.at(rate, column + 1, signed)
    before = np.cumsum(rate, axis=0)[:-1]
    return area[:-1] + before * np.diff(edges)[:, None]


def instance_tracks(tasks: Tasks, instances: int, idle_s: float) -> Tracks:
    """When each instance was open: from a launch until nothing has run on it for `idle_s`."""
    order = np.lexsort((tasks.start_s, tasks.instance))
    instance = tasks.instance[order]
    start, stop = tasks.start_s[order], tasks.stop_s[order] + idle_s
    if not len(start):
        return Tracks(instance, start, stop)
    # Instances laid end to end on one axis, so that one running maximum serves them all.
    length = float(stop.max() - start.min()) + 1.0
    offset = instance * length
    latest = np.maximum.accumulate(stop + offset)
    begins = np.ones(len(start), dtype=bool)
    begins[1:] = (start + offset)[1:] > latest[:-1]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(start)) - 1
    return Tracks(instance[first], start[first], (latest - offset)[last])


def opened_hours(tracks: Tracks, instances: int) -> Floats:
    """Hours for which each instance was open: float[n]."""
    hours = np.bincount(
        tracks.instance, (tracks.stop_s - tracks.start_s) / 3600, minlength=instances
    )
    opened: Floats = hours.astype(np.float64)
    return opened


def used_at(tasks: Tasks, instances: int, moments: Floats) -> Floats:
    """What was reserved on each instance at each moment: float[moments, n, 3]."""
    change = np.zeros((len(moments) + 1, instances, tasks.demand.shape[1]))
    for times, sign in ((tasks.start_s, 1), (tasks.stop_s, -1)):
        column = np.searchsorted(moments, times, side="left")
        np.add.at(change, (column, tasks.instance), sign * tasks.demand)
    return np.cumsum(change, axis=0)[:-1]


def stranded_share(record: Record, moments: Floats) -> float | None:
    """Of the free CPU and memory at moments when jobs waited, the share on instances where no
    waiting shape fitted, averaged over the two; None when nothing ever waited.
    """
    jobs, capacity = record.jobs, record.instances.capacity
    left = np.where(np.isfinite(jobs.launched_s), jobs.launched_s, jobs.ended_s)
    left = np.where(np.isfinite(left), left, record.ended_s)
    shares = []
    for moment in moments:
        waiting = (jobs.submitted_s <= moment) & (moment < left)
        if not waiting.any():
            continue
        shapes = np.unique(jobs.shape[waiting])[:MOST_SHAPES]
        used = used_at(record.tasks, len(capacity), np.array([moment]))[0]
        free = np.maximum(capacity - used, 0)
        fits = (jobs.shapes[shapes][:, None, :] <= free[None, :, :]).all(axis=2).any(axis=0)
        total = free[:, :2].sum(axis=0)
        stuck = free[~fits, :2].sum(axis=0)
        shares.append(float(np.mean(stuck / np.maximum(total, 1))))
    return float(np.mean(shares)) if shares else None
