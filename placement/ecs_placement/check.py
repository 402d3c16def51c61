"""The invariants of a plan, stated once and independently of how plans are made: `check` returns
every violation.

The service, the property tests and the simulator-driven tests all call it. An empty result means
the plan is sound.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.check_backfill import Held, delayed
from ecs_placement.columns import Columns
from ecs_placement.grouping import over_scalars
from ecs_placement.plan import NOTHING_RESERVED, Decision, Plan, Reject, Reserving, Start, Wait
from ecs_placement.policy import BEST_FIT, Policy, SkewLimit
from ecs_placement.query import parse
from ecs_placement.request import DIMENSIONS, Gang, Shape, TaskRequest
from ecs_placement.snapshot import Availability, Instance, Snapshot
from ecs_placement.violations import Broken, Violation

__all__ = ["Broken", "Violation", "check"]


def check(
    plan: Plan,
    requests: Sequence[TaskRequest],
    snapshot: Snapshot,
    policy: Policy = BEST_FIT,
    *,
    reserving: Reserving = NOTHING_RESERVED,
) -> tuple[Violation, ...]:
    """Every violation of the placement invariants, in a stable order; of the policy, its skew
    limits matter. `reserving` as given to `place`.
    """
    requests, snapshot = over_scalars(requests, snapshot)
    found = list(_not_once(plan, requests))
    if found:
        return tuple(found)
    by_id = {decision.request_id: decision for decision in plan.decisions}
    decided = [(request, by_id[request.id]) for request in requests]
    known = []
    for request, decision in decided:
        if isinstance(decision, Start):
            if decision.instance_id in snapshot.row_of:
                known.append((request, snapshot.row_of[decision.instance_id]))
            else:
                found.append(Violation(Broken.UNKNOWN_INSTANCE, decision.instance_id))
    found += _wrong_instances(known, snapshot)
    found += _outside(known, snapshot)
    held = Held.of(plan, requests)
    found += _not_distinct(known, snapshot, held)
    found += _overcommitted(known, snapshot)
    found += _ports_twice(known, snapshot)
    found += _gangs_split(decided)
    found += _wrongly_unplaced(decided, snapshot)
    found += _inverted(_unlimited(decided, policy), known, snapshot, held)
    found += _skewed(known, snapshot, policy)
    found += delayed(held, known, snapshot, reserving)
    return tuple(found)


_Started = list[tuple[TaskRequest, int]]


def _not_once(plan: Plan, requests: Sequence[TaskRequest]) -> Iterator[Violation]:
    asked = Counter(request.id for request in requests)
    answered = Counter(decision.request_id for decision in plan.decisions)
    for request_id in sorted(asked.keys() | answered.keys()):
        if asked[request_id] != 1 or answered[request_id] != 1:
            detail = f"asked {asked[request_id]} times, decided {answered[request_id]} times"
            yield Violation(Broken.NOT_ONCE, request_id, detail)


def _wrong_instances(started: _Started, snapshot: Snapshot) -> Iterator[Violation]:
    for request, row in started:
        instance = snapshot.instances[row]
        if instance.availability is not Availability.PLACEABLE:
            yield Violation(
                Broken.UNAVAILABLE, request.id, f"{instance.id} {instance.availability}"
            )
        if not _has_attributes(request.shape, instance):
            yield Violation(Broken.ATTRIBUTE, request.id, instance.id)


def _has_attributes(shape: Shape, instance: Instance) -> bool:
    return all(
        name in instance.attributes and value in (None, instance.attributes[name])
        for name, value in shape.required_attributes
    )


def _member_of(shape: Shape, snapshot: Snapshot) -> NDArray[np.bool_]:
    """Where the expressions hold that do not depend on what else is placed."""
    columns, mask = Columns(snapshot), np.ones(len(snapshot), dtype=np.bool_)
    for query in map(parse, shape.member_of):
        if not query.watches_groups:
            mask &= query.mask(columns)
    return mask


def _outside(started: _Started, snapshot: Snapshot) -> Iterator[Violation]:
    masks: dict[Shape, NDArray[np.bool_]] = {}
    for request, row in started:
        if request.shape.member_of:
            if request.shape not in masks:
                masks[request.shape] = _member_of(request.shape, snapshot)
            if not masks[request.shape][row]:
                yield Violation(Broken.MEMBER_OF, request.id, snapshot.instances[row].id)


def _not_distinct(started: _Started, snapshot: Snapshot, held: Held) -> Iterator[Violation]:
    """One that asks for a distinct instance must find none of its group there: none that runs, no
    other that asks for one, none of higher priority, which was there first. Others may follow it.
    """
    apart = [(request, row) for request, row in started if request.shape.distinct_instance]
    beside = _groups(apart, snapshot)
    before: dict[tuple[int, str], int] = {}
    for request, row in started:
        if request.shape.group is not None:
            place, level = (row, request.shape.group), held.level(request)
            before[place] = max(before.get(place, level), level)
    for request, row in apart:
        place = row, request.shape.group or ""
        if beside[place] > 1 or before[place] > held.level(request):
            yield Violation(Broken.DISTINCT, request.id, snapshot.instances[row].id)


def _groups(started: _Started, snapshot: Snapshot) -> Counter[tuple[int, str]]:
    """Tasks by instance and group, those running and those started."""
    tasks: Counter[tuple[int, str]] = Counter()
    for row, instance in enumerate(snapshot.instances):
        for group, number in instance.facts.tasks_by_group.items():
            tasks[row, group] += number
    for request, row in started:
        if request.shape.group is not None:
            tasks[row, request.shape.group] += 1
    return tasks


def _overcommitted(started: _Started, snapshot: Snapshot) -> Iterator[Violation]:
    used = _used(started, snapshot)
    for row, column in np.argwhere((used > 0) & (used > snapshot.free)).tolist():
        name = (*DIMENSIONS, *snapshot.scalars)[column]
        detail = f"{name}: {used[row, column]} started, {snapshot.free[row, column]} free"
        yield Violation(Broken.OVERCOMMIT, snapshot.instances[row].id, detail)


def _used(started: _Started, snapshot: Snapshot) -> NDArray[np.int64]:
    used = np.zeros_like(snapshot.free)
    demand = np.array([request.shape.demand for request, _ in started], dtype=np.int64)
    if started:
        np.add.at(used, [row for _, row in started], demand)
    return used


def _ports_twice(started: _Started, snapshot: Snapshot) -> Iterator[Violation]:
    taken = Counter(
        (row, protocol, port)
        for request, row in started
        for protocol, port in _ports(request.shape)
    )
    for (row, protocol, port), times in sorted(taken.items()):
        instance = snapshot.instances[row]
        if times > 1 or port in _ports_in_use(instance, protocol):
            yield Violation(Broken.PORT, instance.id, f"{port}/{protocol}")


def _ports(shape: Shape) -> Iterator[tuple[str, int]]:
    yield from (("tcp", port) for port in shape.ports_tcp)
    yield from (("udp", port) for port in shape.ports_udp)


def _ports_in_use(instance: Instance, protocol: str) -> frozenset[int]:
    return instance.ports_tcp_used if protocol == "tcp" else instance.ports_udp_used


def _gangs_split(decided: list[tuple[TaskRequest, Decision]]) -> Iterator[Violation]:
    started = Counter(
        request.gang
        for request, decision in decided
        if request.gang is not None and isinstance(decision, Start)
    )
    for gang, starting in started.items():
        if starting != gang.size:
            yield Violation(Broken.GANG_SPLIT, gang.id, f"{starting} of {gang.size} start")


def _wrongly_unplaced(
    decided: list[tuple[TaskRequest, Decision]], snapshot: Snapshot
) -> Iterator[Violation]:
    could: dict[Shape, bool] = {}
    for request, _ in decided:
        if request.shape not in could:
            could[request.shape] = not len(snapshot) or _ever(request.shape, snapshot)
    hopeless = {r.gang for r, _ in decided if r.gang is not None and not could[r.shape]}
    for request, decision in decided:
        ever = could[request.shape] and request.gang not in hopeless
        if isinstance(decision, Reject) and ever:
            yield Violation(Broken.WRONG_REJECT, request.id)
        if isinstance(decision, Wait) and not ever:
            yield Violation(Broken.WRONG_WAIT, request.id)


def _ever(shape: Shape, snapshot: Snapshot) -> bool:
    """Whether an instance could take the shape if it were empty."""
    inside = _member_of(shape, snapshot)
    return any(
        inside[row]
        and _has_attributes(shape, instance)
        and all(
            asked <= max(total, free)
            for asked, total, free in zip(shape.demand, *_room(instance, shape.over), strict=True)
            if asked
        )
        for row, instance in enumerate(snapshot.instances)
    )


def _room(instance: Instance, scalars: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """What is registered and what is free, scalars included."""
    known = [instance.scalars.get(name, (0, 0)) for name in scalars]
    return [*instance.total, *(t for t, _ in known)], [*instance.free, *(f for _, f in known)]


def _inverted(
    decided: list[tuple[TaskRequest, Decision]],
    started: _Started,
    snapshot: Snapshot,
    held: Held,
) -> Iterator[Violation]:
    """A waiting request must not fit beside what was started or reserved at its own priority and
    above, nor a gang of equal members whole. A gang counts at the lowest priority of its members.

    Expressions about task groups change as tasks are placed: such requests are left out.
    """
    lowest = held.lowest
    waiting = _waiting([each for each in decided if each[0].id not in held.ids], lowest)
    for priority in sorted({priority for priority, _, _ in waiting}, reverse=True):
        above = [(r, row) for r, row in started if held.level(r) >= priority]
        beside = _Beside(
            snapshot,
            snapshot.free - _used(above, snapshot) - held.asked(snapshot, priority),
            {(row, port) for request, row in above for port in _ports(request.shape)},
            _groups(above, snapshot),
            held.closed(snapshot, priority),
        )
        for (level, shape, size), about in waiting.items():
            rows = beside.first_fits(shape, size) if level == priority else None
            if rows is not None:
                on = ", ".join(snapshot.instances[row].id for row in rows)
                yield Violation(Broken.INVERTED, about, f"fits on {on}")


def _waiting(
    decided: list[tuple[TaskRequest, Decision]], lowest: dict[Gang, int]
) -> dict[tuple[int, Shape, int], str]:
    """By priority, shape and number that must start together: the id of what waits."""
    waiting: dict[tuple[int, Shape, int], str] = {}
    members: dict[Gang, list[Shape]] = {}
    for request, decision in decided:
        if not isinstance(decision, Wait) or any(
            parse(text).watches_groups for text in request.shape.member_of
        ):
            continue
        if request.gang is None:
            waiting.setdefault((request.priority, request.shape, 1), request.id)
        else:
            members.setdefault(request.gang, []).append(request.shape)
    for gang, shapes in members.items():
        if len(shapes) == gang.size and len(set(shapes)) == 1:
            waiting.setdefault((lowest[gang], shapes[0], gang.size), gang.id)
    return waiting


@dataclass(frozen=True, slots=True)
class _Beside:
    """The snapshot once some requests are started."""

    snapshot: Snapshot
    free: NDArray[np.int64]
    ports: set[tuple[int, tuple[str, int]]]
    groups: Counter[tuple[int, str]]
    closed: frozenset[int]

    def first_fits(self, shape: Shape, size: int) -> list[int] | None:
        """The first rows that could together take `size` more tasks of the shape."""
        demand = np.array(shape.demand)
        roomy = ((self.free >= demand) | (demand == 0)).all(axis=1)
        rows: list[int] = []
        for row in np.flatnonzero(roomy & _member_of(shape, self.snapshot)).tolist():
            instance = self.snapshot.instances[row]
            if (
                row not in self.closed
                and instance.availability is Availability.PLACEABLE
                and _has_attributes(shape, instance)
                and not (shape.distinct_instance and self.groups[row, shape.group or ""])
                and not any(self._taken(row, port) for port in _ports(shape))
            ):
                size -= self._times(shape, row, size)
                rows.append(row)
                if size <= 0:
                    return rows
        return None

    def _times(self, shape: Shape, row: int, most: int) -> int:
        """How many of the shape the row has room for, if it has room for one."""
        if shape.distinct_instance or any(_ports(shape)):
            return 1
        free: list[int] = self.free[row].tolist()
        room = zip(shape.demand, free, strict=True)
        return min([most, *(left // asked for asked, left in room if asked)])

    def _taken(self, row: int, port: tuple[str, int]) -> bool:
        in_use = _ports_in_use(self.snapshot.instances[row], port[0])
        return (row, port) in self.ports or port[1] in in_use


def _unlimited(
    decided: list[tuple[TaskRequest, Decision]], policy: Policy
) -> list[tuple[TaskRequest, Decision]]:
    """What a skew limit does not bind: the others may have to wait beside free room."""
    bound = bool(policy.limits)
    return [each for each in decided if not (bound and each[0].shape.group is not None)]


def _skewed(started: _Started, snapshot: Snapshot, policy: Policy) -> Iterator[Violation]:
    """The fewest only grow while a batch is placed: no place may end further above them."""
    shapes = {request.shape for request, _ in started if request.shape.group is not None}
    for limit in policy.limits:
        places = [_place_of(instance, limit) for instance in snapshot.instances]
        for shape in sorted(shapes, key=repr):
            tasks: Counter[str | None] = Counter()
            for (row, group), number in _groups(started, snapshot).items():
                if group == shape.group:
                    tasks[places[row]] += number
            inside = _member_of(shape, snapshot)
            among = {
                places[row]
                for row, instance in enumerate(snapshot.instances)
                if inside[row]
                and instance.availability is Availability.PLACEABLE
                and _has_attributes(shape, instance)
            } - {None}
            fewest = min((tasks[place] for place in among), default=0)
            for place in {places[row] for request, row in started if request.shape == shape}:
                if place is None or tasks[place] - fewest > limit.most:
                    detail = f"{limit.field} {place}: {tasks[place]}, fewest {fewest}"
                    yield Violation(Broken.SKEW, shape.group or "", detail)


def _place_of(instance: Instance, limit: SkewLimit) -> str | None:
    if not limit.field.startswith("attribute:"):
        return instance.id
    name = limit.field.removeprefix("attribute:")
    return (instance.attributes[name] or "") if name in instance.attributes else None
