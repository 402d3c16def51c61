"""Which instances may take a shape at all, as boolean masks over the rows of a Snapshot, and why
the others may not.

Masks of attributes and ports are computed once per distinct requirement and kept for the batch.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecs_placement.columns import Columns
from ecs_placement.plan import Reason, Tally
from ecs_placement.query import parse
from ecs_placement.request import Shape
from ecs_placement.snapshot import Availability, Snapshot

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Attribute = tuple[str, str | None]
Port = tuple[str, int]

RESOURCE_REASONS = (Reason.CPU, Reason.MEMORY, Reason.GPU, Reason.ENI)
"""The reason for each dimension, in the order of DIMENSIONS."""


FEW = 8
"""How often something is computed afresh before it is worth preparing for many more."""


def causes(scalars: Sequence[str]) -> list[tuple[Reason, str]]:
    """The reason for each column, with the name where it is a scalar's."""
    four = [(reason, "") for reason in RESOURCE_REASONS]
    return [*four, *((Reason.SCALAR, name) for name in scalars)]


UNAVAILABLE = (
    (Availability.AGENT_DISCONNECTED, Reason.AGENT),
    (Availability.DRAINING, Reason.DRAINING),
    (Availability.AVOIDED, Reason.AVOIDED),
)
"""The reason for each state in which an instance takes no tasks."""


def ports_of(shape: Shape) -> list[Port]:
    """The host ports a shape needs, as (protocol, port), sorted."""
    tcp = [("tcp", port) for port in shape.ports_tcp]
    return sorted(tcp + [("udp", port) for port in shape.ports_udp])


class Barrier(Protocol):
    """A row that some shapes must keep off, for the sake of another request."""

    row: int

    def bars(self, shape: Shape) -> bool:
        """Whether the shape must keep off."""


