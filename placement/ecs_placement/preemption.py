"""Which running tasks of lower priority to stop so that blocked requests fit: a plan, nothing more.

A task is stopped only for requests of strictly higher priority that need its room, so that repeated
rounds come to rest: what was stopped can never stop what replaced it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ecs_placement.feasible import Constraints
from ecs_placement.grouping import over_scalars, watches_groups
from ecs_placement.plan import Start
from ecs_placement.policy import BEST_FIT, Policy
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.room import weights_of
from ecs_placement.snapshot import InstanceId, RunningTask, Snapshot, TaskId

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TRIED_PER_REQUEST = 32
"""Instances looked at closely for one request: those where least is missing."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop this task on its instance."""

    task_id: TaskId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True)
class Preemption:
    """Once `stops` have ended, `starts` fit, each on its instance; those that need no stop there
    are among them, since their room is counted.
    """

    stops: tuple[Stop, ...]
    starts: tuple[Start, ...]


def preempt(
    requests: Sequence[TaskRequest], snapshot: Snapshot, policy: Policy = BEST_FIT
) -> Preemption:
    """What to stop for `requests`, by the `running` tasks that the snapshot's instances list.

    Higher priority first, then the earlier `order`; a gang whole or not at all, at the lowest
    priority of its members. Of the instances that could be cleared, the one is taken where the
    highest priority stopped is lowest, then where fewest tasks are, then the least room. Requests
    whose expressions watch task groups are left out.
    """
    requests, snapshot = over_scalars(requests, snapshot)
    clearing = _Clearing(snapshot, policy)
    for unit in _units(requests):
        clearing.make_room(unit)
    return clearing.plan()


