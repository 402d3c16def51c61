"""Whether a plan keeps the room that it says it reserves: part of `check`, and like it written
without looking at how plans are made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.plan import Plan, Reservation, Reserving
from ecs_placement.query import parse
from ecs_placement.request import Gang, RequestId, TaskRequest
from ecs_placement.snapshot import Snapshot
from ecs_placement.violations import Broken, Violation

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Held:
    """The reservations of a plan with their requests, and the priority at which gangs count."""

    reserved: tuple[tuple[TaskRequest, Reservation], ...]
    lowest: dict[Gang, int]

    @classmethod
    def of(cls, plan: Plan, requests: Sequence[TaskRequest]) -> "Held":
        """Those of the plan."""
        by_id = {request.id: request for request in requests}
        lowest: dict[Gang, int] = {}
        for request in requests:
            if request.gang is not None:
                before = lowest.get(request.gang, request.priority)
                lowest[request.gang] = min(before, request.priority)
        return cls(tuple((by_id[each.request_id], each) for each in plan.reservations), lowest)

    @property
    def ids(self) -> frozenset[RequestId]:
        """The requests that room is kept for."""
        return frozenset(request.id for request, _ in self.reserved)

    def level(self, request: TaskRequest) -> int:
        """The priority that counts."""
        return request.priority if request.gang is None else self.lowest[request.gang]

    def rows(self, snapshot: Snapshot) -> dict[int, list[tuple[TaskRequest, Reservation]]]:
        """The reservations by row."""
        found: dict[int, list[tuple[TaskRequest, Reservation]]] = {}
        for request, reservation in self.reserved:
            assert reservation.instance_id is not None
            row = snapshot.row_of[reservation.instance_id]
            found.setdefault(row, []).append((request, reservation))
        return found

    def asked(self, snapshot: Snapshot, priority: int) -> Ints:
        """int64[n, d]: what is reserved on each row at this priority and above."""
        asked = np.zeros_like(snapshot.free)
        for row, heads in self.rows(snapshot).items():
            for request, _ in heads:
                if self.level(request) >= priority:
                    asked[row] += request.shape.demand
        return asked

    def closed(self, snapshot: Snapshot, priority: int) -> frozenset[int]:
        """Rows reserved for what needs more than room there."""
        return frozenset(
            row
            for row, heads in self.rows(snapshot).items()
            if any(self.level(r) >= priority and _needs_more_than_room(r) for r, _ in heads)
        )


def _needs_more_than_room(request: TaskRequest) -> bool:
    shape = request.shape
    watches = any(parse(text).watches_groups for text in shape.member_of)
    return bool(shape.ports_tcp or shape.ports_udp or shape.distinct_instance or watches)


def delayed(
    held: Held,
    started: Sequence[tuple[TaskRequest, int]],
    snapshot: Snapshot,
    reserving: Reserving,
) -> Iterator[Violation]:
    """What starts after a reservation on its instance must leave it whole when it is due. Of the
    same priority, those go before it that are to be reserved for as well.
    """
    now_s, first = reserving.now_s, reserving.ids
    for row, heads in held.rows(snapshot).items():
        level = max(held.level(request) for request, _ in heads)
        times = [reservation.by_s for _, reservation in heads]
        by_s = None if None in times else max(time for time in times if time is not None)
        asked = sum((np.array(r.shape.demand) for r, _ in heads), np.zeros(snapshot.free.shape[1]))
        free = snapshot.free[row].astype(np.float64)
        late = np.zeros_like(free)
        for request, at in started:
            if at != row:
                continue
            demand = np.array(request.shape.demand)
            if held.level(request) > level or request.id in first:
                free -= demand
            elif by_s is None or request.lasts_s is None or now_s + request.lasts_s > by_s:
                late += demand
        for task in snapshot.instances[row].running:
            if by_s is not None and task.ends_at_s is not None and now_s < task.ends_at_s <= by_s:
                free += snapshot.demand(task.shape)
        about = heads[0][0].id
        if by_s is not None and ((asked > 0) & (free < asked)).any():
            yield Violation(Broken.DELAYED, about, f"not whole by {by_s:g} s")
        elif ((asked > 0) & (late > np.maximum(free - asked, 0))).any():
            yield Violation(Broken.DELAYED, about, f"room taken on {snapshot.instances[row].id}")
