"""What is asked for: a TaskRequest is one task to place, a Shape is everything placement needs to
know of it.

Requests of equal Shape are interchangeable to the packer and are placed as one group.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NewType

RequestId = NewType("RequestId", str)
GangId = NewType("GangId", str)

CPU, MEMORY, GPU, ENI = range(4)
DIMENSIONS = ("CPU", "MEMORY", "GPU", "ENI")
"""Names of the resource dimensions, in the order of every resource vector.

CPU in CPU units (1024 to a vCPU), MEMORY in MiB, GPU in whole devices, ENI in task network
interfaces. Scalars that users define (`Shape.scalars`) follow them, in the order of their names.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The part of a request that decides where it may run; hashable, so that equal requests
    group.

    `required_attributes` are (name, value) pairs; value None asks only for the attribute's
    presence, as `requiresAttributes` of a task definition does. `member_of` are expressions of the
    cluster query language that must all hold. `group` is the task group; with `distinct_instance`
    a task goes only where no other of its group is. As in ECS that binds the task that asks for it:
    others of the group, which do not ask, may come to it later. `image` names what it runs, for
    policies that like warm instances. `scalars` are amounts of what users define themselves and
    ECS does not know (licences, disk, bandwidth), by name.
    """

    cpu_units: int = 0
    memory_mib: int = 0
    gpus: int = 0
    enis: int = 0
    ports_tcp: frozenset[int] = frozenset()
    ports_udp: frozenset[int] = frozenset()
    required_attributes: frozenset[tuple[str, str | None]] = frozenset()
    member_of: tuple[str, ...] = ()
    group: str | None = None
    distinct_instance: bool = False
    image: str | None = None
    scalars: frozenset[tuple[str, int]] = frozenset()
    over: tuple[str, ...] = ()
    """Names of the scalars that `demand` ranges over; `place` sets it for a batch that has any."""

    @property
    def demand(self) -> tuple[int, ...]:
        """The resource vector, in the order of DIMENSIONS, then of `over`."""
        four = (self.cpu_units, self.memory_mib, self.gpus, self.enis)
        return (*four, *self.amounts(self.over)) if self.over else four

    def amounts(self, names: Sequence[str]) -> tuple[int, ...]:
        """How much is asked for of these scalars."""
        asked = dict(self.scalars)
        return tuple(asked.get(name, 0) for name in names)


@dataclass(frozen=True, slots=True)
class Gang:
    """Requests that start together or not at all: every one of the `size` members names it.

    Members may differ in shape. The gang is served at the lowest of their priorities, and waits
    while fewer than `size` of them are in the batch.
    """

    id: GangId
    size: int


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One task to place; higher `priority` first, then lower `order` (the order of submission).

    `lasts_s` is how long after its start it will have ended at the latest; None: nobody knows.
    """

    id: RequestId
    shape: Shape
    priority: int = 0
    order: int = field(default=0)
    gang: Gang | None = None
    lasts_s: int | None = None
