"""What there is: the cluster at one moment, as arrays with one row per container instance."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import NewType, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecs_placement.errors import InvalidSnapshot
from ecs_placement.request import DIMENSIONS, Shape

InstanceId = NewType("InstanceId", str)
TaskId = NewType("TaskId", str)
Made = TypeVar("Made")

_LARGEST = 2**62  # differences of two stay within int64


class Availability(StrEnum):
    """Whether an instance may take new tasks, and why not."""

    PLACEABLE = "PLACEABLE"
    AGENT_DISCONNECTED = "AGENT_DISCONNECTED"
    DRAINING = "DRAINING"
    AVOIDED = "AVOIDED"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cluster query language and ECS's strategies look at besides attributes.

    `registered_at_s` is in seconds since 1970; `tasks_by_group` counts tasks that are to run, by
    their task group. None: not known, which no comparison matches. `warm` are the images that have
    run there; `trouble` is from 0 to 1: how much its tasks failed or were slow to stop.
    """

    ec2_instance_id: str | None = None
    agent_version: str | None = None
    registered_at_s: float | None = None
    running_tasks: int = 0
    tasks_by_group: Mapping[str, int] = field(default_factory=dict)
    warm: frozenset[str] = frozenset()
    trouble: float = 0.0


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that holds room on an instance.

    `ends_at_s` is when it will have ended at the latest, on the clock of `place`'s `now_s`; None:
    nobody knows, so nobody counts on it.
    """

    id: TaskId
    shape: Shape
    priority: int = 0
    ends_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One container instance as the service sees it; resource vectors are in the order of
    DIMENSIONS.

    `free` is what is registered less everything running or promised. It may be negative when ECS
    over-subscribed. Host ports that are in use are listed; all others are free. `running` lists the
    tasks of which more is known than the room they take; others may run there too. `scalars` are
    what users define themselves, by name: total and free.
    """

    id: InstanceId
    total: tuple[int, int, int, int]
    free: tuple[int, int, int, int]
    ports_tcp_used: frozenset[int] = frozenset()
    ports_udp_used: frozenset[int] = frozenset()
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    availability: Availability = Availability.PLACEABLE
    facts: Facts = field(default_factory=Facts)
    running: tuple[RunningTask, ...] = ()
    scalars: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Lasting:
    """What was worked out from ids, attributes and totals alone. Snapshots share it for as long as
    those stay the same: at 10,000 instances, reading all anew takes longer than placing.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, ...], object] = {}

    def get(self, key: tuple[Hashable, ...], kind: type[Made], make: Callable[[], Made]) -> Made:
        """What was made under this key before, or now; nobody may change it."""
        known = self._known.get(key)
        if not isinstance(known, kind):
            known = self._known[key] = make()
        return known


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The cluster at one moment; rows are sorted by instance id.

    `total` and `free` are int64[n, d] and read-only; their columns are DIMENSIONS, then the
    `scalars` by name. What an instance does not declare it has nothing of.
    """

    instances: tuple[Instance, ...]
    total: NDArray[np.int64]
    free: NDArray[np.int64]
    scalars: tuple[str, ...] = ()

    @classmethod
    def of(cls, instances: Iterable[Instance]) -> "Snapshot":
        """Sort `instances` by id and lay their resources out as arrays; raises InvalidSnapshot."""
        rows = tuple(sorted(instances, key=lambda instance: instance.id))
        for before, after in pairwise(rows):
            if before.id == after.id:
                raise InvalidSnapshot(f"instances: id {after.id!r} is given more than once")
        for instance in rows:
            _validate(instance)
        names = tuple(sorted({name for instance in rows for name in instance.scalars}))
        total = _frozen([_wide(instance.total, instance, names, 0) for instance in rows], names)
        free = _frozen([_wide(instance.free, instance, names, 1) for instance in rows], names)
        return cls(rows, total, free, names)

    def updated(self, changed: Iterable[Instance]) -> "Snapshot":
        """The same instances with some of them seen anew; costs as much as what changed, and one
        copy of the arrays. Raises InvalidSnapshot for an id that is not in here.
        """
        rows, total, free = list(self.instances), self.total.copy(), self.free.copy()
        names, alike = self.scalars, True
        placeable, groups = self.placeable.copy(), dict(self.groups)
        running = self.running.copy()
        for instance in changed:
            if not instance.scalars.keys() <= set(names):
                by_id = {each.id: each for each in (*rows, *changed)}
                return Snapshot.of(by_id.values())
            _validate(instance)
            row = self.row_of.get(instance.id)
            if row is None:
                raise InvalidSnapshot(f"instance {instance.id!r} is not in the snapshot")
            wide, known = (_wide(each.total, each, names, 0) for each in (instance, rows[row]))
            alike = alike and wide == known and instance.attributes == rows[row].attributes
            rows[row] = instance
            total[row] = wide
            free[row] = _wide(instance.free, instance, names, 1)
            placeable[row] = instance.availability is Availability.PLACEABLE
            running[row] = _runs(instance)
            groups.pop(row, None)
            if instance.facts.tasks_by_group:
                groups[row] = instance.facts.tasks_by_group
        for array in (total, free, placeable, running):
            array.setflags(write=False)
        updated = Snapshot(tuple(rows), total, free, names)
        # What cached_property would find.
        updated.__dict__.update(
            row_of=self.row_of, placeable=placeable, running=running, groups=groups
        )
        if alike:
            updated.__dict__["lasting"] = self.lasting
        return updated

    def having_free(self, free: NDArray[np.int64]) -> "Snapshot":
        """The same instances with these amounts free, int64[n, d]; the array becomes read-only."""
        free.setflags(write=False)
        other = Snapshot(self.instances, self.total, free, self.scalars)
        # What follows from the instances alone, and is looked at in every pass.
        other.__dict__.update(
            row_of=self.row_of,
            lasting=self.lasting,
            placeable=self.placeable,
            running=self.running,
            groups=self.groups,
        )
        return other

    def capped(self, most: NDArray[np.int64]) -> "Snapshot":
        """The same with no more than `most` [d] free anywhere; what is idle is idle still."""
        other = self.having_free(np.minimum(self.free, most))
        other.__dict__["idle"] = self.idle
        return other

    def over(self, names: tuple[str, ...]) -> "Snapshot":
        """The same with columns for these scalars besides its own, in the order of all names."""
        every = tuple(sorted({*self.scalars, *names}))
        if every == self.scalars:
            return self
        rows = self.instances
        total = np.zeros((len(rows), len(DIMENSIONS) + len(every)), dtype=np.int64)
        free = total.copy()
        known = [*range(len(DIMENSIONS)), *(4 + every.index(name) for name in self.scalars)]
        total[:, known], free[:, known] = self.total, self.free
        return Snapshot(rows, total, free, every)

    def demand(self, shape: Shape) -> NDArray[np.int64]:
        """int64[d]: what a task of the shape takes of each column."""
        four = (shape.cpu_units, shape.memory_mib, shape.gpus, shape.enis)
        return np.array((*four, *shape.amounts(self.scalars)), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.instances)

    @cached_property
    def placeable(self) -> NDArray[np.bool_]:
        """bool[n]: which instances may take new tasks at all."""
        mask = np.array(
            [i.availability is Availability.PLACEABLE for i in self.instances], dtype=np.bool_
        )
        mask.setflags(write=False)
        return mask

    @cached_property
    def running(self) -> NDArray[np.bool_]:
        """bool[n]: where anything runs, whatever it has reserved."""
        mask = np.array([_runs(instance) for instance in self.instances], dtype=np.bool_)
        mask.setflags(write=False)
        return mask

    @cached_property
    def idle(self) -> NDArray[np.bool_]:
        """bool[n]: where nothing runs and everything is free."""
        mask = ~self.running
        for free, total in zip(self.free.T, self.total.T, strict=True):
            mask &= free >= total
        mask.setflags(write=False)
        return mask

    @cached_property
    def groups(self) -> Mapping[int, Mapping[str, int]]:
        """How many tasks of each task group run on a row, for the rows where any does."""
        return {
            row: instance.facts.tasks_by_group
            for row, instance in enumerate(self.instances)
            if instance.facts.tasks_by_group
        }

    @cached_property
    def lasting(self) -> Lasting:
        """What follows from the ids, attributes and totals of the rows."""
        return Lasting()

    @cached_property
    def row_of(self) -> Mapping[InstanceId, int]:
        """The row of each instance id."""
        return {instance.id: row for row, instance in enumerate(self.instances)}


