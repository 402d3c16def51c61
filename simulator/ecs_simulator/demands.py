"""What a launch is: a task definition with overrides applied, what it reserves and which attributes
it requires.

The reservation rule is the agent's Task.ToHostResources: task-level figures first, else the sum
over containers, where memoryReservation goes before memory.
"""

import json
from collections.abc import Mapping
from typing import Any

from ecs_simulator.containers import SimulatedContainers
from ecs_simulator.errors import invalid_parameter, serialization_error
from ecs_simulator.fields import Request, integer, struct, structs, text, texts
from ecs_simulator.records import ContainerSpec, Demand, TaskDefinition, Work
from ecs_simulator.resources import ALL_GPUS

MAX_OVERRIDES = 8192
MAX_REMEMBERED = 1024


def work_of(request: Request, definition: TaskDefinition, containers: SimulatedContainers) -> Work:
    """What the request's tasks run and reserve; its `overrides` are refused as AWS would."""
    overrides = struct(request, "overrides")
    key = json.dumps(overrides, separators=(",", ":")) if overrides else ""
    known = definition.works.get(key)
    if known is not None:
        return known
    if len(key) > MAX_OVERRIDES:
        raise invalid_parameter(f"Container Overrides length must be at most {MAX_OVERRIDES}")
    _check_overrides(overrides, definition)
    specs = container_specs(definition, overrides, containers)
    demand = demand_of(definition, specs, task_size(definition, overrides))
    work = Work(
        containers=specs,
        shown=tuple(_shown_container(spec) for spec in specs),
        demand=demand,
        overrides=_shown_overrides(definition, overrides),
        cpu=str(demand.cpu_units),
        memory=str(demand.memory_mib),
        images=frozenset(spec.image for spec in specs),
        run_s=_fixed_run_s(specs),
        exit_codes=tuple(spec.behaviour.exit_code for spec in specs),
        has_ports=any(spec.ports for spec in specs),
        dynamic_ports=sum(port[1] == 0 for spec in specs for port in spec.ports),
    )
    if len(definition.works) >= MAX_REMEMBERED:
        definition.works.clear()
    definition.works[key] = work
    return work


def _fixed_run_s(specs: tuple[ContainerSpec, ...]) -> tuple[float, ...] | None:
    said = [spec.behaviour.run_s for spec in specs]
    return tuple(run_s for run_s in said if run_s is not None) if None not in said else None


def _check_overrides(overrides: Request, definition: TaskDefinition) -> None:
    names = {item["name"] for item in definition.document["containerDefinitions"]}
    for item in structs(overrides, "containerOverrides"):
        name = text(item, "name")
        if name not in names:
            raise invalid_parameter(
                f"Override for container named {name} is not a container in the TaskDefinition."
            )
        for member in ("cpu", "memory", "memoryReservation"):
            if integer(item, member, 0) < 0:
                raise invalid_parameter(f"Override {member} must not be negative.")
        texts(item, "command")
        _environment(item)
        gpus_required(item)


def _shown_container(spec: ContainerSpec) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": spec.name,
        "image": spec.image,
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "cpu": str(spec.cpu_units),
    }
    if spec.memory_mib is not None:
        shape["memory"] = str(spec.memory_mib)
    if spec.reservation_mib is not None:
        shape["memoryReservation"] = str(spec.reservation_mib)
    return shape


def _shown_overrides(definition: TaskDefinition, overrides: Mapping[str, Any]) -> dict[str, Any]:
    changed = {item["name"]: item for item in overrides.get("containerOverrides") or ()}
    containers = [
        changed.get(item["name"], {"name": item["name"]})
        for item in definition.document["containerDefinitions"]
    ]
    return {
        "inferenceAcceleratorOverrides": [],
        **overrides,
        "containerOverrides": containers,
    }


def _environment(item: Request) -> dict[str, str]:
    pairs = structs(item, "environment")
    return {str(pair.get("name")): str(pair.get("value", "")) for pair in pairs}


