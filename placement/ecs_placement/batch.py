"""The batched decision: `place` packs requests of one shape at once, as one group.

Order: higher priority strictly first; within a priority larger shapes first (best-fit decreasing),
then earlier `order`. Pure: the same requests, snapshot and policy give the same Plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.chains import Chain
from ecs_placement.errors import InvalidRequest
from ecs_placement.feasible import Constraints, ports_of
from ecs_placement.plan import Decision, Plan, Reject, Start, Tally, Wait
from ecs_placement.policy import DEFAULT_POLICY, Policy
from ecs_placement.query import parse
from ecs_placement.request import DIMENSIONS, Shape, TaskRequest
from ecs_placement.room import Filled, Room
from ecs_placement.snapshot import Snapshot

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests of one shape and priority: `members` are positions in the batch, in the order they
    are served.
    """

    shape: Shape
    members: Ints


@dataclass(frozen=True, slots=True)
class _Placed:
    """Per request of the batch: its row (-1: none) and the share of that row in use afterwards."""

    rows: Ints
    scores: Floats


def place(
    requests: Sequence[TaskRequest], snapshot: Snapshot, policy: Policy = DEFAULT_POLICY
) -> Plan:
    """Decide every request: exactly one Start, Wait or Reject each, in the order given; raises
    InvalidRequest.

    A request is rejected only when no registered instance, whatever its availability, could take
    it even when empty. The reasons of a Wait describe what is left once everything this plan
    starts is running.
    """
    weights = _weights(snapshot, policy)
    groups = _grouped(requests, weights)
    constraints = Constraints(snapshot)
    room = Room(snapshot.free, weights)
    placed = _Placed(np.full(len(requests), -1, dtype=np.int64), np.zeros(len(requests)))
    largest = np.maximum(np.maximum(snapshot.total, snapshot.free) @ weights, 1e-12)
    work = _Work(room, constraints, Chain(policy, constraints.columns), placed, largest)
    for group in groups:
        _place_group(group, work, chained=bool(policy.strategies))
    unplaced = _Unplaced(snapshot, constraints, room)
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


def _weights(snapshot: Snapshot, policy: Policy) -> Floats:
    """The score's weight of one unit of each dimension: a share of the largest instance's total."""
    weights: Floats = np.array(policy.weights, dtype=np.float64)
    if not len(snapshot):
        return weights
    weights /= np.maximum(snapshot.total.max(axis=0), 1)
    return weights


@dataclass(frozen=True, slots=True)
class _Work:
    """What a batch is packed with; `largest` is the weighted capacity of each row."""

    room: Room
    constraints: Constraints
    chain: Chain
    placed: _Placed
    largest: Floats


def _place_group(group: _Group, work: _Work, *, chained: bool) -> None:
    shape, room, placed = group.shape, work.room, work.placed
    eligible = work.constraints.eligible(shape)
    count = group.members.size
    once = bool(shape.ports_tcp or shape.ports_udp or shape.distinct_instance)
    if chained:
        filled = work.chain.take(shape, count, room, eligible, once_per_row=once)
    else:
        filled = room.take(shape.demand, count, eligible=eligible, once_per_row=once)
    if filled.rows.size == 0:
        return
    work.constraints.occupy(shape, filled.rows, filled.counts)
    members = group.members[: filled.placed]
    placed.rows[members] = np.repeat(filled.rows, filled.counts)
    left = np.repeat(room.score[filled.rows], filled.counts)
    left += _still_to_come(filled) * _weighted(shape.demand, room.weights)
    placed.scores[members] = 1.0 - left / work.largest[placed.rows[members]]


def _still_to_come(filled: Filled) -> Ints:
    """For each request of a group, how many more of it follow on the same row (3 on a row: 2, 1,
    0).
    """
    ends = np.cumsum(filled.counts)
    return np.repeat(ends, filled.counts) - np.arange(1, filled.placed + 1)


class _Unplaced:
    """Decides what was not started; the tallies are computed once per shape."""

    def __init__(self, snapshot: Snapshot, constraints: Constraints, room: Room) -> None:
        self._snapshot = snapshot
        self._constraints = constraints
        self._room = room
        self._known: dict[Shape, tuple[type[Wait] | type[Reject], tuple[Tally, ...]]] = {}

    def decide(self, request: TaskRequest) -> Decision:
        known = self._known.get(request.shape)
        if known is None:
            known = self._known[request.shape] = self._explain(request.shape)
        kind, reasons = known
        return kind(request.id, reasons)

    def _explain(self, shape: Shape) -> tuple[type[Wait] | type[Reject], tuple[Tally, ...]]:
        if len(self._snapshot) and not self._constraints.ever(shape).any():
            return Reject, self._constraints.why_never(shape)
        return Wait, self._constraints.why_waiting(shape, self._room.free)


