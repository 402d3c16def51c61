"""Container instances: register, deregister, list, describe, drain."""

import json
from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from ecs_simulator.errors import client_error, invalid_parameter
from ecs_simulator.fields import (
    Request,
    choice,
    flag,
    identifiers,
    included,
    page,
    page_limit,
    required_text,
    struct,
    structs,
    tags,
    text,
)
from ecs_simulator.fleet import InstanceType, instance_types
from ecs_simulator.names import InstanceArn, random_id
from ecs_simulator.query import parse_query
from ecs_simulator.records import STOPPED, Cluster, Instance
from ecs_simulator.region import Region, failure, find_instance
from ecs_simulator.shapes import fixed_shape, instance_shape

STATUSES = (
    "ACTIVE",
    "DRAINING",
    "REGISTERING",
    "DEREGISTERING",
    "REGISTRATION_FAILED",
)
_NUMBER = attrgetter("number")
_INCLUDES = ("TAGS", "CONTAINER_INSTANCE_HEALTH")


def _shape(region: Region, instance: Instance, include: list[str]) -> dict[str, Any]:
    return {**fixed_shape(instance), **_changing_shape(region, instance, include)}


def _changing_shape(region: Region, instance: Instance, include: list[str]) -> dict[str, Any]:
    all_gpus = region.options.undocumented.remaining_gpus == "all ids"
    return instance_shape(instance, all_gpus, include)


def add_instance(
    region: Region, cluster: Cluster, kind: InstanceType, attributes: Mapping[str, str | None]
) -> Instance:
    """Put a new ACTIVE instance of this size into the cluster; attributes complete the built-in
    ones."""
    number = region.next_number()
    identity = random_id(region.rng)
    zone = attributes.get("ecs.availability-zone") or f"{region.options.region}a"
    gpus = tuple(f"GPU-{identity[:8]}-{index:04d}" for index in range(kind.gpus))
    built_in: dict[str, str | None] = {
        "ecs.ami-id": "ami-0simulated",
        "ecs.availability-zone": zone,
        "ecs.cpu-architecture": kind.architecture,
        "ecs.instance-type": kind.name,
        "ecs.os-family": "LINUX",
        "ecs.os-type": "linux",
        "ecs.subnet-id": f"subnet-{zone}",
        "ecs.vpc-id": "vpc-simulated",
    }
    instance = Instance(
        arn=InstanceArn(region.names.arn(f"container-instance/{cluster.name}/{identity}")),
        id=identity,
        ec2_id=f"i-{identity[:17]}",
        number=number,
        cluster=cluster,
        type=kind,
        zone=zone,
        registered_at=region.now,
        attributes={**built_in, **attributes},
        gpu_ids=gpus,
        free_cpu=kind.cpu_units,
        free_memory=kind.memory_mib,
        free_gpus=list(gpus),
        free_enis=kind.awsvpc_tasks,
    )
    cluster.instances[identity] = instance
    region.agents.changed(instance, region.now)
    return instance


def register_container_instance(region: Region, request: Request) -> dict[str, Any]:
    """RegisterContainerInstance, as an agent calls it: any size by totalResources and
    platformDevices."""
    cluster = region.cluster(request)
    _check_quota(region, cluster)
    resources = {str(item.get("name")): item for item in structs(request, "totalResources")}
    attributes: dict[str, str | None] = dict.fromkeys(region.options.agent_capabilities)
    for item in structs(request, "attributes"):
        attributes[required_text(item, "name", "Attribute name")] = text(item, "value")
    devices = [
        required_text(device, "id", "Platform device id")
        for device in structs(request, "platformDevices")
        if device.get("type") == "GPU"
    ]
    name = attributes.get("ecs.instance-type") or "m5.xlarge"
    known = instance_types().get(name)
    trunking = "ecs.awsvpc-trunk-id" in attributes
    enis = (known.awsvpc_tasks_trunking if trunking else known.awsvpc_tasks) if known else 2
    kind = InstanceType(
        name=name,
        cpu_units=_amount(resources, "CPU", known.cpu_units if known else 0),
        memory_mib=_amount(resources, "MEMORY", known.memory_mib if known else 0),
        gpus=len(devices),
        awsvpc_tasks=enis,
        awsvpc_tasks_trunking=enis,
    )
    if kind.cpu_units <= 0 or kind.memory_mib <= 0:
        raise invalid_parameter("totalResources must contain CPU and MEMORY.")
    instance = add_instance(region, cluster, kind, attributes)
    if devices:
        instance.gpu_ids, instance.free_gpus = tuple(devices), list(devices)
    known_names = ("CPU", "MEMORY", "PORTS", "PORTS_UDP", "GPU")
    instance.user_resources = [
        dict(item) for item_name, item in resources.items() if item_name not in known_names
    ]
    instance.tags = tags(request)
    version = struct(request, "versionInfo").get("agentVersion")
    if isinstance(version, str):
        instance.agent_version = version
    return {"containerInstance": _shape(region, instance, ["TAGS"])}


def _check_quota(region: Region, cluster: Cluster) -> None:
    most = region.options.container_instances_quota
    if len(cluster.instances) < most:
        return
    if sum(one.status != "INACTIVE" for one in cluster.instances.values()) >= most:
        raise client_error(f"The cluster has {most} container instances, which is its quota.")


def _amount(resources: Mapping[str, Mapping[str, Any]], name: str, otherwise: int) -> int:
    item = resources.get(name)
    if item is None:
        return otherwise
    value = item.get("integerValue")
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_parameter(f"Resource {name} must have an integerValue.")
    return value


