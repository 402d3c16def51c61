"""What a task will reserve on its instance: task definition ⊕ overrides → Shape.

The rule is the ECS agent's `Task.ToHostResources`: the task level counts first, else the sum of the
containers; of a container's memory the soft limit counts before the hard one.
"""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from typing import TYPE_CHECKING, Any

from ecs_placement.request import DIMENSIONS, Shape
from ecs_scheduler.errors import InvalidReservation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_queue.stored import AnyOverrides

MOST = 2**31 - 1
"""ECS counts resources in 32 bits (API model: Integer)."""

UNITS_PER_VCPU = 1024
MIB_PER_GB = 1024
CPU_TEXT = re.compile(r"^\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(vcpu)?\s*$", re.IGNORECASE)
MEMORY_TEXT = re.compile(r"^\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(gb)?\s*$", re.IGNORECASE)
COUNT_TEXT = re.compile(r"^[0-9]{1,6}$")
SCALAR_LABEL = "ecs-scheduler.resource."
SCALAR_TEXT = re.compile(r"^[0-9]{1,18}$")
ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


def shape_of(definition: Mapping[str, Any], overrides: AnyOverrides) -> Shape:
    """The Shape of one task of this task definition (as DescribeTaskDefinition answers it) with
    these overrides.

    Raises InvalidReservation when the overrides name a container that does not exist, or ask for
    what ECS cannot count.
    """
    shape = _shape(definition, overrides)
    for dimension, amount in zip(DIMENSIONS, shape.demand, strict=True):
        if amount > MOST:
            raise InvalidReservation(
                f"the task would reserve {amount} of {dimension}, more than any instance has"
            )
    return shape


def _shape(definition: Mapping[str, Any], overrides: AnyOverrides) -> Shape:
    containers = list(_overridden(definition, overrides))
    own_interface = definition.get("networkMode") == "awsvpc"
    ports = [] if own_interface else [port for each in containers for port in _host_ports(each)]
    return Shape(
        cpu_units=_task_cpu(definition, overrides)
        or sum(each.get("cpu") or 0 for each in containers),
        memory_mib=_task_memory(definition, overrides)
        or sum(each.get("memoryReservation") or each.get("memory") or 0 for each in containers),
        gpus=sum(_gpus(each) for each in containers),
        enis=int(own_interface),
        ports_tcp=frozenset(port for port, protocol in ports if protocol == "tcp"),
        ports_udp=frozenset(port for port, protocol in ports if protocol == "udp"),
        required_attributes=frozenset(_required_attributes(definition)),
    )


def scalars_of(
    definition: Mapping[str, Any], resources: Mapping[str, int]
) -> frozenset[tuple[str, int]]:
    """What the task holds of users' resources: the containers' labels, summed, unless the job says
    otherwise; 0 asks for none. Raises InvalidReservation.
    """
    amounts: Counter[str] = Counter()
    for container in definition.get("containerDefinitions", ()):
        for label, text in (container.get("dockerLabels") or {}).items():
            if label.startswith(SCALAR_LABEL):
                if not SCALAR_TEXT.match(text):
                    raise InvalidReservation(
                        f"container {container['name']!r}: label {label} is {text!r}; "
                        "expected a whole number"
                    )
                amounts[label.removeprefix(SCALAR_LABEL)] += int(text)
    amounts.update({name: amount - amounts[name] for name, amount in resources.items()})
    return frozenset((name, amount) for name, amount in amounts.items() if amount)


def essential_containers(definition: Mapping[str, Any]) -> frozenset[str]:
    """Names of the containers whose exit ends the task; a container is essential unless it says
    otherwise.
    """
    return frozenset(
        each["name"]
        for each in definition.get("containerDefinitions", ())
        if each.get("essential", True)
    )


def _overridden(
    definition: Mapping[str, Any], overrides: AnyOverrides
) -> Iterable[Mapping[str, Any]]:
    """The container definitions with the members that count for the reservation replaced by
    their overrides.
    """
    definitions = {each["name"]: each for each in definition.get("containerDefinitions", ())}
    replaced: dict[str, dict[str, Any]] = {}
    for override in overrides.container_overrides:
        if override.name not in definitions:
            raise InvalidReservation(
                f"overrides.containerOverrides names container {override.name!r}, but the task "
                f"definition has {', '.join(map(repr, definitions)) or 'none'}"
            )
        replaced[override.name] = override.as_ecs()
    for name, each in definitions.items():
        yield ChainMap(replaced.get(name, {}), each)


def _task_cpu(definition: Mapping[str, Any], overrides: AnyOverrides) -> int:
    return _quantity("cpu", overrides.cpu or definition.get("cpu"), CPU_TEXT, UNITS_PER_VCPU)


def _task_memory(definition: Mapping[str, Any], overrides: AnyOverrides) -> int:
    text = overrides.memory or definition.get("memory")
    return _quantity("memory", text, MEMORY_TEXT, MIB_PER_GB)


def _quantity(member: str, text: str | None, pattern: re.Pattern[str], unit: int) -> int:
    """ECS's string quantities: "1024" and "1 vCPU" are the same, as are "2048" and "2GB"; none
    at all is 0.
    """
    if not text:
        return 0
    match = pattern.match(text)
    if match is None:
        raise InvalidReservation(f"overrides.{member} is {text!r}; expected a number of units")
    number, named_unit = match.groups()
    return round(float(number) * unit) if named_unit else int(float(number))


def _host_ports(container: Mapping[str, Any]) -> Iterable[tuple[int, str]]:
    """The static host ports; 0 or none asks for a dynamic one, which reserves nothing."""
    for mapping in container.get("portMappings", ()):
        if port := mapping.get("hostPort"):
            yield port, mapping.get("protocol", "tcp")


def _gpus(container: Mapping[str, Any]) -> int:
    total = 0
    for requirement in container.get("resourceRequirements") or ():
        if requirement["type"] != "GPU":
            continue
        if not COUNT_TEXT.match(requirement["value"]):
            raise InvalidReservation(
                f"container {container['name']!r} asks for {requirement['value']!r} GPUs; "
                "only a whole number can be placed"
            )
        total += int(requirement["value"])
    return total


def _required_attributes(definition: Mapping[str, Any]) -> Iterable[tuple[str, str | None]]:
    for attribute in definition.get("requiresAttributes", ()):
        yield attribute["name"], attribute.get("value")
    platform = definition.get("runtimePlatform") or {}
    architecture = ARCHITECTURES.get(platform.get("cpuArchitecture", ""))
    if architecture is not None:
        yield "ecs.cpu-architecture", architecture
    family = platform.get("operatingSystemFamily", "")
    if family:
        yield "ecs.os-type", "linux" if family == "LINUX" else "windows"
