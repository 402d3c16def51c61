"""Task definitions: register, describe, list, deregister."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ecs_simulator.capabilities import required_attributes
from ecs_simulator.demands import cpu_units, gpus_required, memory_mib
from ecs_simulator.errors import client_error, invalid_parameter
from ecs_simulator.fields import (
    Request,
    choice,
    included,
    integer,
    page,
    required_text,
    struct,
    structs,
    tags,
    text,
    texts,
)
from ecs_simulator.records import TaskDefinition
from ecs_simulator.region import Region
from ecs_simulator.shapes import definition_shape

_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_MAX_BYTES = 65_536
_MIN_MEMORY_MIB = 6
_COPIED = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "runtimePlatform",
    "ephemeralStorage",
    "enableFaultInjection",
)


def register_task_definition(region: Region, request: Request) -> dict[str, Any]:
    """RegisterTaskDefinition: a new revision each time, also for an unchanged definition."""
    family = text(request, "family")
    if not family or not _FAMILY.match(family):
        raise client_error("Family contains invalid characters.")
    if len(json.dumps(request, default=str)) > _MAX_BYTES:
        raise client_error(
            f"Actual length: '{len(json.dumps(request, default=str))}'. "
            f"Max allowed length is '{_MAX_BYTES}' bytes."
        )
    document = _document(family, request)
    revisions = region.families.setdefault(family, [])
    revision = len(revisions) + 1
    definition = TaskDefinition(
        arn=region.names.task_definition(family, revision),
        family=family,
        revision=revision,
        document=document,
        requires=required_attributes(document),
        tags=tags(request),
        registered_at=region.now,
        number=region.next_number(),
    )
    revisions.append(definition)
    region.definitions[f"{family}:{revision}"] = definition
    return {"taskDefinition": definition_shape(definition), "tags": definition.tags}


def _document(family: str, request: Request) -> dict[str, Any]:
    compatible = texts(request, "requiresCompatibilities")
    mode = choice(request, "networkMode", ("bridge", "host", "awsvpc", "none"))
    document: dict[str, Any] = {"family": family}
    for name in ("cpu", "memory"):
        value = text(request, name)
        if value is not None:
            document[name] = str(cpu_units(value) if name == "cpu" else memory_mib(value))
    if "cpu" in document and not 128 <= int(document["cpu"]) <= 196_608:
        raise client_error("Invalid 'cpu' setting for task. Task cpu is between 128 and 196608.")
    document.update({name: request[name] for name in _COPIED if request.get(name) is not None})
    document["volumes"] = structs(request, "volumes")
    document["placementConstraints"] = _constraints(request)
    document["containerDefinitions"] = _containers(request, "memory" in document)
    fargate = mode == "awsvpc" and "cpu" in document and "memory" in document
    if "FARGATE" in compatible:
        document["requiresCompatibilities"] = compatible
        if not fargate:
            raise client_error("Fargate requires task definition to have awsvpc, cpu and memory.")
    elif compatible:
        document["requiresCompatibilities"] = compatible
    document["compatibilities"] = ["EC2", "FARGATE"] if fargate else ["EXTERNAL", "EC2"]
    struct(request, "runtimePlatform")
    return document


def _constraints(request: Request) -> list[dict[str, Any]]:
    constraints = structs(request, "placementConstraints")
    if len(constraints) > 10:
        raise invalid_parameter("placementConstraints can have at most 10 items")
    for item in constraints:
        if item.get("type") != "memberOf":
            raise invalid_parameter("Task definition placement constraint type must be memberOf.")
        required_text(item, "expression", "Placement constraint expression")
    return constraints


def _containers(request: Request, task_memory: bool) -> list[dict[str, Any]]:
    given = structs(request, "containerDefinitions")
    if not given:
        raise client_error("Container list cannot be empty.")
    if len(given) > 10:
        raise client_error("Too many containers: at most 10 in a task definition.")
    definitions = [_container(item, task_memory) for item in given]
    names = [item["name"] for item in definitions]
    if len(set(names)) < len(names):
        raise client_error("Container names must be unique within a task definition.")
    if not any(item["essential"] for item in definitions):
        raise client_error("A task definition must have at least one essential container.")
    return definitions


def _container(item: Request, task_memory: bool) -> dict[str, Any]:
    for member in ("name", "image"):
        if not text(item, member):
            raise client_error(f"Container.{member} should not be null or empty.")
    name = item["name"]
    memory = integer(item, "memory", 0)
    reservation = integer(item, "memoryReservation", 0)
    if not memory and not reservation and not task_memory:
        raise client_error(
            f"Invalid setting for container '{name}'. "
            "At least one of 'memory' or 'memoryReservation' must be specified."
        )
    for amount in (memory, reservation):
        if amount and amount < _MIN_MEMORY_MIB:
            raise client_error(
                f"Invalid setting for container '{name}'. Memory is at least {_MIN_MEMORY_MIB} MiB."
            )
    if memory and reservation > memory:
        raise client_error(
            f"Invalid setting for container '{name}'. "
            "'memoryReservation' must be less than 'memory'."
        )
    if integer(item, "cpu", 0) < 0:
        raise client_error(f"Invalid setting for container '{name}'. 'cpu' must not be negative.")
    gpus_required(item)
    texts(item, "command")
    return {
        "cpu": 0,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **item,
        "essential": item.get("essential") is not False,
        "portMappings": [_port(port) for port in structs(item, "portMappings")],
    }


def _port(port: Request) -> dict[str, Any]:
    protocol = choice(port, "protocol", ("tcp", "udp")) or "tcp"
    container_port, host_port = integer(port, "containerPort", 0), integer(port, "hostPort", 0)
    if not (0 < container_port < 65_536 and 0 <= host_port < 65_536):
        raise client_error("Ports must be between 1 and 65535.")
    return {"hostPort": 0, **port, "containerPort": container_port, "protocol": protocol}


def _found(region: Region, request: Request, message: str) -> TaskDefinition:
    name = required_text(request, "taskDefinition", "Task Definition")
    definition = region.task_definition(name)
    if definition is None:
        raise client_error(message)
    return definition


def describe_task_definition(region: Region, request: Request) -> dict[str, Any]:
    """DescribeTaskDefinition: ACTIVE and INACTIVE revisions."""
    definition = _found(region, request, "Unable to describe task definition.")
    answer: dict[str, Any] = {"taskDefinition": definition_shape(definition)}
    if "TAGS" in included(request, "TAGS"):
        answer["tags"] = definition.tags
    return answer


def deregister_task_definition(region: Region, request: Request) -> dict[str, Any]:
    """DeregisterTaskDefinition: the revision becomes INACTIVE; running tasks are not touched."""
    name = required_text(request, "taskDefinition", "Task Definition")
    if ":" not in name.rpartition("/")[2]:
        raise invalid_parameter("Revision is missing.")
    definition = _found(region, request, "The specified task definition does not exist.")
    if definition.status == "ACTIVE":
        definition.status, definition.deregistered_at = "INACTIVE", region.now
    return {"taskDefinition": definition_shape(definition)}


def list_task_definitions(region: Region, request: Request) -> dict[str, Any]:
    """ListTaskDefinitions: by family (exact) and status, in pages; sorted by family and
    revision."""
    family = text(request, "familyPrefix")
    status = choice(request, "status", ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS")) or "ACTIVE"
    descending = choice(request, "sort", ("ASC", "DESC")) == "DESC"
    wanted = [
        one
        for name in sorted(region.families)
        if family is None or name == family
        for one in region.families[name]
        if one.status == status
    ]
    if descending:
        wanted.reverse()
    numbered: Mapping[int, str] = {index: one.arn for index, one in enumerate(wanted, start=1)}
    arns, token = page(
        request,
        region.options.page_size_max,
        lambda after: [entry for entry in numbered.items() if entry[0] > after],
    )
    return {"taskDefinitionArns": arns, **({"nextToken": token} if token else {})}


def list_task_definition_families(region: Region, request: Request) -> dict[str, Any]:
    """ListTaskDefinitionFamilies: names by prefix; ACTIVE means it has an ACTIVE revision."""
    prefix = text(request, "familyPrefix") or ""
    status = choice(request, "status", ("ACTIVE", "INACTIVE", "ALL")) or "ACTIVE"

    def shown(family: str) -> bool:
        active = any(one.status == "ACTIVE" for one in region.families[family])
        return status == "ALL" or active == (status == "ACTIVE")

    names = [one for one in sorted(region.families) if one.startswith(prefix) and shown(one)]
    families, token = page(
        request,
        region.options.page_size_max,
        lambda after: [entry for entry in enumerate(names, start=1) if entry[0] > after],
    )
    return {"families": families, **({"nextToken": token} if token else {})}
