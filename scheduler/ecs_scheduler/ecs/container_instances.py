"""Container instances as ECS describes them, parsed into resource vectors.

Resources are read by their `type`, because ECS leaves unused value members out or zero. PORTS and
PORTS_UDP are inverted: they list the ports that are taken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ecs_queue.states import InstanceArn
from ecs_scheduler.ecs.wire import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from types_aiobotocore_ecs.type_defs import ContainerInstanceTypeDef, ResourceOutputTypeDef

UNKNOWN_TYPE_INTERFACES = 2
"""Tasks with an own network interface that an instance of an unknown type is trusted with: what
the smallest common types take.
"""

TRUNK_ATTRIBUTE = "ecs.awsvpc-trunk-id"
TYPE_ATTRIBUTE = "ecs.instance-type"


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """One of an instance's two resource lists; the port sets are those that are taken."""

    cpu_units: int
    memory_mib: int
    gpus: int
    ports_tcp: frozenset[int]
    ports_udp: frozenset[int]


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    """One container instance at one `version`; a higher version is the newer news."""

    arn: InstanceArn
    version: int
    status: str
    agent_connected: bool
    registered: ResourceSet
    remaining: ResourceSet
    attributes: Mapping[str, str | None]
    pending_tasks: int
    running_tasks: int = 0
    ec2_instance_id: str | None = None
    agent_version: str | None = None
    registered_at_s: float | None = None

    @property
    def interface_limit(self) -> int:
        """How many tasks with their own network interface fit, by instance type and trunking.

        Source: "Amazon EC2 instance network interfaces for Amazon ECS tasks", developer guide. The
        capability to trunk does not count: only an instance that has a trunk carries the trunk's
        attribute.
        """
        limits = _interface_limits().get(self.attributes.get(TYPE_ATTRIBUTE) or "")
        if limits is None:
            return UNKNOWN_TYPE_INTERFACES
        plain, with_trunk = limits
        return with_trunk if TRUNK_ATTRIBUTE in self.attributes else plain


@cache
def _interface_limits() -> dict[str, tuple[int, int]]:
    table = json.loads(files("ecs_scheduler").joinpath("eni_limits.json").read_text())
    return {
        f"{family}.{size}": (plain, with_trunk)
        for family, sizes in table.items()
        for size, (plain, with_trunk) in sizes.items()
    }


def parse_container_instance(raw: ContainerInstanceTypeDef) -> ContainerInstance:
    """A container instance from a DescribeContainerInstances answer."""
    return ContainerInstance(
        arn=InstanceArn(raw.get("containerInstanceArn", "")),
        version=raw.get("version", 0),
        status=raw.get("status", ""),
        agent_connected=raw.get("agentConnected", False),
        registered=_parse_resources(raw.get("registeredResources") or ()),
        remaining=_parse_resources(raw.get("remainingResources") or ()),
        attributes={
            attribute["name"]: attribute.get("value") for attribute in raw.get("attributes") or ()
        },
        pending_tasks=raw.get("pendingTasksCount", 0),
        running_tasks=raw.get("runningTasksCount", 0),
        ec2_instance_id=raw.get("ec2InstanceId"),
        agent_version=(raw.get("versionInfo") or {}).get("agentVersion"),
        registered_at_s=seconds(raw.get("registeredAt")),
    )


def _parse_resources(raw: Iterable[ResourceOutputTypeDef]) -> ResourceSet:
    numbers: dict[str, int] = {}
    sets: dict[str, list[str]] = {}
    for resource in raw:
        name, kind = resource.get("name", ""), resource.get("type")
        if kind == "INTEGER":
            numbers[name] = int(resource.get("integerValue", 0))
        elif kind == "STRINGSET":
            sets[name] = resource.get("stringSetValue", [])
        elif kind == "LONG":
            numbers[name] = int(resource.get("longValue", 0))
        elif kind == "DOUBLE":
            numbers[name] = int(resource.get("doubleValue", 0.0))
    return ResourceSet(
        cpu_units=numbers.get("CPU", 0),
        memory_mib=numbers.get("MEMORY", 0),
        gpus=len(sets.get("GPU", ())),
        ports_tcp=frozenset(map(int, sets.get("PORTS", ()))),
        ports_udp=frozenset(map(int, sets.get("PORTS_UDP", ()))),
    )
