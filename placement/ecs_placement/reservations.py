"""Room kept on single instances for requests that found none, while others are packed around it.

This is EASY backfilling (Lifka 1995) with one difference: a task whose end is unknown is never
counted on. A reserved instance is filled only by what fits beside the reserved room, or by what
surely ends before that room is expected to be whole; so nothing delays it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecs_placement.feasible import Constraints
from ecs_placement.grouping import watches_groups
from ecs_placement.plan import Reservation, Reserving
from ecs_placement.request import RequestId, Shape
from ecs_placement.room import Room
from ecs_placement.snapshot import InstanceId, Snapshot

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UNKNOWN = float("inf")


@dataclass(slots=True)
class _Kept:
    """Room kept on one row: `asked` of it, whole by `by_s`.

    `now` is what is really free there; `later` is what will be beside the reserved room at `by_s`.
    What may run past `by_s` has the smaller of the two, which is what `Room.free` shows (`shown`).
    """

    row: int
    by_s: float
    asked: Ints
    now: Ints
    later: Ints
    shown: Ints
    heads: list[Shape] = field(default_factory=list)

    def bars(self, shape: Shape) -> bool:
        """Whether the shape could stand in the way by something else than the room it takes."""
        return any(
            head.ports_tcp & shape.ports_tcp
            or head.ports_udp & shape.ports_udp
            or (shape.group is not None and (head.distinct_instance or watches_groups(head)))
            for head in self.heads
        )


@dataclass(frozen=True, slots=True)
class _Ends:
    """Known ends of running tasks, by row and time: `freed[:, k]` is what ends on `row[k]` until
    `at_s[k]`, in all.
    """

    row: Ints
    at_s: Floats
    freed: Ints

    @classmethod
    def of(cls, snapshot: Snapshot, now_s: float) -> "_Ends":
        """Ends that lie in the future; a task that is overdue is not counted on any more."""
        running = [
            (row, task.ends_at_s, snapshot.demand(task.shape).tolist())
            for row, instance in enumerate(snapshot.instances)
            for task in instance.running
            if task.ends_at_s is not None and task.ends_at_s > now_s
        ]
        running.sort()
        row = np.array([row for row, _, _ in running], dtype=np.int64)
        at_s = np.array([at_s for _, at_s, _ in running], dtype=np.float64)
        demand = np.array([demand for _, _, demand in running], dtype=np.int64)
        freed = np.cumsum(demand.reshape(len(running), snapshot.free.shape[1]), axis=0).T
        first = np.searchsorted(row, row)  # where the row of each begins
        before = np.where(first > 0, freed[:, first - 1], 0) if running else freed
        return cls(row, at_s, freed - before)

    def by(self, row: int, at_s: float) -> Ints:
        """int64[d]: what ends on the row until then."""
        ended = np.flatnonzero((self.row == row) & (self.at_s <= at_s))
        last = slice(ended[-1], ended[-1] + 1) if ended.size else slice(0, 0)
        freed: Ints = self.freed[:, last].sum(axis=1)
        return freed


class Reservations:
    """The reservations of one batch, in seconds of the clock that gave `now_s`."""

    def __init__(
        self, snapshot: Snapshot, constraints: Constraints, room: Room, reserving: Reserving
    ) -> None:
        self._earlier = {each.request_id: each.instance_id for each in reserving.reservations}
        self.now_s = reserving.now_s
        self._snapshot = snapshot
        self._constraints = constraints
        self._room = room
        self._kept: dict[int, _Kept] = {}
        self.made: dict[RequestId, Reservation] = {}

    def keep(self, shape: Shape, members: Sequence[RequestId]) -> None:
        """Keep room for each of `members`, where it was kept before unless that is now later than
        elsewhere; nothing where no instance that takes tasks could ever hold it.
        """
        for request_id in members:
            able = self._able(shape)
            if not able.any():
                return
            by_s, short = self._soonest(shape, able)
            row = min(np.flatnonzero(able).tolist(), key=lambda r: (by_s[r], short[r], r))
            known = self._snapshot.row_of.get(self._earlier.get(request_id) or InstanceId(""))
            if known is not None and able[known] and by_s[known] <= by_s[row]:
                row = known
            self._add(row, shape, float(by_s[row]))
            instance_id = self._snapshot.instances[row].id
            expected = None if by_s[row] == UNKNOWN else float(by_s[row])
            self.made[request_id] = Reservation(request_id, instance_id, expected)

    @cached_property
    def _ends(self) -> "_Ends":
        return _Ends.of(self._snapshot, self.now_s)

    @property
    def brief(self) -> list[tuple[int, float]]:
        """The reserved rows whose room is expected at a known time, with that time."""
        return sorted((k.row, k.by_s) for k in self._kept.values() if k.by_s < UNKNOWN)

    def room_for_brief(self, row: int, shape: Shape) -> int:
        """How many tasks that end in time the row has room for besides what runs there."""
        kept = self._refreshed(self._kept[row])
        asked = np.array(shape.demand)
        if kept.bars(shape) or not (asked > 0).any():
            return 0
        fits = int((kept.now[asked > 0] // asked[asked > 0]).min())
        once = bool(shape.ports_tcp or shape.ports_udp or shape.distinct_instance)
        return max(0, min(fits, 1) if once else fits)

    def take_brief(self, row: int, shape: Shape, count: int) -> float:
        """Start tasks there that end in time: only what is free now gets less. The weighted room
        that is left.
        """
        kept = self._refreshed(self._kept[row])
        kept.now = kept.now - np.array(shape.demand) * count
        self._show(kept)
        return float(self._room.weights @ kept.now)

    def free(self) -> Ints:
        """int64[d, n]: what is really free, reserved or not."""
        if not self._kept:
            return self._room.free
        free = self._room.free.copy()
        for kept in self._kept.values():
            free[:, kept.row] = self._refreshed(kept).now
        return free

    def withheld(self, shape: Shape) -> int:
        """On how many rows the shape has room now, and may not take it."""
        asked = np.array(shape.demand)
        needs = asked > 0
        return sum(
            bool((kept.now >= asked)[needs].all())
            and (kept.bars(shape) or not bool((kept.shown >= asked)[needs].all()))
            for kept in map(self._refreshed, self._kept.values())
        )

    def _able(self, shape: Shape) -> Bools:
        """bool[n]: rows that could hold the shape beside what is already kept there; those where
        nothing but room is missing come first.
        """
        able = self._constraints.ever(shape) & self._snapshot.placeable
        for kept in self._kept.values():
            largest = np.maximum(self._snapshot.total[kept.row], kept.now)
            demand = np.array(shape.demand)
            beside = ((largest - kept.asked >= demand) | (demand == 0)).all()
            able[kept.row] &= bool(beside) and not kept.bars(shape)
        ready: Bools = able & self._constraints.eligible(shape)
        return ready if ready.any() else able

    def _needed(self, shape: Shape) -> tuple[Ints, Ints]:
        """int64[d, n] each: what is really free, and what must be."""
        free = self.free()
        need = np.repeat(np.array(shape.demand, dtype=np.int64)[:, None], free.shape[1], axis=1)
        for kept in self._kept.values():
            need[:, kept.row] += kept.asked
        return free, need

    def _soonest(self, shape: Shape, able: Bools) -> tuple[Floats, Floats]:
        """float64[n] each: when the room is expected to be there, and how much is missing now."""
        free, need = self._needed(shape)
        missing = np.where(need > 0, np.maximum(need - free, 0), 0)
        short: Floats = self._room.weights @ missing
        by_s = np.where((missing == 0).all(axis=0), self.now_s, UNKNOWN)
        ends = self._ends
        if ends.at_s.size:
            whole = (ends.freed >= missing[:, ends.row]).all(axis=0)
            at_s = np.where(whole, ends.at_s, UNKNOWN)
            np.minimum.at(by_s, ends.row, at_s)
        by_s[~able] = UNKNOWN
        return by_s, short

    def _add(self, row: int, shape: Shape, by_s: float) -> None:
        now, _ = self._needed(shape)
        kept = self._kept.get(row)
        if kept is None:
            here = now[:, row].copy()
            none = np.zeros_like(here)
            kept = self._kept[row] = _Kept(row, by_s, none, here, here.copy(), here.copy())
            self._constraints.barriers.append(kept)
        else:
            self._refreshed(kept)
            kept.by_s = max(kept.by_s, by_s)
        kept.heads.append(shape)
        kept.asked = kept.asked + np.array(shape.demand)
        kept.later = kept.now - kept.asked
        if kept.by_s < UNKNOWN:
            kept.later = kept.later + self._ends.by(row, kept.by_s)
        self._show(kept)

    def _show(self, kept: _Kept) -> None:
        kept.shown = np.minimum(kept.now, kept.later)
        self._room.show(kept.row, kept.shown)

    def _refreshed(self, kept: _Kept) -> _Kept:
        """What was taken from `Room.free` since is taken from both."""
        taken = kept.shown - self._room.free[:, kept.row]
        kept.now, kept.later = kept.now - taken, kept.later - taken
        kept.shown = kept.shown - taken
        return kept