def deregister_container_instance(region: Region, request: Request) -> dict[str, Any]:
    """DeregisterContainerInstance: `force` when tasks run on it, which orphans them."""
    cluster = region.cluster(request)
    name = required_text(request, "containerInstance", "Container instance")
    instance = find_instance(cluster, name)
    if instance is None or instance.status == "INACTIVE":
        raise invalid_parameter("Container instance not found.")
    alive = [task for task in instance.tasks.values() if task.status < STOPPED]
    if alive and not flag(request, "force"):
        raise invalid_parameter("Found running tasks on the instance.")
    deregister(region, instance, "Container instance deregistration forced by user")
    return {"containerInstance": _shape(region, instance, ["TAGS"])}


def deregister(
    region: Region, instance: Instance, reason: str, code: str = "UserInitiated"
) -> None:
    """Make an instance INACTIVE; ECS counts its tasks as stopped, for this reason."""
    for task in list(instance.tasks.values()):
        region.agents.lose(task, region.now, code, reason)
    instance.status = "INACTIVE"
    instance.agent_connected = False
    instance.version += 1
    region.agents.history.note(region.now, "INACTIVE", instance)
    region.agents.changed(instance, region.now)


def list_container_instances(region: Region, request: Request) -> dict[str, Any]:
    """ListContainerInstances: by status (default: all but INACTIVE) and query, in pages."""
    cluster = region.cluster(request)
    status = choice(request, "status", STATUSES)
    expression = text(request, "filter")
    matches = parse_query(expression) if expression else None
    most = region.options.page_size_max
    enough = page_limit(request, most) + 1

    as_of = region.now - region.read_lag_s

    def numbered(after: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        every = list(cluster.instances.values())  # in the order of their numbers
        for one in every[bisect_right(every, after, key=_NUMBER) :]:
            if one.registered_at > as_of:
                continue
            shown = one.status != "INACTIVE" if status is None else one.status == status
            if shown and (matches is None or matches(one)):
                found.append((one.number, one.arn))
                if len(found) == enough:
                    break
        return found

    arns, token = page(request, most, numbered)
    return {"containerInstanceArns": arns, **({"nextToken": token} if token else {})}


def _described(region: Region, request: Request) -> tuple[list[Instance], list[dict[str, str]]]:
    cluster = region.cluster(request)
    found, failures = [], []
    for name in identifiers(request, "containerInstances", 100):
        instance = find_instance(cluster, name)
        if instance is None:
            failures.append(failure(instance_arn(region, cluster, name), "MISSING"))
        else:
            found.append(instance)
    return found, failures


def describe_container_instances(region: Region, request: Request) -> dict[str, Any]:
    """DescribeContainerInstances: up to 100 ids or ARNs. What has not changed since it was last
    answered is the same dictionary, which nobody may change.
    """
    found, failures = _described(region, request)
    include = included(request, *_INCLUDES)
    return {
        "containerInstances": [
            region.read(one, partial(_kept_shape, region, one, include)) for one in found
        ],
        "failures": failures,
    }


def _kept_shape(region: Region, instance: Instance, include: list[str]) -> dict[str, Any]:
    state = _state(instance, include)
    if instance.plain is None or instance.plain[0] != state:
        instance.plain = state, _shape(region, instance, include)
    return instance.plain[1]


def _state(instance: Instance, include: list[str]) -> tuple[object, ...]:
    """What differs whenever the shape does; tags apart, which drop what is kept."""
    return (
        instance.version,
        instance.pending,
        instance.agent_connected,
        instance.capacity_provider,
        *include,
    )


def encoded_container_instances(region: Region, request: Request) -> bytes:
    """The same answer as JSON; what has not changed since it was encoded is not encoded again."""
    found, failures = _described(region, request)
    include = included(request, *_INCLUDES)
    shapes = ",".join(_encoded(region, instance, include) for instance in found)
    return f'{{"containerInstances":[{shapes}],"failures":{_compact(failures)}}}'.encode()


def _encoded(region: Region, instance: Instance, include: list[str]) -> str:
    state = _state(instance, include)
    if instance.encoded is not None and instance.encoded[0] == state:
        return instance.encoded[1]
    if instance.encoded_fixed is None:
        instance.encoded_fixed = _compact(fixed_shape(instance))
    changing = _compact(_changing_shape(region, instance, include))
    text = f"{instance.encoded_fixed[:-1]},{changing[1:]}"
    instance.encoded = (state, text)
    return text


_compact = json.JSONEncoder(separators=(",", ":")).encode


def instance_arn(region: Region, cluster: Cluster, name: str) -> str:
    """The ARN to blame in `failures` for an instance that is not there."""
    if name.startswith("arn:"):
        return name
    return region.names.arn(f"container-instance/{cluster.name}/{name}")


def update_container_instances_state(region: Region, request: Request) -> dict[str, Any]:
    """UpdateContainerInstancesState: ACTIVE or DRAINING, up to 10 instances."""
    cluster = region.cluster(request)
    names = identifiers(request, "containerInstances", 10)
    status = text(request, "status")
    if status not in ("ACTIVE", "DRAINING"):
        raise invalid_parameter("Container instance status should be one of [ACTIVE,DRAINING]")
    found, failures = [], []
    for name in names:
        instance = find_instance(cluster, name)
        if instance is None or instance.status == "INACTIVE":
            reason = "MISSING" if instance is None else "INACTIVE"
            failures.append(failure(instance_arn(region, cluster, name), reason))
            continue
        set_state(region, instance, status)
        found.append(_shape(region, instance, []))
    return {"containerInstances": found, "failures": failures}


def set_state(region: Region, instance: Instance, status: str) -> None:
    """Make an instance ACTIVE or DRAINING; its standalone tasks are not touched."""
    if instance.status != status:
        instance.status = status
        instance.version += 1
        region.agents.history.note(region.now, status, instance)
        region.agents.changed(instance, region.now)
