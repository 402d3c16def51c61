"""What one simulated run left behind: columns, one row per job, per task and per instance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESOURCES = ("CPU", "memory", "GPU")
"""The dimensions of a simulation's measures, in the order of every resource column."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """One row per job, in the order of the trace; times in seconds since the start, NaN where not
    reached. `share` and `shape` are rows of `share_names` and `shapes` (int64[k, 3]).
    """

    ids: tuple[str, ...]
    submitted_s: Floats
    launched_s: Floats
    ended_s: Floats
    succeeded: NDArray[np.bool_]
    share: Ints
    share_names: tuple[str, ...]
    shape: Ints
    shapes: Ints


@dataclass(frozen=True, eq=False)
class Tasks:
    """One row per task that ECS started; `instance` is a row of the fleet, `demand` int64[t, 3]."""

    instance: Ints
    start_s: Floats
    stop_s: Floats
    demand: Ints


@dataclass(frozen=True, eq=False)
class Instances:
    """One row per container instance; `capacity` is int64[n, 3]."""

    types: tuple[str, ...]
    capacity: Ints


@dataclass(frozen=True, eq=False)
class Record:
    """One policy and seed, played to its end. `unfinished` jobs had not ended at `ended_s`, the
    last moment simulated; `calls` counts API calls by operation.
    """

    policy: str
    seed: int
    jobs: Jobs
    tasks: Tasks
    instances: Instances
    ended_s: float
    unfinished: int
    calls: dict[str, int]
    throttled: int
    wall_s: float
