"""Which instances may take a shape at all, as boolean masks over the rows of a Snapshot, and why
the others may not.

Masks of attributes and ports are computed once per distinct requirement and kept for the batch.
"""

import numpy as np
from numpy.typing import NDArray

from ecs_placement.plan import Reason, Tally
from ecs_placement.request import Shape
from ecs_placement.snapshot import Availability, Snapshot

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Attribute = tuple[str, str | None]
Port = tuple[str, int]

RESOURCE_REASONS = (Reason.CPU, Reason.MEMORY, Reason.GPU, Reason.ENI)
"""The reason for each dimension, in the order of DIMENSIONS."""

_UNAVAILABLE = (
    (Availability.AGENT_DISCONNECTED, Reason.AGENT),
    (Availability.DRAINING, Reason.DRAINING),
    (Availability.AVOIDED, Reason.AVOIDED),
)


def ports_of(shape: Shape) -> list[Port]:
    """The host ports a shape needs, as (protocol, port), sorted."""
    tcp = [("tcp", port) for port in shape.ports_tcp]
    return sorted(tcp + [("udp", port) for port in shape.ports_udp])


class Constraints:
    """The masks of one snapshot; `occupy_ports` keeps the port masks true while a batch is
    packed.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._attributes: dict[Attribute, Bools] = {}
        self._port_taken: dict[Port, Bools] = {}

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

    def occupy_ports(self, shape: Shape, rows: Ints) -> None:
        """Mark the shape's host ports as taken on `rows`."""
        for port in ports_of(shape):
            self.port_taken(port)[rows] = True

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
        for allowed in (self.attributes(shape), self.ports_free(shape)):
            if allowed is not None:
                mask = mask & allowed
        return mask

    def ever(self, shape: Shape) -> Bools:
        """bool[n]: rows that could take the shape if they were empty, whatever their
        availability.

        A port in use never excludes: what holds it may end. Where more is free than registered,
        free counts.
        """
        largest = np.maximum(self._snapshot.total, self._snapshot.free)
        mask: Bools = np.all(largest >= np.array(shape.demand), axis=1)
        allowed = self.attributes(shape)
        return mask if allowed is None else mask & allowed

    def why_waiting(self, shape: Shape, free: Ints) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape; `free` is int64[d, n]."""
        tallies = _shortages(shape, free)
        ports = self.ports_free(shape)
        if ports is not None:
            tallies.append(Tally(Reason.PORTS, int(np.count_nonzero(~ports))))
        tallies.append(self._missing_attributes(shape))
        for availability, reason in _UNAVAILABLE:
            tallies.append(Tally(reason, self._unavailable(availability)))
        return tuple(tally for tally in tallies if tally.instances)

    def why_never(self, shape: Shape) -> tuple[Tally, ...]:
        """Tallies of what keeps each row from taking the shape even when empty."""
        largest = np.maximum(self._snapshot.total, self._snapshot.free).T
        tallies = [*_shortages(shape, largest), self._missing_attributes(shape)]
        return tuple(tally for tally in tallies if tally.instances)

    def _missing_attributes(self, shape: Shape) -> Tally:
        has = self.attributes(shape)
        return Tally(Reason.ATTRIBUTE, 0 if has is None else int(np.count_nonzero(~has)))

    def _unavailable(self, availability: Availability) -> int:
        if self._snapshot.placeable.all():
            return 0
        return sum(i.availability is availability for i in self._snapshot.instances)


def _shortages(shape: Shape, free: Ints) -> list[Tally]:
    tallies = []
    for asked, reason, room in zip(shape.demand, RESOURCE_REASONS, free, strict=True):
        short = room[room < asked] if asked > 0 else room[:0]
        if short.size:
            tallies.append(Tally(reason, short.size, int(asked - short.max())))
    return tallies
