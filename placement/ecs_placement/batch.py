"""The batched decision: `place` packs requests of one shape at once, as one group.

Order: higher priority strictly first; within a priority larger shapes first (best-fit decreasing),
then earlier `order`. Pure: the same requests, snapshot and policy give the same Plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.choosing import Chooser, barred, chooser
from ecs_placement.contest import Field, contest
from ecs_placement.errors import InvalidPolicy
from ecs_placement.feasible import Constraints
from ecs_placement.grouping import Group, Team, by_priority, grouped, watches_groups, weighted
from ecs_placement.plan import Decision, GangWait, Plan, Reject, Start, Tally, Wait
from ecs_placement.policy import DEFAULT_POLICY, Policy
from ecs_placement.request import GangId, Shape, TaskRequest
from ecs_placement.room import Filled, Room, weights_of
from ecs_placement.snapshot import Snapshot

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Placed:
    """Per request of the batch: its row (-1: none) and the share of that row in use afterwards."""

    rows: Ints
    scores: Floats


def place(
    requests: Sequence[TaskRequest],
    snapshot: Snapshot,
    policy: Policy = DEFAULT_POLICY,
    *,
    budget_s: float = 0.0,
) -> Plan:
    """Decide every request: exactly one Start, Wait or Reject each, in the order given; raises
    InvalidRequest.

    A request is rejected only when no registered instance, whatever its availability, could take
    it even when empty. The reasons of a Wait describe what is left once everything this plan
    starts is running.

    With a budget the thorough gear packs each priority anew and is taken where it places more, or
    as much on fewer idle instances; never where the policy has other wishes (`Policy.packs`).
    `budget_s` is counted in steps of known cost, so that the same arguments give the same plan.
    """
    if not budget_s >= 0:
        raise InvalidPolicy(f"budget_s is {budget_s!r}, expected seconds, 0 or more")
    weights = weights_of(policy.weights, snapshot.total)
    units = grouped(requests, weights)
    constraints = Constraints(snapshot)
    room = Room(snapshot.free, weights)
    choose = chooser(policy, snapshot, constraints, room, (r.shape for r in requests))
    placed = _Placed(np.full(len(requests), -1, dtype=np.int64), np.zeros(len(requests)))
    largest = np.maximum(np.maximum(snapshot.total, snapshot.free) @ weights, 1e-12)
    work = _Work(room, constraints, choose, placed, largest)
    gangs = _Gangs(work, policy)
    field = Field(snapshot, constraints, room, largest)
    for members in by_priority(units, requests):
        idle = field.idle()
        packed = _place_units(members, work, gangs)
        if budget_s > 0 and policy.packs:
            share = sum(group.members.size for group, _ in packed) / len(requests)
            if _packed_better(packed, work, _Effort(field, idle, share * budget_s, policy.seed)):
                gangs.retry(unit for unit in members if isinstance(unit, Team))
    unplaced = _Unplaced(requests, policy, work, gangs)
    decisions: list[Decision] = []
    ids = [instance.id for instance in snapshot.instances]
    for request, row, score in zip(
        requests, placed.rows.tolist(), placed.scores.tolist(), strict=True
    ):
        if row >= 0:
            decisions.append(Start(request.id, ids[row], score))
        else:
            decisions.append(unplaced.decide(request))
    return Plan(tuple(decisions))


@dataclass(frozen=True, slots=True)
class _Work:
    """What a batch is packed with; `largest` is the weighted capacity of each row."""

    room: Room
    constraints: Constraints
    chooser: Chooser
    placed: _Placed
    largest: Floats


def _place_units(
    units: Sequence[Group | Team], work: _Work, gangs: "_Gangs"
) -> list[tuple[Group, Filled]]:
    """Place units of one priority in their order; the groups that are no gangs, and their rows."""
    packed = []
    for unit in units:
        if isinstance(unit, Team):
            gangs.place(unit)
        else:
            packed.append((unit, _place_group(unit, work)))
    return packed


@dataclass(frozen=True, slots=True)
class _Effort:
    """What the thorough gear may spend, and the instances that were `idle` before the fast one."""

    field: Field
    idle: Bools
    budget_s: float
    seed: int


def _packed_better(packed: Sequence[tuple[Group, Filled]], work: _Work, effort: _Effort) -> bool:
    """Pack the groups of one priority anew by the thorough gear; False, and all as it was, where
    that gains nothing. Gangs stay where they are.
    """
    groups, fast = [group for group, _ in packed], [filled for _, filled in packed]
    counts = np.array([group.members.size for group in groups], dtype=np.int64)
    placed = sum(filled.placed for filled in fast)
    opens = any(effort.idle[filled.rows].any() for filled in fast)
    if placed < 2 or (placed == counts.sum() and not opens):
        return False
    kept = work.placed.rows.copy(), work.placed.scores.copy()
    _take_all_back(groups, fast, work)
    every = np.arange(counts.size)
    competing = contest(effort.field, [group.shape for group in groups], counts)
    better = False
    if competing is not None:
        best = competing.best(bool(placed == counts.sum()), effort.budget_s, effort.seed)
        fills = dict(zip(competing.entrants.tolist(), best, strict=True))
        for number, filled in fills.items():
            _put(groups[number], filled, work)
        for number in every.tolist():
            if number not in fills:
                fills[number] = _place_group(groups[number], work)
        thorough = [fills[number] for number in every.tolist()]
        merit = competing.merit(every, counts, thorough)
        better = merit < competing.merit(every, counts, fast)
    if not better:
        if competing is not None:
            _take_all_back(groups, thorough, work)
        for group, filled in packed:
            _put(group, filled, work)
        work.placed.rows[:], work.placed.scores[:] = kept
    return better


def _put(group: Group, filled: Filled, work: _Work) -> None:
    """Start the group's first requests on rows chosen elsewhere."""
    room, placed = work.room, work.placed
    room.occupy(filled, group.shape.demand)
    work.constraints.occupy(group.shape, filled.rows, filled.counts)
    members, rows = group.members[: filled.placed], np.repeat(filled.rows, filled.counts)
    placed.rows[members] = rows
    placed.scores[members] = 1.0 - room.score[rows] / work.largest[rows]


