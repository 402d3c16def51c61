"""Why a request is placed where it is, or what keeps it from each instance and what would help:
`why` computes on demand what would cost too much for every request of a batch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecs_placement.batch import place
from ecs_placement.buckets import Buckets
from ecs_placement.columns import Columns
from ecs_placement.feasible import UNAVAILABLE, Constraints, causes
from ecs_placement.grouping import over_scalars
from ecs_placement.plan import Decision, Plan, Reason, Start, Tally
from ecs_placement.policy import BEST_FIT, Policy
from ecs_placement.query import parse
from ecs_placement.ranking import Ranked, ranking
from ecs_placement.request import Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TYPE_ATTRIBUTE = "ecs.instance-type"

_Cause = tuple[Reason, str]
"""A reason, and the name where it is a scalar's."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that one instance lacks: `short_by` in the dimension's unit, `detail` in words
    where it is no amount (the ports in use, the attributes that are missing, ...) or the scalar's
    name.
    """

    reason: Reason
    short_by: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Near:
    """An instance that almost fits, with all that it lacks."""

    instance_id: InstanceId
    instance_type: str
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the request that alone would make it fit now on so many instances: ask for
    `short_by` less of the resource, or drop the constraint. For what is the instance's own state
    (its agent, its draining), it is the instance that would have to change.
    """

    reason: Reason
    instances: int
    short_by: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class TypeFit:
    """How many instances of a known type there are, and how many of them would do if empty."""

    name: str
    instances: int
    would_do: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """One request against one cluster.

    `decision` is that of `place` for the request alone. `ranked` are the instances that fit now,
    the policy's choice first, then the runner-up. `tallies` count what keeps the others away;
    `nearest` are the best of them, least missing first; `changes` are those that help alone, the
    smallest first; `types` say where an empty instance would do.
    """

    decision: Decision
    ranked: tuple[Ranked, ...]
    tallies: tuple[Tally, ...]
    nearest: tuple[Near, ...]
    changes: tuple[Change, ...]
    types: tuple[TypeFit, ...]


def why(
    request: TaskRequest, snapshot: Snapshot, policy: Policy = BEST_FIT, *, most: int = 3
) -> Explanation:
    """Explain the request on the cluster as it is, with up to `most` instances of each kind.

    To explain it beside the others of its batch, give the snapshot `after` their plan. A gang is
    left out of account: members are explained one by one.
    """
    (alone,), over = over_scalars([replace(request, gang=None)], snapshot)
    faults = _Faults(alone.shape, Constraints(over), over, policy)
    return Explanation(
        decision=place([replace(request, gang=None)], snapshot, policy).decisions[0],
        ranked=ranking(request.shape, snapshot, policy, most=most),
        tallies=faults.tallies(),
        nearest=faults.nearest(most),
        changes=faults.changes(),
        types=faults.types(),
    )


def lacking(
    requests: Sequence[TaskRequest], name: InstanceId, snapshot: Snapshot, policy: Policy
) -> list[tuple[Lack, ...]]:
    """What keeps each request from one instance as it is; nothing where it fits."""
    instance = snapshot.instances[snapshot.row_of[name]]
    alike, alone = over_scalars(requests, Snapshot.of([instance]))
    constraints, every = Constraints(alone), Constraints(snapshot)
    found = []
    for request, wide in zip(requests, alike, strict=True):
        faults = _Faults(wide.shape, constraints, alone, policy)
        # How many tasks of a group are elsewhere, no instance shows by itself.
        within = _within_skew(request.shape, policy, every, len(snapshot))
        skewed = within is not None and not within[snapshot.row_of[name]]
        found.append(faults.at(0, Reason.SKEW if skewed else None))
    return found


def after(plan: Plan, requests: Sequence[TaskRequest], snapshot: Snapshot) -> Snapshot:
    """The cluster with everything that the plan starts. Its `runningTasksCount` stays as it is: a
    task that was just started is PENDING, and ECS does not count it yet.
    """
    shapes = {request.id: request.shape for request in requests}
    changed: dict[int, Instance] = {}
    for decision in plan.decisions:
        if isinstance(decision, Start):
            row = snapshot.row_of[decision.instance_id]
            instance = changed.get(row, snapshot.instances[row])
            changed[row] = _with(instance, shapes[decision.request_id])
    return snapshot.updated(changed.values())


def _with(instance: Instance, shape: Shape) -> Instance:
    four = (shape.cpu_units, shape.memory_mib, shape.gpus, shape.enis)
    cpu, memory, gpus, enis = (
        left - asked for left, asked in zip(instance.free, four, strict=True)
    )
    asked = dict(shape.scalars)
    scalars = {
        name: (total, free - asked.get(name, 0)) for name, (total, free) in instance.scalars.items()
    }
    groups = Counter(instance.facts.tasks_by_group)
    if shape.group is not None:
        groups[shape.group] += 1
    return replace(
        instance,
        free=(cpu, memory, gpus, enis),
        ports_tcp_used=instance.ports_tcp_used | shape.ports_tcp,
        ports_udp_used=instance.ports_udp_used | shape.ports_udp,
        scalars=scalars,
        facts=replace(instance.facts, tasks_by_group=groups),
    )


