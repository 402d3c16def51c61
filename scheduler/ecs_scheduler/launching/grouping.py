"""Fuller calls: when the API budget limits a pass, equal jobs are dealt over ten instances.

Best fit piles equal jobs onto one instance after the other, but a StartTask call takes each once.
So they are placed again with room for only as many an instance as there are calls.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ecs_placement import place
from ecs_placement.plan import Decision, Plan, Start
from ecs_placement.snapshot import Snapshot
from ecs_scheduler.launching.launch_signature import MAX_TASKS_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from ecs_placement.policy import Policy
    from ecs_placement.request import RequestId, Shape, TaskRequest
    from ecs_placement.snapshot import InstanceId

REGROUPED_AT_ONCE = 3
"""Signatures placed again in a pass, the largest first; each costs one more call of `place`."""

UNBOUNDED = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Regrouped:
    """A plan whose calls are fuller; `left` have room too, but wait for the next calls."""

    plan: Plan
    left: tuple[RequestId, ...]


def regrouped(
    plan: Plan,
    requests: Sequence[TaskRequest],
    signature_of: Callable[[RequestId], Hashable],
    calls: int,
    again: tuple[Snapshot, Callable[[RequestId], Policy]],
) -> Regrouped:
    """The plan, with large groups of equal jobs spread so that `calls` calls start more of them.

    Unchanged where every Start can be made within `calls`, or where calls are full already. Jobs
    with host ports or distinct instances are spread by themselves and left alone; so are gangs,
    which start whole, and those of a policy with skew limits, which look at more than room.
    """
    snapshot, policy_of = again
    by_id = {request.id: request for request in requests}
    starts = {each.request_id: each for each in plan.decisions if isinstance(each, Start)}
    groups: defaultdict[Hashable, list[RequestId]] = defaultdict(list)
    for request_id in starts:
        groups[signature_of(request_id)].append(request_id)
    piles = {key: _piles(starts[each] for each in group) for key, group in groups.items()}
    if not calls or sum(_calls(each) for each in piles.values()) <= calls:
        return Regrouped(plan, ())
    left: set[RequestId] = set()
    largest = sorted(groups.values(), key=len, reverse=True)[:REGROUPED_AT_ONCE]
    for group in largest:
        before = piles[signature_of(group[0])]
        shape, gang = by_id[group[0]].shape, by_id[group[0]].gang
        policy = policy_of(group[0])
        uneven = len(before) < MAX_TASKS_PER_CALL < len(group) and gang is None
        if not uneven or _spread_anyway(shape, policy):
            continue
        first = [by_id[each] for each in group[: MAX_TASKS_PER_CALL * calls]]
        replaced = left.union(group)
        kept = [
            (each.instance_id, by_id[each.request_id].shape)
            for each in starts.values()
            if each.request_id not in replaced
        ]
        kept += [
            (each.instance_id, by_id[each.request_id].shape)
            for each in plan.reservations
            if each.instance_id is not None
        ]
        narrow = _capped(snapshot, kept, shape, calls)
        spread = [
            each for each in place(first, narrow, policy).decisions if isinstance(each, Start)
        ]
        if len(_piles(spread)) > len(before):
            starts.update((each.request_id, each) for each in spread)
            left |= set(group) - {each.request_id for each in spread}
    decisions: tuple[Decision, ...] = tuple(
        starts.get(each.request_id, each) for each in plan.decisions if each.request_id not in left
    )
    return Regrouped(replace(plan, decisions=decisions), tuple(sorted(left)))


def _spread_anyway(shape: Shape, policy: Policy) -> bool:
    limited = bool(policy.limits) or shape.distinct_instance
    return limited or bool(shape.ports_tcp or shape.ports_udp)


def _piles(starts: Iterable[Start]) -> Counter[InstanceId]:
    return Counter(each.instance_id for each in starts)


def _calls(piles: Counter[InstanceId]) -> int:
    return max(*piles.values(), -(-piles.total() // MAX_TASKS_PER_CALL))


def _capped(
    snapshot: Snapshot, kept: Iterable[tuple[InstanceId, Shape]], one: Shape, most: int
) -> Snapshot:
    """The snapshot less what is kept, with room for at most so many of `one` an instance."""
    free = snapshot.free.copy()
    for instance_id, shape in kept:
        free[snapshot.row_of[instance_id]] -= snapshot.demand(shape)
    demand = snapshot.demand(one)
    return snapshot.having_free(free).capped(np.where(demand > 0, demand * most, UNBOUNDED))