def _take_all_back(groups: Sequence[Group], fills: Sequence[Filled], work: _Work) -> None:
    for group, filled in zip(groups, fills, strict=True):
        _take_back(group, filled, work)


def _place_group(group: Group, work: _Work) -> Filled:
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


def _take_back(group: Group, filled: Filled, work: _Work) -> None:
    """Undo `_place_group`."""
    work.room.release(filled, group.shape.demand)
    work.constraints.release(group.shape, filled.rows, filled.counts)
    work.placed.rows[group.members] = -1
    work.placed.scores[group.members] = 0.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A gang that does not start, and why: by shape, beside those of its members that have room."""

    team: Team
    counts: GangWait
    reasons: dict[Shape, tuple[Tally, ...]]


class _Gangs:
    """Places teams whole or not at all; `waiting` are those that found no room."""

    def __init__(self, work: _Work, policy: Policy) -> None:
        self._work = work
        self._policy = policy
        self._failed: dict[tuple[Shape, int], _Waiting] = {}
        self.waiting: dict[GangId, _Waiting] = {}

    def place(self, team: Team) -> None:
        """Start every member, or leave everything as it was."""
        gang, present = team.gang, team.present
        if present < gang.size:
            self.waiting[gang.id] = _Waiting(team, GangWait(gang.id, gang.size, present, 0), {})
            return
        alike = self._alike(team)
        if alike is not None and alike in self._failed:
            known = self._failed[alike]
            counts = GangWait(gang.id, gang.size, present, known.counts.fit)
            self.waiting[gang.id] = _Waiting(team, counts, known.reasons)
            return
        taken = [(group, _place_group(group, self._work)) for group in team.groups]
        fit = sum(filled.placed for _, filled in taken)
        if fit == gang.size:
            return
        reasons = {
            group.shape: self._work.constraints.why_waiting(group.shape, self._work.room.free)
            for group, filled in taken
            if filled.placed < group.members.size
        }
        for group, filled in reversed(taken):
            _take_back(group, filled, self._work)
        waiting = _Waiting(team, GangWait(gang.id, gang.size, present, fit), reasons)
        self.waiting[gang.id] = waiting
        if alike is not None:
            self._failed[alike] = waiting

    def retry(self, teams: Iterable[Team]) -> None:
        """Try those that waited again, once others have been packed anew."""
        self._failed.clear()
        for team in teams:
            if self.waiting.pop(team.gang.id, None) is not None:
                self.place(team)

    def _alike(self, team: Team) -> tuple[Shape, int] | None:
        """Room only shrinks: what one gang of equal members lacked, the next like it lacks too."""
        shape = team.groups[0].shape
        if not self._policy.packs or len(team.groups) > 1 or watches_groups(shape):
            return None
        return shape, team.gang.size


def _still_to_come(filled: Filled) -> Ints:
    """For each request of a group, how many more of it follow on the same row (3 on a row: 2, 1,
    0).
    """
    ends = np.cumsum(filled.counts)
    return np.repeat(ends, filled.counts) - np.arange(1, filled.placed + 1)


class _Unplaced:
    """Decides what was not started; the tallies are computed once per shape."""

    def __init__(
        self, requests: Sequence[TaskRequest], policy: Policy, work: _Work, gangs: _Gangs
    ) -> None:
        self._requests = requests
        self._policy = policy
        self._work = work
        self._gangs = gangs.waiting
        self._known: dict[Shape, tuple[type[Wait] | type[Reject], tuple[Tally, ...]]] = {}

    def decide(self, request: TaskRequest) -> Decision:
        kind, reasons = self._explained(request.shape)
        if request.gang is None or kind is Reject:
            return kind(request.id, reasons)
        waiting = self._gangs[request.gang.id]
        for group in waiting.team.groups:
            if self._explained(group.shape)[0] is Reject:
                culprit = self._requests[int(group.members[0])].id
                return Reject(request.id, (), because_of=culprit)
        return Wait(request.id, waiting.reasons.get(request.shape, ()), waiting.counts)

    def _explained(self, shape: Shape) -> tuple[type[Wait] | type[Reject], tuple[Tally, ...]]:
        known = self._known.get(shape)
        if known is None:
            known = self._known[shape] = self._explain(shape)
        return known

    def _explain(self, shape: Shape) -> tuple[type[Wait] | type[Reject], tuple[Tally, ...]]:
        constraints = self._work.constraints
        if self._work.largest.size and not constraints.ever(shape).any():
            return Reject, constraints.why_never(shape)
        reasons = constraints.why_waiting(shape, self._work.room.free)
        return Wait, reasons + barred(self._policy, shape, constraints)