def _units(requests: Sequence[TaskRequest]) -> list[list[TaskRequest]]:
    """Single requests and complete gangs, in the order they are served, at what counts."""
    alone = [[each] for each in requests if each.gang is None]
    ganged = sorted((r for r in requests if r.gang is not None), key=lambda r: str(r.gang))
    for gang, group in groupby(ganged, key=lambda request: request.gang):
        members = sorted(group, key=lambda request: (request.order, request.id))
        if gang is not None and len(members) == gang.size:
            lowest = min(member.priority for member in members)
            alone.append([replace(member, priority=lowest) for member in members])
    return sorted(alone, key=lambda unit: (-unit[0].priority, unit[0].order, unit[0].id))


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as planned so far."""

    placed: tuple[TaskRequest, ...] = ()
    stopped: frozenset[RunningTask] = frozenset()


class _Clearing:
    """The rows as they would be after the stops and starts planned so far."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self._snapshot = snapshot
        self._constraints = Constraints(snapshot)
        self._weights = weights_of(policy.weights_over(snapshot.scalars), snapshot.total)
        self._rows: dict[int, _Row] = {}
        running = [
            (row, task)
            for row, instance in enumerate(snapshot.instances)
            for task in instance.running
        ]
        self._row_of = np.array([row for row, _ in running], dtype=np.int64)
        self._priority = np.array([task.priority for _, task in running], dtype=np.int64)
        demand = [snapshot.demand(task.shape) for _, task in running]
        self._demand = np.array(demand, dtype=np.int64).reshape(-1, snapshot.free.shape[1])

    def make_room(self, unit: list[TaskRequest]) -> None:
        """Plan all members of the unit, or none."""
        before = dict(self._rows)
        for request in unit:
            if not self._place(request):
                self._rows = before
                return

    def plan(self) -> Preemption:
        """What came of it."""
        stops, starts = [], []
        for row, planned in sorted(self._rows.items()):
            instance = self._snapshot.instances[row]
            ids = sorted(task.id for task in planned.stopped)
            stops += [Stop(task_id, instance.id) for task_id in ids]
            starts += [Start(request.id, instance.id, 0.0) for request in planned.placed]
        return Preemption(tuple(stops), tuple(starts))

    def _place(self, request: TaskRequest) -> bool:
        """Plan one request where that costs least."""
        shape = request.shape
        if watches_groups(shape):
            return False
        able = self._constraints.ever(shape) & self._snapshot.placeable
        options = []
        for row in self._nearest(request, able):
            planned = self._with(row, request)
            if planned is not None:
                before = self._rows.get(row, _Row()).stopped
                options.append((self._cost(planned.stopped - before), row, planned))
        if not options:
            return False
        _, row, planned = min(options, key=lambda option: option[:2])
        self._rows[row] = planned
        return True

    def _nearest(self, request: TaskRequest, able: Bools) -> list[int]:
        """Rows that would do if all of lower priority ended, those where least is missing first."""
        demand = np.array(request.shape.demand)
        free = self._snapshot.free.copy()
        for row, planned in self._rows.items():
            for task in planned.stopped:
                free[row] += self._snapshot.demand(task.shape)
            for placed in planned.placed:
                free[row] -= placed.shape.demand
        cleared = free.copy()
        lower = self._priority < request.priority
        np.add.at(cleared, self._row_of[lower], self._demand[lower])
        rows = np.flatnonzero(able & ((cleared >= demand) | (demand == 0)).all(axis=1))
        missing = np.maximum(demand - free[rows], 0) @ self._weights
        order = np.lexsort((rows, missing))
        return [int(row) for row in rows[order[:TRIED_PER_REQUEST]]]

    def _with(self, row: int, request: TaskRequest) -> _Row | None:
        """The row with the request and the fewest further stops that it needs; None: impossible."""
        known = self._rows.get(row, _Row())
        placed = (*known.placed, request)
        stopped = set(known.stopped)
        for victim in self._victims(row, request, known.stopped):
            if self._fits(row, placed, stopped):
                break
            stopped.add(victim)
        if not self._fits(row, placed, stopped):
            return None
        for task in sorted(stopped, key=lambda task: (-task.priority, task.id)):
            if self._fits(row, placed, stopped - {task}):
                stopped.discard(task)
        for task in stopped:
            above = [each for each in placed if each.priority > task.priority]
            if self._fits(row, above, stopped - {task}):
                return None  # it would be stopped for the sake of its equals
        return _Row(placed, frozenset(stopped))

    def _victims(
        self, row: int, request: TaskRequest, stopped: Iterable[RunningTask]
    ) -> list[RunningTask]:
        """Lowest priority first, then those that free most of the room asked for."""
        asked = np.array(request.shape.demand) > 0
        lower = [
            task
            for task in self._snapshot.instances[row].running
            if task.priority < request.priority and task not in set(stopped)
        ]

        def gain(task: RunningTask) -> float:
            return float(self._snapshot.demand(task.shape)[asked] @ self._weights[asked])

        return sorted(lower, key=lambda task: (task.priority, -gain(task), task.id))

    def _fits(
        self, row: int, placed: Iterable[TaskRequest], stopped: Iterable[RunningTask]
    ) -> bool:
        """Whether these fit once those have ended: room, host ports, distinct instances."""
        instance, gone = self._snapshot.instances[row], [task.shape for task in stopped]
        shapes = [request.shape for request in placed]
        free = self._snapshot.free[row].copy()
        for shape in gone:
            free += self._snapshot.demand(shape)
        asked = np.zeros_like(free)
        for shape in shapes:
            asked += np.array(shape.demand)
        if ((asked > 0) & (asked > free)).any():
            return False
        for taken, used in (
            (_ports(shapes, "tcp"), instance.ports_tcp_used - _ports(gone, "tcp").keys()),
            (_ports(shapes, "udp"), instance.ports_udp_used - _ports(gone, "udp").keys()),
        ):
            if taken.keys() & used or max(taken.values(), default=1) > 1:
                return False
        groups = Counter(instance.facts.tasks_by_group)
        groups.subtract(shape.group for shape in gone if shape.group is not None)
        groups.update(shape.group for shape in shapes if shape.group is not None)
        return not any(s.distinct_instance and groups[s.group or ""] > 1 for s in shapes)

    def _cost(self, stops: frozenset[RunningTask]) -> tuple[int, int, float]:
        highest = max((task.priority for task in stops), default=-(2**62))
        room = sum(float(self._snapshot.demand(task.shape) @ self._weights) for task in stops)
        return (highest, len(stops), room)


def _ports(shapes: Iterable[Shape], protocol: str) -> Counter[int]:
    return Counter(
        port
        for shape in shapes
        for port in (shape.ports_tcp if protocol == "tcp" else shape.ports_udp)
    )


def started(plan: Preemption) -> dict[RequestId, InstanceId]:
    """Instance by request."""
    return {start.request_id: start.instance_id for start in plan.starts}
