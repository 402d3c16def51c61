"""The JSON shapes of clusters, container instances and tasks, as ECS answers them. Times are epoch
seconds."""

from typing import Any

from ecs_simulator.records import (
    RUNNING,
    STATUS_NAMES,
    STOPPED,
    Cluster,
    ContainerSpec,
    Instance,
    Task,
    TaskDefinition,
    Work,
)

Json = dict[str, Any]


def cluster_shape(cluster: Cluster, include: list[str]) -> Json:
    """A Cluster; `include` adds SETTINGS, TAGS and STATISTICS."""
    present = [one for one in cluster.instances.values() if one.status in ("ACTIVE", "DRAINING")]
    shape: Json = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": len(present),
        "runningTasksCount": cluster.running,
        "pendingTasksCount": cluster.pending,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": cluster.tags if "TAGS" in include else [],
        "settings": cluster.settings if "SETTINGS" in include else [],
        "capacityProviders": cluster.providers,
        "defaultCapacityProviderStrategy": cluster.default_strategy,
    }
    if "STATISTICS" in include:
        shape["statistics"] = [
            {"name": "runningEC2TasksCount", "value": str(cluster.running)},
            {"name": "pendingEC2TasksCount", "value": str(cluster.pending)},
        ]
    return shape


def _integer(name: str, value: int) -> Json:
    return {
        "name": name,
        "type": "INTEGER",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": value,
    }


def _set(name: str, values: list[str]) -> Json:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": values,
    }


def resource_shapes(instance: Instance, remaining: bool, all_gpus: bool) -> list[Json]:
    """registeredResources or remainingResources: ports are the reserved ones in both."""
    kind = instance.type
    if remaining:
        cpu, memory = instance.free_cpu, instance.free_memory
        tcp, udp = sorted(instance.ports_tcp), sorted(instance.ports_udp)
    else:
        cpu, memory = kind.cpu_units, kind.memory_mib
        tcp, udp = [22, 2375, 2376, 51678, 51679, 51680], []
    shapes = [
        _integer("CPU", cpu),
        _integer("MEMORY", memory),
        _set("PORTS", [str(port) for port in tcp]),
        _set("PORTS_UDP", [str(port) for port in udp]),
    ]
    if instance.gpu_ids:
        gpus = instance.free_gpus if remaining and not all_gpus else instance.gpu_ids
        shapes.append(_set("GPU", list(gpus)))
    shapes.extend(instance.user_resources)
    return shapes


def fixed_shape(instance: Instance) -> Json:
    """The part of a ContainerInstance that hardly ever changes: attributes, registeredResources."""
    return {
        "attributes": [
            {"name": name} if value is None else {"name": name, "value": value}
            for name, value in instance.attributes.items()
        ],
        "registeredResources": resource_shapes(instance, remaining=False, all_gpus=True),
    }


def instance_shape(instance: Instance, all_gpus: bool, include: list[str]) -> Json:
    """The rest of a ContainerInstance; `include` adds TAGS and CONTAINER_INSTANCE_HEALTH."""
    shape: Json = {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_id,
        "version": instance.version,
        "versionInfo": {
            "agentVersion": instance.agent_version,
            "agentHash": "0123abcd",
            "dockerVersion": "DockerVersion: 25.0.8",
        },
        "remainingResources": resource_shapes(instance, remaining=True, all_gpus=all_gpus),
        "status": instance.status,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": instance.running,
        "pendingTasksCount": instance.pending,
        "registeredAt": instance.registered_at,
        "attachments": [],
        "tags": instance.tags if "TAGS" in include else [],
    }
    if instance.capacity_provider is not None:
        shape["capacityProviderName"] = instance.capacity_provider
    if instance.status_reason is not None:
        shape["statusReason"] = instance.status_reason
    if "CONTAINER_INSTANCE_HEALTH" in include:
        shape["healthStatus"] = {
            "overallStatus": "OK" if instance.agent_connected else "IMPAIRED",
            "details": [],
        }
    return shape


def definition_shape(definition: TaskDefinition) -> Json:
    """A TaskDefinition."""
    shape = {
        **definition.document,
        "taskDefinitionArn": definition.arn,
        "revision": definition.revision,
        "status": definition.status,
        "requiresAttributes": [{"name": name} for name, _ in definition.requires],
        "registeredAt": definition.registered_at,
    }
    if definition.deregistered_at is not None:
        shape["deregisteredAt"] = definition.deregistered_at
    return shape


_TIMES = (
    ("connectivityAt", "connected_at"),
    ("pullStartedAt", "pull_started_at"),
    ("pullStoppedAt", "pull_stopped_at"),
    ("startedAt", "started_at"),
    ("stoppingAt", "stopping_at"),
    ("executionStoppedAt", "execution_stopped_at"),
    ("stoppedAt", "stopped_at"),
)


def launch_shape(definition: TaskDefinition, work: Work, named: Json) -> Json:
    """What the shapes of a launch's tasks have in common; of `named`, what is not None."""
    return {
        "attributes": [],
        "cpu": work.cpu,
        "memory": work.memory,
        "overrides": work.overrides,
        "taskDefinitionArn": definition.arn,
        **{name: value for name, value in named.items() if value is not None},
    }


