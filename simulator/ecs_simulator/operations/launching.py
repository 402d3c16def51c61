"""StartTask and RunTask: from a request to tasks on instances, or to `failures`."""

import json
from collections.abc import Mapping
from typing import Any

from ecs_simulator.capabilities import platform_requirements
from ecs_simulator.demands import work_of
from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.fields import (
    Request,
    choice,
    flag,
    identifiers,
    required_text,
    started_by,
    struct,
    tags,
    text,
    texts,
)
from ecs_simulator.names import random_id
from ecs_simulator.operations.instances import instance_arn
from ecs_simulator.query import parse_query
from ecs_simulator.records import (
    Cluster,
    Instance,
    Launch,
    Task,
    TaskDefinition,
)
from ecs_simulator.region import Region, failure, find_instance
from ecs_simulator.resources import refusal, reserve
from ecs_simulator.shapes import launch_shape, task_shape

MAX_INSTANCES = 10
START_TASK_STARTED_BY = 36
PLATFORM_VERSION = "1.4.0"


def start_task(region: Region, request: Request) -> dict[str, Any]:
    """StartTask: one task on each of up to ten named instances; what does not fit is in
    `failures`."""
    cluster = region.cluster(request)
    names = identifiers(request, "containerInstances", MAX_INSTANCES)
    choices = region.options.undocumented
    if choices.duplicate_instances == "refused" and len(set(names)) < len(names):
        raise invalid_parameter("containerInstances contains duplicates.")
    launch = launch_of(region, request, "EC2", START_TASK_STARTED_BY)
    zones = zones_of(region, launch)
    started, failures = [], []
    for name in names:
        instance = find_instance(cluster, name)
        reason = "MISSING" if instance is None else _start_refusal(region, instance, launch, zones)
        if instance is None or reason is not None:
            arn = instance_arn(region, cluster, name) if instance is None else instance.arn
            failures.append(failure(arn, str(reason)))
        else:
            task = new_task(region, cluster, launch, instance.capacity_provider)
            settle_on(region, task, instance)
            started.append(task)
    now = region.now
    region.agents.launch(started, now)
    return {"tasks": [task_shape(task, now) for task in started], "failures": failures}


def _start_refusal(
    region: Region, instance: Instance, launch: Launch, zones: frozenset[str]
) -> str | None:
    choices = region.options.undocumented
    if instance.status == "INACTIVE":
        return "INACTIVE"
    if instance.status == "DRAINING" and choices.start_on_draining == "refused":
        return "INACTIVE"
    if choices.start_checks_member_of and not member_of(launch.definition, instance):
        return "MemberOf placement constraint unsatisfied."
    return refusal(instance, launch, zones)


def member_of(definition: TaskDefinition, instance: Instance) -> bool:
    """Whether the instance satisfies the task definition's memberOf constraints."""
    return all(
        parse_query(item["expression"])(instance)
        for item in definition.document["placementConstraints"]
    )


def launch_of(region: Region, request: Request, launch_type: str, most: int) -> Launch:
    """Everything the request's tasks have in common; `most` is the longest startedBy."""
    definition = region.launchable(required_text(request, "taskDefinition", "TaskDefinition"))
    work = work_of(request, definition, region.containers)
    document = definition.document
    propagate = choice(request, "propagateTags", ("TASK_DEFINITION", "SERVICE", "NONE"))
    own_tags = tags(request)
    if propagate == "TASK_DEFINITION":
        own_keys = {tag["key"] for tag in own_tags}
        own_tags += [tag for tag in definition.tags if tag["key"] not in own_keys]
    group, starter = _group(request, definition.family), started_by(request, most)
    version = PLATFORM_VERSION if launch_type == "FARGATE" else None
    named = {
        "enableExecuteCommand": flag(request, "enableExecuteCommand"),
        "group": group,
        "launchType": launch_type,
        "platformVersion": version,
        "startedBy": starter,
    }
    return Launch(
        definition=definition,
        work=work,
        demand=work.demand,
        containers=work.containers,
        awsvpc=document.get("networkMode") == "awsvpc",
        subnets=_subnets(region, request, document),
        group=group,
        started_by=starter,
        launch_type=launch_type,
        tags=own_tags,
        requires=definition.requires + platform_requirements(document),
        shown=launch_shape(definition, work, named),
    )


def _group(request: Request, family: str) -> str:
    group = text(request, "group") or f"family:{family}"
    if len(group) > 255:
        raise invalid_parameter("group longer than 255.")
    return group


def _subnets(region: Region, request: Request, document: Mapping[str, Any]) -> tuple[str, ...]:
    network = struct(request, "networkConfiguration")
    if document.get("networkMode") != "awsvpc":
        if network:
            raise invalid_parameter(
                "Network Configuration is not valid for the given networkMode of this "
                "task definition."
            )
        return ()
    configuration = struct(network, "awsvpcConfiguration")
    subnets = texts(configuration, "subnets")
    if len(texts(configuration, "securityGroups")) > 5:
        raise invalid_parameter("securityGroups can have at most 5 items.")
    if not network:
        raise invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if not subnets:
        raise invalid_parameter("subnets can not be empty.")
    if len(subnets) > 16:
        raise invalid_parameter("subnets can have at most 16 items.")
    known = region.options.subnets
    for subnet in subnets:
        if known and subnet not in known:
            raise invalid_parameter(
                f"Error retrieving subnet information for [{subnet}]: "
                f"The subnet ID '{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound)."
            )
    return tuple(subnets)


def zones_of(region: Region, launch: Launch) -> frozenset[str]:
    """The Availability Zones of the launch's subnets; empty means any."""
    known = region.options.subnets
    return frozenset(known[subnet] for subnet in launch.subnets) if known else frozenset()


def new_task(region: Region, cluster: Cluster, launch: Launch, provider: str | None) -> Task:
    """A task without an instance, entered in the cluster's books; agents have yet to take it up."""
    identity, work = random_id(region.rng), launch.work
    # By position: by name it takes almost twice as long, and there is one for each task.
    task = Task(
        region.names.task(cluster.name, identity),
        identity,
        region.next_number(),
        cluster,
        launch,
        region.now,
        _drawn_run_s(region, launch) if work.run_s is None else work.run_s,
        provider,
        launch.tags,
    )
    cluster.tasks[identity] = task
    if launch.started_by is not None:
        cluster.by_started_by.setdefault(launch.started_by, {})[identity] = task
    region.tasks_started += 1
    if not region.witnessed:
        region.tasks_ever.append(task)
    return task


def _drawn_run_s(region: Region, launch: Launch) -> tuple[float, ...]:
    containers, rng, lifecycle = region.containers, region.rng, region.options.lifecycle
    return tuple(
        containers.drawn_run_s(rng, lifecycle)
        if spec.behaviour.run_s is None
        else spec.behaviour.run_s
        for spec in launch.containers
    )


def settle_on(region: Region, task: Task, instance: Instance) -> None:
    """Give a task its instance, taking its resources there."""
    task.instance = instance
    reserve(task, instance)
    instance.tasks[task.id] = task
    if region.agents.instance_changed is not None:
        region.agents.changed(instance, region.now)


def fingerprint(request: Request) -> str:
    """What must not differ between two RunTask requests with the same clientToken."""
    return json.dumps(
        {key: value for key, value in request.items() if key != "clientToken"}, sort_keys=True
    )


def conflict(task_arns: list[str]) -> EcsError:
    """A clientToken that was used with other parameters."""
    return EcsError(
        "ConflictException",
        "The clientToken was already used with different parameters.",
        fields={"resourceIds": task_arns},
    )