def _grouped(requests: Sequence[TaskRequest], weights: Floats) -> list[_Group]:
    """The groups in the order they are packed."""
    if len({request.id for request in requests}) != len(requests):
        raise InvalidRequest(f"requests: id {_repeated(requests)!r} is given more than once")
    shapes, shape_of = _interned(requests)
    priority = np.array([request.priority for request in requests], dtype=np.int64)
    order = np.array([request.order for request in requests], dtype=np.int64)
    serve = np.lexsort((order, shape_of, -priority))
    groups: list[_Group] = []
    for members in np.split(serve, _starts(shape_of[serve], priority[serve])):
        if members.size:
            served = _ties_by_id(members, order, requests)
            groups.append(_Group(shapes[int(shape_of[members[0]])], served))
    sizes = {shape: _weighted(shape.demand, weights) for shape in shapes}

    def turn(group: _Group) -> tuple[object, ...]:
        first = group.members[0]
        return (-priority[first], -sizes[group.shape], order[first], _content(group.shape))

    return sorted(groups, key=turn)


def _weighted(demand: tuple[int, ...], weights: Floats) -> float:
    """Summed in the order of the dimensions, as the score is: equal sizes stay exactly equal."""
    size = 0.0
    for weight, asked in zip(weights.tolist(), demand, strict=True):
        size += weight * asked
    return size


def _starts(shape_of: Ints, priority: Ints) -> Ints:
    """Where a new group begins in the sorted batch."""
    return np.flatnonzero((np.diff(shape_of) != 0) | (np.diff(priority) != 0)) + 1


def _ties_by_id(members: Ints, order: Ints, requests: Sequence[TaskRequest]) -> Ints:
    """Among equal `order` the id decides, so that the plan does not depend on the order of the
    sequence.
    """
    if not (np.diff(order[members]) == 0).any():
        return members
    served = sorted(members.tolist(), key=lambda i: (requests[i].order, requests[i].id))
    return np.array(served, dtype=np.int64)


def _interned(requests: Sequence[TaskRequest]) -> tuple[list[Shape], Ints]:
    """The distinct shapes, and for each request the index of its own."""
    by_identity: dict[int, int] = {}  # hashing a Shape costs more than looking at its address
    by_value: dict[Shape, int] = {}
    index = np.empty(len(requests), dtype=np.int64)
    for position, request in enumerate(requests):
        known = by_identity.get(id(request.shape))
        if known is None:
            known = by_value.setdefault(request.shape, len(by_value))
            by_identity[id(request.shape)] = known
            if known == len(by_value) - 1:
                _validate(request)
        index[position] = known
    return list(by_value), index


def _content(shape: Shape) -> tuple[object, ...]:
    """A total order over shapes by what they are, for ties that neither size nor `order` settle."""
    attributes = sorted(
        (name, value is not None, value or "") for name, value in shape.required_attributes
    )
    rest = (shape.member_of, shape.group or "", shape.distinct_instance)
    return (shape.demand, ports_of(shape), attributes, rest)


def _validate(request: TaskRequest) -> None:
    shape = request.shape
    for dimension, asked in zip(DIMENSIONS, shape.demand, strict=True):
        if isinstance(asked, bool) or not isinstance(asked, int | np.integer):
            raise InvalidRequest(
                f"request {request.id!r}: {dimension} is {asked!r}, not an integer"
            )
        if asked < 0:
            raise InvalidRequest(f"request {request.id!r}: {dimension} = {asked} is negative")
        if asked >= _LARGEST:
            raise InvalidRequest(f"request {request.id!r}: {dimension} = {asked} is out of range")
    if shape.distinct_instance and shape.group is None:
        raise InvalidRequest(f"request {request.id!r}: distinct_instance needs a group")
    for text in shape.member_of:
        parse(text)
    for protocol, port in ports_of(shape):
        if not 1 <= port <= 65535:
            raise InvalidRequest(
                f"request {request.id!r}: host port {port}/{protocol} is not within 1..65535"
            )


def _repeated(requests: Sequence[TaskRequest]) -> str:
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            return request.id
        seen.add(request.id)
    raise AssertionError("called without a repeated id")