def task_shape(task: Task, now: float, tags: bool = True) -> Json:
    """A Task as seen at `now`."""
    launch, instance = task.launch, task.instance
    shape: Json = {
        **launch.shown,
        "attachments": _attachments(task) if launch.awsvpc else [],
        "availabilityZone": "",
        "clusterArn": task.cluster.arn,
        "containers": _containers(task, now),
        "createdAt": task.created_at,
        "desiredStatus": "RUNNING" if task.wanted else "STOPPED",
        "lastStatus": STATUS_NAMES[task.status],
        "tags": task.tags if tags else [],
        "taskArn": task.arn,
        "version": task.version,
    }
    if instance is not None:
        shape["availabilityZone"] = instance.zone
        shape["containerInstanceArn"] = instance.arn
    if task.provider is not None:
        shape["capacityProviderName"] = task.provider
    if task.version > 1 or task.created_at < now:  # a new task has none of these
        shape.update(_later_members(task, now))
    return shape


def _later_members(task: Task, now: float) -> Json:
    connected = task.connected_at is not None and task.connected_at <= now
    members: Json = {"connectivity": "CONNECTED"} if connected else {}
    for name, attribute in _TIMES:
        value = getattr(task, attribute)
        if value is not None and value <= now:
            members[name] = value
    if task.stop_code is not None:
        members["stopCode"] = task.stop_code
    if task.stopped_reason is not None:
        members["stoppedReason"] = task.stopped_reason
    return members


def _attachments(task: Task) -> list[Json]:
    attached = task.connected_at is not None and task.status < STOPPED
    details = [{"name": "networkInterfaceId", "value": f"eni-{task.id[:17]}"}]
    if task.launch.subnets:
        details.append({"name": "subnetId", "value": task.launch.subnets[0]})
    status = "ATTACHED" if attached else "DELETED" if task.status == STOPPED else "PRECREATED"
    return [
        {
            "id": task.id,
            "type": "ElasticNetworkInterface",
            "status": status,
            "details": details,
        }
    ]


def _containers(task: Task, now: float) -> list[Json]:
    if task.started_at is None and task.exit_codes is None and not task.gpu_ids:
        # A new task's: most of what StartTask answers.
        status, prefix = _container_status(task, ended=False), _container_arn(task)
        return [
            {
                **shown,
                "containerArn": prefix + str(index),
                "taskArn": task.arn,
                "lastStatus": status,
            }
            for index, shown in enumerate(task.launch.work.shown)
        ]
    return [
        _container_shape(task, index, code) for index, code in enumerate(_exit_codes(task, now))
    ]


def _container_arn(task: Task) -> str:
    """The ARN of the task's containers, up to their number."""
    return f"{task.cluster.container_arns}{task.id}/"


def _container_status(task: Task, ended: bool) -> str:
    if task.status >= STOPPED or ended:
        return "STOPPED"
    if task.started_at is None:
        return "PENDING" if task.wanted else "STOPPED"
    return "RUNNING" if task.status >= RUNNING else "PENDING"


def _exit_codes(task: Task, now: float) -> tuple[int | None, ...]:
    """Exit codes so far: containers that are not essential end before their task does."""
    if task.exit_codes is not None:
        return task.exit_codes
    started, containers = task.started_at, task.launch.containers
    if started is None or len(containers) == 1:
        return (None,) * len(containers)
    return tuple(
        spec.behaviour.exit_code if not spec.essential and started + run_s <= now else None
        for spec, run_s in zip(containers, task.run_s, strict=True)
    )


def _container_shape(task: Task, index: int, code: int | None) -> Json:
    shape: Json = {
        **task.launch.work.shown[index],
        "containerArn": _container_arn(task) + str(index),
        "taskArn": task.arn,
        "lastStatus": _container_status(task, code is not None or task.exit_codes is not None),
    }
    if task.started_at is not None:
        shape["runtimeId"] = f"{task.id}-{index}"
        shape["networkBindings"] = _bindings(task, task.launch.containers[index], index)
    if code is not None:
        shape["exitCode"] = code
    if task.gpu_ids:
        shape["gpuIds"] = list(container_gpus(task, index))
    return shape


def _bindings(task: Task, spec: ContainerSpec, index: int) -> list[Json]:
    if task.launch.awsvpc:
        return []
    before = sum(
        port[1] == 0 for earlier in task.launch.containers[:index] for port in earlier.ports
    )
    dynamic = task.first_port + before
    bindings = []
    for container_port, host_port, protocol in spec.ports:
        bindings.append(
            {
                "bindIP": "0.0.0.0",
                "containerPort": container_port,
                "hostPort": host_port or dynamic,
                "protocol": protocol,
            }
        )
        dynamic += host_port == 0
    return bindings


def container_gpus(task: Task, index: int) -> tuple[str, ...]:
    """The GPU ids of one container: the task's ids are dealt out in the order of its containers."""
    containers = task.launch.containers
    if containers[index].gpus < 0:
        return task.gpu_ids
    start = sum(max(0, spec.gpus) for spec in containers[:index])
    return task.gpu_ids[start : start + containers[index].gpus]
