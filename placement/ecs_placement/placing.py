"""A batch while it is packed: what is placed so far, and one group more or less of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.choosing import Chooser
from ecs_placement.feasible import Constraints
from ecs_placement.grouping import Group, weighted
from ecs_placement.request import TaskRequest
from ecs_placement.room import Filled, Room

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Placed:
    """Per request of the batch: its row (-1: none) and the share of that row in use afterwards."""

    rows: Ints
    scores: Floats


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch is packed with; `largest` is the weighted capacity of each row."""

    requests: Sequence[TaskRequest]
    room: Room
    constraints: Constraints
    chooser: Chooser
    placed: Placed
    largest: Floats


def place_group(group: Group, work: Work) -> Filled:
    """Start as many of the group as there is room for."""
    shape, room, placed = group.shape, work.room, work.placed
    eligible = work.constraints.eligible(shape)
    count = group.members.size
    once = bool(shape.ports_tcp or shape.ports_udp or shape.distinct_instance)
    filled = work.chooser.take(shape, count, room, eligible, once_per_row=once)
    if filled.rows.size == 0:
        return filled
    work.constraints.occupy(shape, filled.rows, filled.counts)
    members = group.members[: filled.placed]
    placed.rows[members] = np.repeat(filled.rows, filled.counts)
    left = np.repeat(room.score[filled.rows], filled.counts)
    left += _still_to_come(filled) * weighted(shape.demand, room.weights)
    placed.scores[members] = 1.0 - left / work.largest[placed.rows[members]]
    return filled


def put(group: Group, filled: Filled, work: Work) -> None:
    """Start the group's first requests on rows chosen elsewhere."""
    room, placed = work.room, work.placed
    room.occupy(filled, group.shape.demand)
    work.constraints.occupy(group.shape, filled.rows, filled.counts)
    members, rows = group.members[: filled.placed], np.repeat(filled.rows, filled.counts)
    placed.rows[members] = rows
    placed.scores[members] = 1.0 - room.score[rows] / work.largest[rows]


def take_back(group: Group, filled: Filled, work: Work) -> None:
    """Undo `place_group`."""
    work.room.release(filled, group.shape.demand)
    work.constraints.release(group.shape, filled.rows, filled.counts)
    work.placed.rows[group.members] = -1
    work.placed.scores[group.members] = 0.0


def take_all_back(groups: Sequence[Group], fills: Sequence[Filled], work: Work) -> None:
    """Undo several."""
    for group, filled in zip(groups, fills, strict=True):
        take_back(group, filled, work)


def _still_to_come(filled: Filled) -> Ints:
    """For each request of a group, how many more of it follow on the same row (3 on a row: 2, 1,
    0).
    """
    ends = np.cumsum(filled.counts)
    return np.repeat(ends, filled.counts) - np.arange(1, filled.placed + 1)
