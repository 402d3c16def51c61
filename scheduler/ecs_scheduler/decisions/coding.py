"""Placement's values as JSON and back, exactly: snapshots, requests, policies, plans, decisions.

Whatever is as by default is left out, so that old files stay readable when fields are added.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter

from ecs_placement.names import unknown
from ecs_placement.plan import NOTHING_RESERVED, Plan, Reject, Reservation, Reserving, Start, Wait
from ecs_placement.policy import BEST_FIT, Policy
from ecs_placement.request import TaskRequest
from ecs_placement.several import Part
from ecs_placement.snapshot import Instance, InstanceId, Snapshot


@dataclass(frozen=True, slots=True)
class Asked:
    """One part of a pass: requests under one policy, whose `filters` come last in the `member_of`
    of each. `policy` is its name and version.
    """

    policy: str
    requests: tuple[TaskRequest, ...]
    placement: Policy = BEST_FIT
    filters: tuple[str, ...] = ()
    budget_s: float = 0.0

    @property
    def part(self) -> Part:
        """As placement takes it."""
        return Part(self.placement, self.requests, self.budget_s)


@dataclass(frozen=True, slots=True)
class Decision:
    """One pass's placement: everything that went in, and what came out."""

    id: str
    at_ms: int
    asked: tuple[Asked, ...]
    snapshot: Snapshot
    plan: Plan
    reserving: Reserving = NOTHING_RESERVED


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """A plan by kinds, since what a Wait and a Reject hold looks alike; `order` has the first
    letter of each decision.
    """

    order: str
    starts: tuple[Start, ...] = ()
    waits: tuple[Wait, ...] = ()
    rejects: tuple[Reject, ...] = ()
    reservations: tuple[Reservation, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> "WrittenPlan":
        """The plan as it is written."""
        made = plan.decisions
        return cls(
            "".join(type(each).__name__[0] for each in made),
            tuple(each for each in made if isinstance(each, Start)),
            tuple(each for each in made if isinstance(each, Wait)),
            tuple(each for each in made if isinstance(each, Reject)),
            plan.reservations,
        )

    @property
    def plan(self) -> Plan:
        """The plan that was written; raises ValueError where `order` does not fit the decisions."""
        counts = tuple(map(len, (self.starts, self.waits, self.rejects)))
        if tuple(map(self.order.count, "SWR")) != counts or len(self.order) != sum(counts):
            raise ValueError(f"plan: order {self.order[:20]!r} does not name {counts} decisions")
        kinds: dict[str, Iterator[Start | Wait | Reject]] = {
            "S": iter(self.starts),
            "W": iter(self.waits),
            "R": iter(self.rejects),
        }
        return Plan(tuple(next(kinds[kind]) for kind in self.order), self.reservations)


@dataclass(frozen=True, slots=True)
class Line:
    """A decision as one line of the log: of the snapshot only what changed since the line before.
    The first line of a file is `whole`.
    """

    id: str
    at_ms: int
    asked: tuple[Asked, ...]
    plan: WrittenPlan
    changed: tuple[Instance, ...] = ()
    gone: tuple[InstanceId, ...] = ()
    reserving: Reserving = NOTHING_RESERVED
    whole: bool = False


INSTANCES = TypeAdapter(tuple[Instance, ...])
REQUESTS = TypeAdapter(tuple[TaskRequest, ...])
POLICY = TypeAdapter(Policy)
PLAN = TypeAdapter(WrittenPlan)
LINE = TypeAdapter(Line)


def snapshot_as_json(snapshot: Snapshot) -> bytes:
    """The instances of a snapshot."""
    return INSTANCES.dump_json(snapshot.instances, exclude_defaults=True)


def snapshot_of_json(data: bytes) -> Snapshot:
    """The same snapshot; raises ValueError (pydantic's) for what is none."""
    return Snapshot.of(INSTANCES.validate_json(data))


def plan_as_json(plan: Plan) -> bytes:
    """A plan to its last bit: floats are written so that they are read back exactly."""
    return PLAN.dump_json(WrittenPlan.of(plan))


def line_of_json(text: bytes) -> Line:
    """A line of the log; raises ValueError for what is none, with the field. One that is not known
    is never passed over: misspelt, it would leave another decision behind than was made.
    """
    line = LINE.validate_json(text)
    for path, name, known in _not_known(json.loads(text), LINE.dump_python(line, mode="json")):
        raise ValueError(f"{'.'.join((*path, name))}: {unknown('field', name, sorted(known))}")
    return line


def _not_known(
    written: object, read: object, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, frozenset[str]]]:
    """Fields that were written and not read: where, their name, and the names there are."""
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            if name not in read:
                yield path, name, frozenset(read)
            else:
                yield from _not_known(value, read[name], (*path, name))
    elif isinstance(written, list) and isinstance(read, list):
        for number, (one, other) in enumerate(zip(written, read, strict=False)):
            yield from _not_known(one, other, (*path, str(number)))
