"""One container instance of the model: ECS's last word, our promises, what we know of our tasks;
and how placement sees it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecs_placement.request import Shape
from ecs_placement.snapshot import Availability, Facts, Instance, InstanceId

if TYPE_CHECKING:
    from ecs_queue.job import JobId
    from ecs_queue.states import TaskArn
    from ecs_scheduler.cluster.scalars import Scalars
    from ecs_scheduler.ecs.container_instances import ContainerInstance

SHOWN_AFTER_S = 30.0
"""An answer asked for this long after a launch shows it, whatever its version says."""


@dataclass(slots=True)
class Promise:
    """Room promised to one job; `acknowledged_at` is when ECS accepted the launch, None before.

    From `certain_at` on, what ECS does not show was not launched, whoever settles it.
    """

    shape: Shape
    version: int
    certain_at: float
    acknowledged_at: float | None = None


@dataclass(slots=True)
class Row:
    """One instance: ECS's last word, our promises, and what we know of our tasks there: which hold
    a network interface, how many GPUs, in which task group.
    """

    seen: ContainerInstance
    promises: dict[JobId, Promise] = field(default_factory=dict)
    interfaces: set[TaskArn] = field(default_factory=set)
    gpus: dict[TaskArn, int] = field(default_factory=dict)
    groups: dict[TaskArn, str] = field(default_factory=dict)
    avoided_until: float = 0.0
    refused_until: dict[str, float] = field(default_factory=dict)
    interfaces_full: bool = False
    warm: set[str] = field(default_factory=set)


def shown(promise: Promise, version: int, asked_at: float) -> bool:
    """Whether an answer of this version, asked for at this time, contains the promised launch."""
    acknowledged_at = promise.acknowledged_at
    if acknowledged_at is None:
        return asked_at >= promise.certain_at
    if asked_at < acknowledged_at:
        return False
    return version > promise.version or asked_at >= acknowledged_at + SHOWN_AFTER_S


def _shown_gpus(row: Row) -> int:
    """GPUs that our tasks hold, less those still counted as promised."""
    promised = sum(
        promise.shape.gpus
        for promise in row.promises.values()
        if promise.acknowledged_at is not None
    )
    return max(0, sum(row.gpus.values()) - promised)


def not_refused(definition_arn: str) -> str:
    """The condition, in ECS's query language, on instances that don't refuse a task definition."""
    return f"attribute:{_mark(definition_arn)} !exists"


def _mark(definition_arn: str) -> str:
    return "ecs-scheduler.refused." + definition_arn.rpartition("/")[2].replace(":", ".")


def instance_of(row: Row, scalars: Scalars, now: float, *, bad: bool) -> Instance:
    """The instance as placement takes it, promises and refusals included."""
    seen = row.seen
    pending = [each.shape for each in row.promises.values() if each.acknowledged_at is None]
    refused = {_mark(each): None for each in row.refused_until}
    shapes = [promise.shape for promise in row.promises.values()]
    limit = seen.interface_limit
    pending_interfaces = sum(shape.enis for shape in pending)
    free_interfaces = 0 if row.interfaces_full else limit - len(row.interfaces) - pending_interfaces
    free_gpus = min(seen.remaining.gpus, seen.registered.gpus - _shown_gpus(row))
    return Instance(
        id=InstanceId(seen.arn),
        total=(
            seen.registered.cpu_units,
            seen.registered.memory_mib,
            seen.registered.gpus,
            limit,
        ),
        free=(
            seen.remaining.cpu_units - sum(shape.cpu_units for shape in shapes),
            seen.remaining.memory_mib - sum(shape.memory_mib for shape in shapes),
            free_gpus - sum(shape.gpus for shape in shapes),
            free_interfaces,
        ),
        ports_tcp_used=seen.remaining.ports_tcp.union(*(shape.ports_tcp for shape in shapes)),
        ports_udp_used=seen.remaining.ports_udp.union(*(shape.ports_udp for shape in shapes)),
        attributes={**seen.attributes, **refused} if refused else seen.attributes,
        facts=_facts(row),
        scalars=scalars.of(seen.arn, seen.attributes, pending),
        availability=Availability.AVOIDED if bad else _availability(row, now),
    )


def _facts(row: Row) -> Facts:
    """What constraints look at. Task groups are known of our own tasks only: ECS lists none."""
    pending = [
        promise.shape.group
        for promise in row.promises.values()
        if promise.shape.group is not None and promise.acknowledged_at is None
    ]
    groups = Counter([*row.groups.values(), *pending])
    return Facts(
        ec2_instance_id=row.seen.ec2_instance_id,
        agent_version=row.seen.agent_version,
        registered_at_s=row.seen.registered_at_s,
        running_tasks=row.seen.running_tasks,
        tasks_by_group=groups,
        warm=frozenset(row.warm),
    )


def _availability(row: Row, now: float) -> Availability:
    if row.seen.status != "ACTIVE":
        return Availability.DRAINING
    if not row.seen.agent_connected:
        return Availability.AGENT_DISCONNECTED
    if now < row.avoided_until:
        return Availability.AVOIDED
    return Availability.PLACEABLE