def _runs(instance: Instance) -> bool:
    return instance.facts.running_tasks > 0 or bool(instance.facts.tasks_by_group)


def _validate(instance: Instance) -> None:
    where = f"instance {instance.id!r}"
    for name, vector in (("total", instance.total), ("free", instance.free)):
        if len(vector) != len(DIMENSIONS):
            raise InvalidSnapshot(
                f"{where}: {name} has {len(vector)} entries, expected {len(DIMENSIONS)} "
                f"({', '.join(DIMENSIONS)})"
            )
        if not all(map(_is_plain, vector)):
            _validate_each(f"{where}: {name}", vector)
    for dimension, value in zip(DIMENSIONS, instance.total, strict=True):
        if value < 0:
            raise InvalidSnapshot(f"{where}: total {dimension} = {value} is negative")
    for name, (total, free) in instance.scalars.items():
        _validate_amount(f"{where}: total {name}", total)
        _validate_amount(f"{where}: free {name}", free)
        if total < 0:
            raise InvalidSnapshot(f"{where}: total {name} = {total} is negative")
    for port in sorted(instance.ports_tcp_used | instance.ports_udp_used):
        if not 0 <= port <= 65535:
            raise InvalidSnapshot(f"{where}: port {port} is not within 0..65535")


def _is_plain(value: int) -> bool:
    """What nearly all amounts are, told without a name for them."""
    return type(value) is int and -_LARGEST < value < _LARGEST


def _validate_each(what: str, vector: tuple[int, ...]) -> None:
    for dimension, value in zip(DIMENSIONS, vector, strict=True):
        _validate_amount(f"{what} {dimension}", value)


def _validate_amount(what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidSnapshot(f"{what} is {value!r}, not an integer")
    if abs(int(value)) >= _LARGEST:
        raise InvalidSnapshot(f"{what} = {value} is out of range")


def _wide(
    vector: tuple[int, ...], instance: Instance, names: tuple[str, ...], part: int
) -> tuple[int, ...]:
    """The vector with its scalars; `part` 0 is their total, 1 what is free."""
    if not names:
        return vector
    return (*vector, *(instance.scalars.get(name, (0, 0))[part] for name in names))


def _frozen(rows: list[tuple[int, ...]], names: tuple[str, ...]) -> NDArray[np.int64]:
    array = np.array(rows, dtype=np.int64).reshape(len(rows), len(DIMENSIONS) + len(names))
    array.setflags(write=False)
    return array
