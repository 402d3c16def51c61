"""A batch cut into what is packed as one: groups of equal requests, and gangs, which start whole
or not at all.

Also where a batch is validated, since each distinct shape is looked at once here.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ecs_placement.errors import InvalidRequest
from ecs_placement.feasible import ports_of
from ecs_placement.query import parse
from ecs_placement.request import DIMENSIONS, Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Snapshot

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class Group:
    """Requests of one shape and priority: `members` are positions in the batch, in the order they
    are served. Room is reserved for those that find none, if `reserve`.
    """

    shape: Shape
    members: Ints
    reserve: bool = False


@dataclass(frozen=True, slots=True)
class Team:
    """The members of a gang that are in the batch, by shape, in the order they are tried."""

    gang: Gang
    groups: tuple[Group, ...]
    reserve: bool = False

    @property
    def present(self) -> int:
        """How many members are here."""
        return sum(group.members.size for group in self.groups)


def grouped(
    requests: Sequence[TaskRequest], weights: Floats, reserved: Collection[RequestId] = ()
) -> list[Group | Team]:
    """The groups and teams in the order they are packed; raises InvalidRequest.

    Within a priority the `reserved` come first, then the larger, then the earlier.
    """
    if len({request.id for request in requests}) != len(requests):
        raise InvalidRequest(f"requests: id {_repeated(requests)!r} is given more than once")
    shapes, shape_of = _interned(requests)
    priority = np.array([request.priority for request in requests], dtype=np.int64)
    order = np.array([request.order for request in requests], dtype=np.int64)
    serve = np.lexsort((order, shape_of, -priority))
    gangs = [request.gang for request in requests]
    ganged = alone = np.zeros(len(requests), dtype=np.bool_)
    if reserved or gangs.count(None) < len(gangs):
        ganged = np.array([gang is not None for gang in gangs], dtype=np.bool_)
        alone = np.array([request.id in reserved for request in requests], dtype=np.bool_)
        alone &= ~ganged
        serve = serve[~(ganged | alone)[serve]]
    sizes = {shape: weighted(shape.demand, weights) for shape in shapes}
    turns: list[tuple[tuple[object, ...], Group | Team]] = []
    for members in np.split(serve, _starts(shape_of[serve], priority[serve])):
        if members.size:
            served = _ties_by_id(members, order, requests)
            group = Group(shapes[int(shape_of[members[0]])], served)
            rank = (-priority[served[0]], True, -sizes[group.shape], order[served[0]])
            turns.append(((*rank, 0, _content(group.shape)), group))
    for position in np.flatnonzero(alone).tolist():
        group = Group(shapes[shape_of[position]], np.array([position]), reserve=True)
        rank = (-priority[position], False, -sizes[group.shape], order[position])
        turns.append(((*rank, 2, requests[position].id), group))
    for gang, positions in _gangs(requests, np.flatnonzero(ganged)):
        reserve = any(requests[position].id in reserved for position in positions.tolist())
        team = Team(gang, _by_shape(positions, requests, sizes), reserve)
        size = sum(sizes[group.shape] * group.members.size for group in team.groups)
        rank = (-priority[positions].min(), not reserve, -size, order[positions].min())
        turns.append(((*rank, 1, gang.id), team))
    return [unit for _, unit in sorted(turns, key=lambda turn: turn[0])]


def asks_for_scalars(units: Sequence[Group | Team]) -> bool:
    """Whether any of them asks for what users define."""
    return any(
        group.shape.scalars
        for unit in units
        for group in (unit.groups if isinstance(unit, Team) else (unit,))
    )


def over_scalars(
    requests: Sequence[TaskRequest], snapshot: Snapshot
) -> tuple[Sequence[TaskRequest], Snapshot]:
    """Both over the same scalars, those that any instance has or any request asks for."""
    shapes = {id(request.shape): request.shape for request in requests}
    asked = {name for shape in shapes.values() for name, _ in shape.scalars}
    snapshot = snapshot.over(tuple(asked))
    names = snapshot.scalars
    if not names:
        return requests, snapshot
    wide = {known: replace(shape, over=names) for known, shape in shapes.items()}
    return [replace(each, shape=wide[id(each.shape)]) for each in requests], snapshot


def by_priority(
    units: Sequence[Group | Team], requests: Sequence[TaskRequest]
) -> Iterator[list[Group | Team]]:
    """Units in their order, cut where the priority changes; a gang has the lowest of its
    members."""

    def priority(unit: Group | Team) -> int:
        if isinstance(unit, Group):
            return requests[int(unit.members[0])].priority
        positions = (at for group in unit.groups for at in group.members.tolist())
        return int(min(requests[at].priority for at in positions))

    for _, members in groupby(units, key=priority):
        yield list(members)


def _gangs(requests: Sequence[TaskRequest], ganged: Ints) -> list[tuple[Gang, Ints]]:
    """Each gang with the positions of its members; raises InvalidRequest."""
    sizes: dict[GangId, Gang] = {}
    members: dict[GangId, list[int]] = {}
    for position in ganged.tolist():
        gang = requests[position].gang
        assert gang is not None
        where = f"request {requests[position].id!r}: gang {gang.id!r}"
        if isinstance(gang.size, bool) or not isinstance(gang.size, int) or gang.size < 1:
            raise InvalidRequest(f"{where} has size {gang.size!r}, expected 1 or more")
        if sizes.setdefault(gang.id, gang).size != gang.size:
            raise InvalidRequest(
                f"{where} has size {gang.size}, another member says {sizes[gang.id].size}"
            )
        members.setdefault(gang.id, []).append(position)
        if len(members[gang.id]) > gang.size:
            raise InvalidRequest(f"{where} has more members than its size {gang.size}")
    return [(sizes[each], np.array(found)) for each, found in members.items()]


def _by_shape(
    positions: Ints, requests: Sequence[TaskRequest], sizes: dict[Shape, float]
) -> tuple[Group, ...]:
    """A gang's members by shape, larger shapes first; last come those that depend on where the
    others are.
    """
    members: dict[Shape, list[int]] = {}
    for position in positions.tolist():
        members.setdefault(requests[position].shape, []).append(position)
    groups = [
        Group(shape, np.array(sorted(found, key=lambda i: (requests[i].order, requests[i].id))))
        for shape, found in members.items()
    ]
    return tuple(
        sorted(
            groups,
            key=lambda g: (watches_groups(g.shape), -sizes[g.shape], _content(g.shape)),
        )
    )


def watches_groups(shape: Shape) -> bool:
    """Whether the instances a shape may use change as others are placed."""
    return any(parse(text).watches_groups for text in shape.member_of)


def weighted(demand: tuple[int, ...], weights: Floats) -> float:
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
    rest = (shape.member_of, shape.group or "", shape.distinct_instance, shape.image or "")
    return (shape.demand, ports_of(shape), attributes, rest)


def _validate(request: TaskRequest) -> None:
    shape = request.shape
    if len(dict(shape.scalars)) < len(shape.scalars):
        twice = ", ".join(f"{name} = {asked}" for name, asked in sorted(shape.scalars))
        raise InvalidRequest(f"request {request.id!r}: a scalar is asked for twice: {twice}")
    _validate_amounts(request)
    if shape.distinct_instance and shape.group is None:
        raise InvalidRequest(f"request {request.id!r}: distinct_instance needs a group")
    for text in shape.member_of:
        parse(text)
    for protocol, port in ports_of(shape):
        if not 1 <= port <= 65535:
            raise InvalidRequest(
                f"request {request.id!r}: host port {port}/{protocol} is not within 1..65535"
            )


def _validate_amounts(request: TaskRequest) -> None:
    shape = request.shape
    dimensions = zip(DIMENSIONS, shape.demand, strict=False)
    for dimension, asked in [*dimensions, *sorted(shape.scalars)]:
        if isinstance(asked, bool) or not isinstance(asked, int | np.integer):
            raise InvalidRequest(
                f"request {request.id!r}: {dimension} is {asked!r}, not an integer"
            )
        if asked < 0:
            raise InvalidRequest(f"request {request.id!r}: {dimension} = {asked} is negative")
        if asked >= _LARGEST:
            raise InvalidRequest(f"request {request.id!r}: {dimension} = {asked} is out of range")


def _repeated(requests: Sequence[TaskRequest]) -> str:
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            return request.id
        seen.add(request.id)
    raise AssertionError("called without a repeated id")