class Constraints:
    """The masks of one snapshot; `occupy` keeps the port masks true while a batch is
    packed.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.columns = Columns(snapshot)
        self._queries: dict[str, Bools] = {}
        self._port_taken: dict[Port, Bools] = {}
        self.barriers: list[Barrier] = []
        self._rooms: dict[object, Ints] = {}
        self._counted: dict[object, Tally] = {}
        self._asked = 0

    def attributes(self, shape: Shape) -> Bools | None:
        """bool[n]: rows that have every required attribute; None when none is required."""
        mask: Bools | None = None
        for required in sorted(shape.required_attributes, key=repr):
            has = self._having(required)
            mask = has if mask is None else mask & has
        return mask

    def _having(self, required: Attribute) -> Bools:
        name, value = required

        def having() -> Bools:
            every = (instance.attributes for instance in self._snapshot.instances)
            mask = np.array(
                [name in of and (value is None or of[name] == value) for of in every],
                dtype=np.bool_,
            )
            mask.setflags(write=False)
            return mask

        return self._snapshot.lasting.get(("having", *required), np.ndarray, having)

    def port_taken(self, port: Port) -> Bools:
        """bool[n]: rows where the host port is in use, by what runs there or by this batch."""
        if port not in self._port_taken:
            protocol, number = port
            self._port_taken[port] = np.array(
                [
                    number in (i.ports_tcp_used if protocol == "tcp" else i.ports_udp_used)
                    for i in self._snapshot.instances
                ],
                dtype=np.bool_,
            )
        return self._port_taken[port]

    def occupy(self, shape: Shape, rows: Ints, counts: Ints) -> None:
        """Remember what starts on `rows`: the shape's host ports and its task group."""
        for port in ports_of(shape):
            self.port_taken(port)[rows] = True
        if shape.group is not None:
            self.columns.tasks_of(shape.group)[rows] += counts

    def release(self, shape: Shape, rows: Ints, counts: Ints) -> None:
        """Take an `occupy` back. Its ports were free before, or it had not been made."""
        for port in ports_of(shape):
            self.port_taken(port)[rows] = False
        if shape.group is not None:
            self.columns.tasks_of(shape.group)[rows] -= counts

    def member_of(self, shape: Shape, *, ever: bool = False) -> Bools | None:
        """bool[n]: rows for which every expression holds; None when there is none.

        With `ever`, expressions about task groups are left out: they may come to hold.
        """
        mask: Bools | None = None
        for text in shape.member_of:
            query = parse(text)
            if query.watches_groups:
                if ever:
                    continue
                holds = query.mask(self.columns)
            else:
                if text not in self._queries:
                    self._queries[text] = query.mask(self.columns)
                holds = self._queries[text]
            mask = holds if mask is None else mask & holds
        return mask

    def apart(self, shape: Shape) -> Bools | None:
        """bool[n]: rows without a task of the group, for shapes that ask for distinct instances."""
        if not shape.distinct_instance or shape.group is None:
            return None
        alone: Bools = self.columns.tasks_of(shape.group) == 0
        return alone

    def ports_free(self, shape: Shape) -> Bools | None:
        """bool[n]: rows where all of the shape's host ports are free; None when it needs none."""
        mask: Bools | None = None
        for port in ports_of(shape):
            free = ~self.port_taken(port)
            mask = free if mask is None else mask & free
        return mask

    def eligible(self, shape: Shape) -> Bools:
        """bool[n]: rows that every constraint except resources allows now."""
        mask: Bools = self._snapshot.placeable
        for allowed in (
            self.attributes(shape),
            self.ports_free(shape),
            self.member_of(shape),
            self.apart(shape),
            self._unbarred(shape),
        ):
            if allowed is not None:
                mask = mask & allowed
        return mask

    def possible(self, shape: Shape) -> Bools:
        """bool[n]: rows that take tasks at all and that the shape's constraints allow, whether or
        not they have room.
        """
        mask: Bools = self._snapshot.placeable
        for allowed in (self.attributes(shape), self.member_of(shape, ever=True)):
            if allowed is not None:
                mask = mask & allowed
        return mask

    def _unbarred(self, shape: Shape) -> Bools | None:
        barred = [barrier.row for barrier in self.barriers if barrier.bars(shape)]
        if not barred:
            return None
        mask = np.ones(len(self._snapshot), dtype=np.bool_)
        mask[barred] = False
        return mask

    @cached_property
    def _largest(self) -> Ints:
        """int64[d, n]: what an empty row has. Where more is free than registered, free counts."""
        return np.ascontiguousarray(np.maximum(self._snapshot.total, self._snapshot.free).T)

    @cached_property
    def _kinds(self) -> tuple[Ints, Ints]:
        """The distinct columns of `_largest`, int64[d, k], and the kind of each row."""
        rows = np.ascontiguousarray(self._largest.T)
        one = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
        _, first, kind = np.unique(one, return_index=True, return_inverse=True)
        return self._largest[:, first], kind.reshape(-1)

    def ever(self, shape: Shape) -> Bools:
        """bool[n]: rows that could take the shape if they were empty, whatever their
        availability. A port in use never excludes: what holds it may end.
        """
        mask = _enough(shape, self._largest)
        for allowed in (self.attributes(shape), self.member_of(shape, ever=True)):
            if allowed is not None:
                mask = mask & allowed
        return mask

    def could(self, shape: Shape) -> bool:
        """Whether any row could ever take the shape; after a few times only kinds of rows are
        looked at, of which there are few.
        """
        self._asked += 1
        if self._asked <= FEW or not len(self._snapshot):
            return bool(self.ever(shape).any())
        key = (shape.required_attributes, shape.member_of)
        if key not in self._rooms:
            largest, kind = self._kinds
            mask = np.ones(kind.size, dtype=np.bool_)
            for allowed in (self.attributes(shape), self.member_of(shape, ever=True)):
                if allowed is not None:
                    mask = mask & allowed
            self._rooms[key] = largest[:, np.unique(kind[mask])]
        return bool(_enough(shape, self._rooms[key]).any())

    def why_waiting(self, shape: Shape, short: list[Tally]) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape; `short` are those of resources."""
        tallies = [
            *short,
            _failing(Reason.PORTS, self.ports_free(shape)),
            self._failing(Reason.ATTRIBUTE, shape),
            self._failing(Reason.MEMBER_OF, shape),
            _failing(Reason.DISTINCT, self.apart(shape)),
            *self._unavailable,
        ]
        return tuple(tally for tally in tallies if tally.instances)

    def _failing(self, reason: Reason, shape: Shape) -> Tally:
        """Attributes and expressions, counted once for all shapes that ask for the same."""
        watched = reason is Reason.MEMBER_OF and any(
            parse(x).watches_groups for x in shape.member_of
        )
        key = shape.required_attributes if reason is Reason.ATTRIBUTE else shape.member_of
        if watched or key not in self._counted:
            by_attribute = reason is Reason.ATTRIBUTE
            allowed = self.attributes(shape) if by_attribute else self.member_of(shape)
            self._counted[key] = _failing(reason, allowed)
        return self._counted[key]

    def why_never(self, shape: Shape) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape even when empty."""
        tallies = shortages(shape, self._largest)
        tallies.append(_failing(Reason.ATTRIBUTE, self.attributes(shape)))
        tallies.append(_failing(Reason.MEMBER_OF, self.member_of(shape, ever=True)))
        return tuple(tally for tally in tallies if tally.instances)

    @cached_property
    def _unavailable(self) -> tuple[Tally, ...]:
        if self._snapshot.placeable.all():
            return ()
        states = Counter(instance.availability for instance in self._snapshot.instances)
        return tuple(Tally(reason, states[state]) for state, reason in UNAVAILABLE)


class Shortages:
    """What shapes lack in one room, int64[d, n] that does not change meanwhile: after a few times
    each column is sorted, and then looked up.
    """

    def __init__(self, free: Ints) -> None:
        self._free = free
        self._sorted: dict[int, list[int]] = {}
        self._asked = 0

    def of(self, shape: Shape) -> list[Tally]:
        """The tally of each resource of which some rows have too little."""
        self._asked += 1
        if self._asked <= FEW:
            return shortages(shape, self._free)
        tallies = []
        columns = zip(shape.demand, causes(shape.over), strict=True)
        for column, (asked, (reason, name)) in enumerate(columns):
            if asked > 0:
                if column not in self._sorted:
                    self._sorted[column] = np.sort(self._free[column]).tolist()
                room = self._sorted[column]
                short = bisect_left(room, asked)
                if short:
                    tallies.append(Tally(reason, short, asked - room[short - 1], name))
        return tallies


def _enough(shape: Shape, room: Ints) -> Bools:
    mask = np.ones(room.shape[1], dtype=np.bool_)
    for asked, column in zip(shape.demand, room, strict=True):
        if asked > 0:
            mask &= column >= asked
    return mask


def _failing(reason: Reason, allowed: Bools | None) -> Tally:
    return Tally(reason, 0 if allowed is None else int(np.count_nonzero(~allowed)))


def shortages(shape: Shape, free: Ints) -> list[Tally]:
    """The tally of each resource of which some rows have too little; `free` is int64[d, n]."""
    tallies = []
    for asked, (reason, name), room in zip(shape.demand, causes(shape.over), free, strict=True):
        short = room[room < asked] if asked > 0 else room[:0]
        if short.size:
            tallies.append(Tally(reason, short.size, int(asked - short.max()), name))
    return tallies
