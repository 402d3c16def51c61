"""One batch under several policies: each part is placed by its own, on the room that is left.

Higher priority still goes strictly first, whichever policy it is under; within a priority the
policy whose requests come first.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ecs_placement.batch import place
from ecs_placement.check import Violation, check
from ecs_placement.explanation import after
from ecs_placement.plan import (
    NOTHING_RESERVED,
    Decision,
    Plan,
    Reservation,
    Reserving,
)
from ecs_placement.policy import Policy
from ecs_placement.request import GangId, RequestId, TaskRequest
from ecs_placement.snapshot import Availability, Snapshot


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that are placed by one policy, with a budget for the thorough gear."""

    policy: Policy
    requests: tuple[TaskRequest, ...]
    budget_s: float = 0.0


def place_parts(
    parts: Sequence[Part], snapshot: Snapshot, reserving: Reserving = NOTHING_RESERVED
) -> Plan:
    """Decide every request of every part, in their order; raises InvalidRequest.

    A gang is placed whole, by the policy of its first member and at its lowest priority. Where room
    is kept for a request of one part, those that come after it stay off the whole instance.
    """
    decided: dict[RequestId, Decision] = {}
    kept: list[Reservation] = []
    turns = _turns(parts, reserving)
    for turn, (number, requests) in enumerate(turns, start=1):
        part = parts[number]
        budget_s = part.budget_s * len(requests) / max(len(part.requests), 1)
        own = _own(reserving, requests)
        plan = place(requests, snapshot, part.policy, budget_s=budget_s, reserving=own)
        decided.update((each.request_id, each) for each in plan.decisions)
        kept += plan.reservations
        if turn < len(turns):
            snapshot = left_by(plan, requests, snapshot)
    decisions = (decided[request.id] for part in parts for request in part.requests)
    return Plan(tuple(decisions), tuple(kept))


def check_parts(
    plan: Plan,
    parts: Sequence[Part],
    snapshot: Snapshot,
    reserving: Reserving = NOTHING_RESERVED,
) -> tuple[Violation, ...]:
    """Every violation of the invariants, each turn judged on what the ones before it left."""
    by_id = {decision.request_id: decision for decision in plan.decisions}
    found: list[Violation] = []
    for number, requests in _turns(parts, reserving):
        ids = {request.id for request in requests}
        turn = Plan(
            tuple(by_id[each.id] for each in requests if each.id in by_id),
            tuple(each for each in plan.reservations if each.request_id in ids),
        )
        own = _own(reserving, requests)
        found += check(turn, requests, snapshot, parts[number].policy, reserving=own)
        snapshot = left_by(turn, requests, snapshot)
    return tuple(found)


def _own(reserving: Reserving, requests: Sequence[TaskRequest]) -> Reserving:
    """What of it is for these requests."""
    if not reserving.reservations:
        return reserving
    ids = {request.id for request in requests}
    mine = tuple(each for each in reserving.reservations if each.request_id in ids)
    return replace(reserving, reservations=mine)


def _turns(parts: Sequence[Part], reserving: Reserving) -> list[tuple[int, list[TaskRequest]]]:
    """The number of the part and what is placed of it at once, in turn."""
    home: dict[GangId, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for request in part.requests:
            if request.gang is not None:
                first, lowest = home.get(request.gang.id, (number, request.priority))
                home[request.gang.id] = (first, min(lowest, request.priority))
    if len(parts) == 1:
        return [(0, list(parts[0].requests))]
    turns: defaultdict[tuple[int, int], list[TaskRequest]] = defaultdict(list)
    for number, part in enumerate(parts):
        for request in part.requests:
            own = (number, request.priority)
            at, priority = own if request.gang is None else home[request.gang.id]
            turns[-priority, at].append(request)

    def place_of(turn: tuple[tuple[int, int], list[TaskRequest]]) -> tuple[int, bool, int, int]:
        (negated, number), requests = turn
        kept = any(request.id in reserving.ids for request in requests)
        return negated, not kept, min(request.order for request in requests), number

    return [(number, requests) for (_, number), requests in sorted(turns.items(), key=place_of)]


def left_by(plan: Plan, requests: Sequence[TaskRequest], snapshot: Snapshot) -> Snapshot:
    """The snapshot once everything that the plan starts runs there, without the instances where
    it keeps room.
    """
    snapshot = after(plan, requests, snapshot)
    rows = [snapshot.row_of[r.instance_id] for r in plan.reservations if r.instance_id is not None]
    return snapshot.updated(
        replace(snapshot.instances[row], availability=Availability.AVOIDED) for row in rows
    )
