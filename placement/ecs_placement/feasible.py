"""Which instances may take a shape at all, as boolean masks over the rows of a Snapshot, and why
the others may not.

Masks of attributes and ports are computed once per distinct requirement and kept for the batch.
"""

from collections.abc import Sequence
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
        self._attributes: dict[Attribute, Bools] = {}
        self._queries: dict[str, Bools] = {}
        self._port_taken: dict[Port, Bools] = {}
        self.barriers: list[Barrier] = []

    def attributes(self, shape: Shape) -> Bools | None:
        """bool[n]: rows that have every required attribute; None when none is required."""
        mask: Bools | None = None
        for required in sorted(shape.required_attributes, key=repr):
            if required not in self._attributes:
                self._attributes[required] = self._having(required)
            has = self._attributes[required]
            mask = has if mask is None else mask & has
        return mask

    def _having(self, required: Attribute) -> Bools:
        name, value = required
        return np.array(
            [
                name in instance.attributes
                and (value is None or instance.attributes[name] == value)
                for instance in self._snapshot.instances
            ],
            dtype=np.bool_,
        )

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

    def ever(self, shape: Shape) -> Bools:
        """bool[n]: rows that could take the shape if they were empty, whatever their
        availability.

        A port in use never excludes: what holds it may end. Where more is free than registered,
        free counts.
        """
        largest = np.maximum(self._snapshot.total, self._snapshot.free)
        mask: Bools = np.all(largest >= np.array(shape.demand), axis=1)
        for allowed in (self.attributes(shape), self.member_of(shape, ever=True)):
            if allowed is not None:
                mask = mask & allowed
        return mask

    def why_waiting(self, shape: Shape, free: Ints) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape; `free` is int64[d, n]."""
        tallies = _shortages(shape, free)
        tallies += [
            _failing(Reason.PORTS, self.ports_free(shape)),
            _failing(Reason.ATTRIBUTE, self.attributes(shape)),
            _failing(Reason.MEMBER_OF, self.member_of(shape)),
            _failing(Reason.DISTINCT, self.apart(shape)),
        ]
        for availability, reason in UNAVAILABLE:
            tallies.append(Tally(reason, self._unavailable(availability)))
        return tuple(tally for tally in tallies if tally.instances)

    def why_never(self, shape: Shape) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape even when empty."""
        largest = np.maximum(self._snapshot.total, self._snapshot.free).T
        tallies = _shortages(shape, largest)
        tallies.append(_failing(Reason.ATTRIBUTE, self.attributes(shape)))
        tallies.append(_failing(Reason.MEMBER_OF, self.member_of(shape, ever=True)))
        return tuple(tally for tally in tallies if tally.instances)

    def _unavailable(self, availability: Availability) -> int:
        if self._snapshot.placeable.all():
            return 0
        return sum(i.availability is availability for i in self._snapshot.instances)


def _failing(reason: Reason, allowed: Bools | None) -> Tally:
    return Tally(reason, 0 if allowed is None else int(np.count_nonzero(~allowed)))


def _shortages(shape: Shape, free: Ints) -> list[Tally]:
    tallies = []
    for asked, (reason, name), room in zip(shape.demand, causes(shape.over), free, strict=True):
        short = room[room < asked] if asked > 0 else room[:0]
        if short.size:
            tallies.append(Tally(reason, short.size, int(asked - short.max()), name))
    return tallies