class _Faults:
    """What keeps each row from taking one task of a shape: a mask per reason, and for resources
    the shortage.
    """

    def __init__(
        self, shape: Shape, constraints: Constraints, snapshot: Snapshot, policy: Policy
    ) -> None:
        self._shape = shape
        self._snapshot = snapshot
        self._constraints = constraints
        self._masks: dict[_Cause, Bools] = {}
        self._short: dict[_Cause, Ints] = {}
        self._largest: dict[_Cause, int] = {}
        for column, (cause, asked) in enumerate(zip(causes(shape.over), shape.demand, strict=True)):
            short = asked - snapshot.free[:, column]
            if asked > 0:
                self._note(cause, short > 0)
                self._short[cause] = np.maximum(short, 0)
                self._largest[cause] = max(int(snapshot.total[:, column].max(initial=0)), asked)
        for reason, allowed in (
            (Reason.PORTS, constraints.ports_free(shape)),
            (Reason.ATTRIBUTE, constraints.attributes(shape)),
            (Reason.MEMBER_OF, constraints.member_of(shape)),
            (Reason.DISTINCT, constraints.apart(shape)),
            (Reason.SKEW, _within_skew(shape, policy, constraints, len(snapshot))),
        ):
            if allowed is not None:
                self._note((reason, ""), ~allowed)
        for availability, reason in UNAVAILABLE:
            self._note((reason, ""), np.array([i.availability is availability for i in self._rows]))

    def tallies(self) -> tuple[Tally, ...]:
        """Rows and the least shortage by reason, as a Wait has them."""
        return tuple(
            Tally(cause[0], int(np.count_nonzero(mask)), self._least(cause, mask), cause[1])
            for cause, mask in self._masks.items()
        )

    def nearest(self, most: int) -> tuple[Near, ...]:
        """The failing rows that lack fewest constraints, and of these the least room."""
        if not self._masks:
            return ()
        failing = np.flatnonzero(np.any(list(self._masks.values()), axis=0))
        broken = np.zeros(len(self._snapshot), dtype=np.int64)
        missing = np.zeros(len(self._snapshot))
        for cause, mask in self._masks.items():
            if cause in self._short:
                missing += self._short[cause] / self._largest[cause]
            else:
                broken += mask
        order = failing[np.lexsort((failing, missing[failing], broken[failing]))]
        return tuple(self._near(row) for row in order[:most].tolist())

    def changes(self) -> tuple[Change, ...]:
        """Reasons that are the only one somewhere; resources by the share that is missing first."""
        if not self._masks:
            return ()
        number = np.sum(list(self._masks.values()), axis=0)
        found = []
        for turn, (cause, mask) in enumerate(self._masks.items()):
            alone = mask & (number == 1)
            if alone.any():
                short_by = self._least(cause, alone)
                share = short_by / self._largest[cause] if cause in self._short else 2.0
                change = Change(cause[0], int(np.count_nonzero(alone)), short_by, cause[1])
                found.append((share, turn, change))
        return tuple(change for _, _, change in sorted(found, key=lambda each: each[:2]))

    def types(self) -> tuple[TypeFit, ...]:
        """Every known instance type, those that would do first."""
        ever = self._constraints.ever(self._shape)
        names = [_type_of(instance) for instance in self._rows]
        registered = Counter(names)
        fitting = Counter(name for name, fits in zip(names, ever.tolist(), strict=True) if fits)
        return tuple(
            TypeFit(name, registered[name], fitting[name])
            for name in sorted(registered, key=lambda name: (not fitting[name], name))
        )

    @property
    def _rows(self) -> tuple[Instance, ...]:
        return self._snapshot.instances

    def _note(self, cause: _Cause, mask: Bools) -> None:
        if mask.any():
            self._masks[cause] = mask

    def _least(self, cause: _Cause, mask: Bools) -> int:
        return int(self._short[cause][mask].min()) if cause in self._short else 0

    def _near(self, row: int) -> Near:
        instance = self._rows[row]
        return Near(instance.id, _type_of(instance), self.at(row))

    def at(self, row: int, besides: Reason | None = None) -> tuple[Lack, ...]:
        """All that one row lacks, and what it lacks besides."""
        lacks = [
            Lack(
                cause[0],
                int(self._short[cause][row]) if cause in self._short else 0,
                cause[1] or self._detail(cause[0], row),
            )
            for cause, mask in self._masks.items()
            if mask[row] and cause[0] is not besides
        ]
        if besides is not None:
            lacks.append(Lack(besides, 0, self._detail(besides, row)))
        return tuple(lacks)

    def _detail(self, reason: Reason, row: int) -> str:
        instance, shape = self._rows[row], self._shape
        if reason is Reason.PORTS:
            tcp = [f"{p}/tcp" for p in sorted(shape.ports_tcp & instance.ports_tcp_used)]
            udp = [f"{p}/udp" for p in sorted(shape.ports_udp & instance.ports_udp_used)]
            return ", ".join(tcp + udp)
        if reason is Reason.ATTRIBUTE:
            return ", ".join(_missing_attributes(shape, instance))
        if reason is Reason.MEMBER_OF:
            columns = Columns(self._snapshot)
            broken = (text for text in shape.member_of if not parse(text).mask(columns)[row])
            return " and ".join(broken)
        return shape.group or "" if reason in (Reason.DISTINCT, Reason.SKEW) else ""


def _missing_attributes(shape: Shape, instance: Instance) -> list[str]:
    return sorted(
        name if value is None else f"{name}={value}"
        for name, value in shape.required_attributes
        if name not in instance.attributes or value not in (None, instance.attributes[name])
    )


def _within_skew(shape: Shape, policy: Policy, constraints: Constraints, rows: int) -> Bools | None:
    if not policy.limits or shape.group is None:
        return None
    buckets = Buckets(policy, shape, np.arange(rows), constraints)
    allowed: Bools = buckets.allowed[buckets.code]
    return allowed


def _type_of(instance: Instance) -> str:
    return instance.attributes.get(TYPE_ATTRIBUTE) or "unknown"
