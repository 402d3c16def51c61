"""What there is: the cluster at one moment, as arrays with one row per container instance."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

InstanceId = NewType("InstanceId", str)


class Availability(StrEnum):
    """Whether an instance may take new tasks, and why not."""

    PLACEABLE = "PLACEABLE"
    AGENT_DISCONNECTED = "AGENT_DISCONNECTED"
    DRAINING = "DRAINING"
    AVOIDED = "AVOIDED"


@dataclass(frozen=True, slots=True)
class Instance:
    """One container instance as the service sees it; resource vectors are in the order of DIMENSIONS.

    `free` is what is registered less everything running or promised. It may be negative when ECS over-subscribed.
    Host ports that are in use are listed; all others are free.
    """

    id: InstanceId
    total: tuple[int, int, int, int]
    free: tuple[int, int, int, int]
    ports_tcp_used: frozenset[int] = frozenset()
    ports_udp_used: frozenset[int] = frozenset()
    attributes: Mapping[str, str | None] = {}  # noqa: RUF012 (a frozen default, never mutated)
    availability: Availability = Availability.PLACEABLE


@dataclass(frozen=True)
class Snapshot:
    """The cluster at one moment; rows are sorted by instance id. `total` and `free` are int64[n, 4] and read-only."""

    instances: tuple[Instance, ...]
    total: NDArray[np.int64]
    free: NDArray[np.int64]
