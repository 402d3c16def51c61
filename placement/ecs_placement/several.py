"""One batch under several policies: each part is placed by its own, on the room that is left.

Higher priority still goes strictly first, whichever policy it is under; within a priority the
policy whose requests come first.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ecs_placement.batch import place
from ecs_placement.plan import Decision, Plan, Start
from ecs_placement.policy import Policy
from ecs_placement.request import GangId, RequestId, TaskRequest
from ecs_placement.snapshot import Instance, Snapshot


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that are placed by one policy, with a budget for the thorough gear."""

    policy: Policy
    requests: tuple[TaskRequest, ...]
    budget_s: float = 0.0


def place_parts(parts: Sequence[Part], snapshot: Snapshot) -> Plan:
    """Decide every request of every part, in their order; raises InvalidRequest.

    A gang is placed whole, by the policy of its first member and at its lowest priority.
    """
    if len(parts) == 1:
        only = parts[0]
        return place(only.requests, snapshot, only.policy, budget_s=only.budget_s)
    decided: dict[RequestId, Decision] = {}
    shared = sum(len(part.requests) for part in parts)
    for number, requests in _turns(parts):
        part = parts[number]
        budget_s = part.budget_s * len(requests) / max(shared, 1)
        plan = place(requests, snapshot, part.policy, budget_s=budget_s)
        decided.update((each.request_id, each) for each in plan.decisions)
        snapshot = after(plan, requests, snapshot)
    return Plan(tuple(decided[request.id] for part in parts for request in part.requests))


def _turns(parts: Sequence[Part]) -> list[tuple[int, list[TaskRequest]]]:
    """The number of the part and what is placed of it at once, in turn."""
    home: dict[GangId, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for request in part.requests:
            if request.gang is not None:
                first, lowest = home.get(request.gang.id, (number, request.priority))
                home[request.gang.id] = (first, min(lowest, request.priority))
    turns: defaultdict[tuple[int, int], list[TaskRequest]] = defaultdict(list)
    for number, part in enumerate(parts):
        for request in part.requests:
            own = (number, request.priority)
            at, priority = own if request.gang is None else home[request.gang.id]
            turns[-priority, at].append(request)
    ordered = sorted(
        turns.items(), key=lambda turn: (turn[0][0], min(r.order for r in turn[1]), turn[0][1])
    )
    return [(number, requests) for (_, number), requests in ordered]


def after(plan: Plan, requests: Sequence[TaskRequest], snapshot: Snapshot) -> Snapshot:
    """The snapshot once everything that the plan starts runs there."""
    by_id = {request.id: request.shape for request in requests}
    changed: dict[str, Instance] = {}
    for decision in plan.decisions:
        if not isinstance(decision, Start):
            continue
        shape = by_id[decision.request_id]
        row = snapshot.row_of[decision.instance_id]
        before = changed.get(decision.instance_id, snapshot.instances[row])
        free = [left - asked for left, asked in zip(before.free, shape.demand, strict=True)]
        groups: Mapping[str, int] = before.facts.tasks_by_group
        if shape.group is not None:
            groups = {**groups, shape.group: groups.get(shape.group, 0) + 1}
        facts = replace(
            before.facts, running_tasks=before.facts.running_tasks + 1, tasks_by_group=groups
        )
        changed[decision.instance_id] = replace(
            before,
            free=(free[0], free[1], free[2], free[3]),
            ports_tcp_used=before.ports_tcp_used | shape.ports_tcp,
            ports_udp_used=before.ports_udp_used | shape.ports_udp,
            facts=facts,
        )
    return snapshot.updated(changed.values()) if changed else snapshot
