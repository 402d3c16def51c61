"""The batched decision: `place` packs requests of one shape at once, as one group.

Order: higher priority strictly first; within a priority larger shapes first (best-fit decreasing),
then earlier `order`. Pure: the same requests, snapshot and policy give the same Plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.backfilling import backfill, reserve
from ecs_placement.choosing import barred, chooser
from ecs_placement.contest import Field, contest
from ecs_placement.errors import InvalidPolicy
from ecs_placement.feasible import Constraints, Shortages
from ecs_placement.fleet import relative_prices
from ecs_placement.gangs import Gangs
from ecs_placement.grouping import Group, Team, asks_for_scalars, by_priority, grouped, over_scalars
from ecs_placement.placing import Placed, Work, place_group, put, take_all_back
from ecs_placement.plan import (
    NOTHING_RESERVED,
    Decision,
    Plan,
    Reason,
    Reject,
    Reserving,
    Start,
    Tally,
    Wait,
)
from ecs_placement.policy import BEST_FIT, Policy
from ecs_placement.request import Shape, TaskRequest
from ecs_placement.reservations import Reservations
from ecs_placement.room import Filled, Room, weights_of
from ecs_placement.snapshot import Snapshot
from ecs_placement.thorough import UNKNOWN

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def place(
    requests: Sequence[TaskRequest],
    snapshot: Snapshot,
    policy: Policy = BEST_FIT,
    *,
    budget_s: float = 0.0,
    reserving: Reserving = NOTHING_RESERVED,
) -> Plan:
    """Decide every request: exactly one Start, Wait or Reject each, in the order given; raises
    InvalidRequest.

    A request is rejected only when no registered instance, whatever its availability, could take
    it even when empty. The reasons of a Wait describe what is left once everything this plan
    starts is running.

    With a budget the thorough gear packs each priority anew and is taken where it places more, or
    as much on cheaper idle instances (`Policy.prices`, else list prices); never where the policy
    has other wishes (`Policy.packs`).
    `budget_s` is counted in steps of known cost, so that the same arguments give the same plan.

    `reserving` names requests for which room is kept when they find none; the others are packed
    around it so that they never delay them.
    """
    if not budget_s >= 0:
        raise InvalidPolicy(f"budget_s is {budget_s!r}, expected seconds, 0 or more")
    if snapshot.scalars:
        requests, snapshot = over_scalars(requests, snapshot)
    weights = weights_of(policy.weights_over(snapshot.scalars), snapshot.total)
    units = grouped(requests, weights, reserving.ids)
    if not snapshot.scalars and asks_for_scalars(units):
        requests, snapshot = over_scalars(requests, snapshot)
        return place(requests, snapshot, policy, budget_s=budget_s, reserving=reserving)
    constraints = Constraints(snapshot)
    room = Room(snapshot.free, weights, idle=None if policy.plain else snapshot.idle)
    choose = chooser(policy, snapshot, constraints, room, requests)
    placed = Placed(np.full(len(requests), -1, dtype=np.int64), np.zeros(len(requests)))
    largest = np.maximum(np.maximum(snapshot.total, snapshot.free) @ weights, 1e-12)
    work = Work(requests, room, constraints, choose, placed, largest)
    gangs = Gangs(work, policy)
    kept = Reservations(snapshot, constraints, room, reserving)
    searched = budget_s > 0 and policy.packs
    cost = largest * relative_prices(policy.prices, snapshot, largest) if searched else largest
    field = Field(snapshot, constraints, room, cost)
    for members in by_priority(units, requests):
        idle = field.idle() if searched else None
        packed = _place_units(members, work, gangs, kept)
        if idle is not None:
            share = sum(group.members.size for group, _ in packed) / len(requests)
            if _packed_better(packed, work, _Effort(field, idle, share * budget_s, policy.seed)):
                gangs.retry(unit for unit in members if isinstance(unit, Team) and not unit.reserve)
        backfill((group for group, _ in packed), work, kept)
    decisions = _decisions(work, snapshot, _Unplaced(policy, work, gangs, kept))
    return Plan(decisions, tuple(kept.made.values()))


def _decisions(work: Work, snapshot: Snapshot, unplaced: "_Unplaced") -> tuple[Decision, ...]:
    decisions: list[Decision] = []
    rows, scores = work.placed.rows.tolist(), work.placed.scores.tolist()
    for request, row, score in zip(work.requests, rows, scores, strict=True):
        if row >= 0:
            decisions.append(Start(request.id, snapshot.instances[row].id, score))
        else:
            decisions.append(unplaced.decide(request))
    return tuple(decisions)


def _place_units(
    units: Sequence[Group | Team], work: Work, gangs: Gangs, kept: Reservations
) -> list[tuple[Group, Filled]]:
    """Place units of one priority in their order, and reserve for those that are to be reserved
    for; the groups that are neither gangs nor reserved, and their rows.
    """
    packed = []
    for unit in units:
        if isinstance(unit, Team):
            gangs.place(unit)
        else:
            filled = place_group(unit, work)
            if not unit.reserve:
                packed.append((unit, filled))
        if unit.reserve:
            reserve(unit, work, kept)
    return packed


@dataclass(frozen=True, slots=True)
class _Effort:
    """What the thorough gear may spend, and the instances that were `idle` before the fast one."""

    field: Field
    idle: Bools
    budget_s: float
    seed: int


def _packed_better(packed: Sequence[tuple[Group, Filled]], work: Work, effort: _Effort) -> bool:
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
    take_all_back(groups, fast, work)
    every = np.arange(counts.size)
    competing = contest(effort.field, [group.shape for group in groups], counts)
    better = False
    if competing is not None:
        before = competing.merit(every, counts, fast)
        # What others opened for themselves is not the entrants' to save.
        known = before if competing.entrants.size == counts.size else UNKNOWN
        fits_all = placed == counts.sum()
        best = competing.best(known if fits_all else None, effort.budget_s, effort.seed)
        fills = dict(zip(competing.entrants.tolist(), best, strict=True))
        for number, filled in fills.items():
            put(groups[number], filled, work)
        for number in every.tolist():
            fills[number] = _filled_up(groups[number], fills.get(number), work)
        thorough = [fills[number] for number in every.tolist()]
        better = competing.merit(every, counts, thorough) < before
    if not better:
        if competing is not None:
            take_all_back(groups, thorough, work)
        for group, filled in packed:
            put(group, filled, work)
        work.placed.rows[:], work.placed.scores[:] = kept
    return better


def _filled_up(group: Group, filled: Filled | None, work: Work) -> Filled:
    """Start those of the group that are left wherever there is room still."""
    if filled is None:
        return place_group(group, work)
    left = Group(group.shape, group.members[filled.placed :])
    more = place_group(left, work) if left.members.size else filled
    if more is filled or not more.placed:
        return filled
    rows, at = np.unique(np.concatenate([filled.rows, more.rows]), return_inverse=True)
    counts = np.zeros(rows.size, dtype=np.int64)
    np.add.at(counts, at, np.concatenate([filled.counts, more.counts]))
    return Filled(rows, counts)


class _Unplaced:
    """Decides what was not started; the tallies are computed once per shape."""

    def __init__(self, policy: Policy, work: Work, gangs: Gangs, kept: Reservations) -> None:
        self._policy = policy
        self._kept = kept
        self._short = Shortages(kept.free())
        self._work = work
        self._gangs = gangs.waiting
        self._known: dict[Shape, tuple[type[Wait] | type[Reject], tuple[Tally, ...]]] = {}
        # Hashing a Shape costs more than looking at its address.
        self._by_address: dict[int, tuple[type[Wait] | type[Reject], tuple[Tally, ...]]] = {}

    def decide(self, request: TaskRequest) -> Decision:
        kind, reasons = self._explained(request.shape)
        if kind is Reject:
            return Reject(request.id, reasons)
        reservation = self._kept.made.get(request.id)
        if request.gang is None:
            return Wait(request.id, reasons, None, reservation)
        waiting = self._gangs[request.gang.id]
        for group in waiting.team.groups:
            if self._explained(group.shape)[0] is Reject:
                culprit = self._work.requests[int(group.members[0])].id
                return Reject(request.id, (), because_of=culprit)
        reasons = waiting.reasons.get(request.shape, ())
        return Wait(request.id, reasons, waiting.counts, reservation)

    def _explained(self, shape: Shape) -> tuple[type[Wait] | type[Reject], tuple[Tally, ...]]:
        known = self._by_address.get(id(shape))
        if known is None:
            known = self._known.get(shape) or self._explain(shape)
            self._known[shape] = self._by_address[id(shape)] = known
        return known

    def _explain(self, shape: Shape) -> tuple[type[Wait] | type[Reject], tuple[Tally, ...]]:
        constraints = self._work.constraints
        if self._work.largest.size and not constraints.could(shape):
            return Reject, constraints.why_never(shape)
        reasons = constraints.why_waiting(shape, self._short.of(shape))
        reasons += barred(self._policy, shape, constraints)
        withheld = self._kept.withheld(shape)
        return Wait, (*reasons, Tally(Reason.RESERVED, withheld)) if withheld else reasons