def gpus_required(item: Request) -> int:
    """The GPUs of a container's resourceRequirements; ALL_GPUS for the value ALL."""
    for requirement in structs(item, "resourceRequirements"):
        if requirement.get("type") != "GPU":
            continue
        value = text(requirement, "value") or ""
        if value == "ALL":
            return ALL_GPUS
        if not value.isdigit() or int(value) < 1:
            raise invalid_parameter(f"Invalid GPU resource requirement value: {value}")
        return int(value)
    return 0


def container_specs(
    definition: TaskDefinition, overrides: Mapping[str, Any], containers: SimulatedContainers
) -> tuple[ContainerSpec, ...]:
    """The definition's containers with the overrides applied."""
    changes = {item["name"]: item for item in overrides.get("containerOverrides") or ()}
    return tuple(
        _spec(item, changes.get(item["name"]) or {}, containers)
        for item in definition.document["containerDefinitions"]
    )


def _spec(
    defined: Mapping[str, Any], change: Mapping[str, Any], containers: SimulatedContainers
) -> ContainerSpec:
    def effective(name: str) -> Any:
        value = change.get(name)
        return defined.get(name) if value is None else value

    command = [*(defined.get("entryPoint") or ()), *(effective("command") or ())]
    environment = {**_environment(defined), **_environment(change)}
    requires = change if change.get("resourceRequirements") else defined
    return ContainerSpec(
        name=defined["name"],
        image=defined["image"],
        essential=defined.get("essential", True),
        cpu_units=effective("cpu") or 0,
        memory_mib=effective("memory"),
        reservation_mib=effective("memoryReservation"),
        gpus=gpus_required(requires),
        ports=tuple(
            (port["containerPort"], port.get("hostPort") or 0, port.get("protocol", "tcp"))
            for port in defined.get("portMappings") or ()
        ),
        stop_timeout_s=defined.get("stopTimeout"),
        behaviour=containers.behaviour(command, environment),
    )


def task_size(definition: TaskDefinition, overrides: Mapping[str, Any]) -> tuple[int, int]:
    """Task-level CPU units and MiB after overrides; 0 where there is none."""
    document = definition.document
    cpu, memory = overrides.get("cpu"), overrides.get("memory")
    return (
        cpu_units(cpu) if cpu else int(document.get("cpu") or 0),
        memory_mib(memory) if memory else int(document.get("memory") or 0),
    )


def demand_of(
    definition: TaskDefinition, specs: tuple[ContainerSpec, ...], size: tuple[int, int]
) -> Demand:
    """What ECS counts on the instance for one task."""
    awsvpc = definition.document.get("networkMode") == "awsvpc"
    fixed = [
        (port, protocol)
        for spec in specs
        for _, port, protocol in spec.ports
        if port and not awsvpc
    ]
    gpus = [spec.gpus for spec in specs]
    return Demand(
        cpu_units=size[0] or sum(spec.cpu_units for spec in specs),
        memory_mib=size[1] or sum(spec.reservation_mib or spec.memory_mib or 0 for spec in specs),
        gpus=ALL_GPUS if ALL_GPUS in gpus else sum(gpus),
        enis=1 if awsvpc else 0,
        ports_tcp=frozenset(port for port, protocol in fixed if protocol == "tcp"),
        ports_udp=frozenset(port for port, protocol in fixed if protocol == "udp"),
    )


def cpu_units(value: str) -> int:
    """CPU units of `1024`, `1 vCPU` or `.5 vcpu`."""
    return _sized(value, "cpu", ("vcpu",))


def memory_mib(value: str) -> int:
    """MiB of `1024`, `1GB` or `0.5 gb`."""
    return _sized(value, "memory", ("gb",))


def _sized(value: object, member: str, units: tuple[str, ...]) -> int:
    if not isinstance(value, str):
        raise serialization_error(f"{member}: expected string, got {type(value).__name__}")
    number, factor = value.strip().lower(), 1
    for unit in units:
        if number.endswith(unit):
            number, factor = number.removesuffix(unit).strip(), 1024
    try:
        size = float(number) * factor
    except ValueError:
        size = -1.0
    if not 0 < size < 2**40 or size != int(size):
        raise invalid_parameter(f"Invalid '{member}' setting for task: {value}")
    return int(size)
