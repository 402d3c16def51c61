"""Tasks: stop, list, describe."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.fields import (
    Request,
    choice,
    identifiers,
    included,
    page,
    page_limit,
    required_text,
    text,
)
from ecs_simulator.records import Cluster, Task
from ecs_simulator.region import Region, failure, find_instance, find_task
from ecs_simulator.shapes import task_shape

LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")


def stop_task(region: Region, request: Request) -> dict[str, Any]:
    """StopTask: SIGTERM, later SIGKILL; resources count as free at once; the task's tags are
    deleted."""
    cluster = region.cluster(request)
    task = find_task(cluster, required_text(request, "task", "Task"))
    if task is None or is_hidden(region, task):
        raise invalid_parameter("The referenced task was not found.")
    reason = text(request, "reason") or "Task stopped by user"
    region.agents.stop(task, region.now, "UserInitiated", reason)
    task.tags = []
    return {"task": task_shape(task, region.now)}


def is_hidden(region: Region, task: Task) -> bool:
    """Whether reads do not show the task yet."""
    lag = max(region.options.undocumented.missing_after_launch_s, region.read_lag_s)
    return lag > 0 and region.now < task.created_at + lag


def describe_tasks(region: Region, request: Request) -> dict[str, Any]:
    """DescribeTasks: up to 100 ids or ARNs, STOPPED ones for an hour."""
    cluster = region.cluster(request)
    names = identifiers(request, "tasks", 100)
    tags = "TAGS" in included(request, "TAGS")
    now = region.now
    found, failures = [], []
    for name in names:
        task = find_task(cluster, name)
        if task is None or is_hidden(region, task):
            arn = (
                name if name.startswith("arn:") else region.names.arn(f"task/{cluster.name}/{name}")
            )
            failures.append(failure(arn, "MISSING"))
        else:
            found.append(region.read(task, partial(task_shape, task, now, tags)))
    return {"tasks": found, "failures": failures}


def list_tasks(region: Region, request: Request) -> dict[str, Any]:
    """ListTasks: desiredStatus RUNNING unless asked otherwise; startedBy goes with no other
    filter."""
    cluster = region.cluster(request)
    candidates = _candidates(region, cluster, request)
    most = region.options.page_size_max
    enough = page_limit(request, most) + 1

    def numbered(after: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for task in candidates:
            if task.number > after:
                found.append((task.number, task.arn))
                if len(found) == enough:
                    break
        return found

    arns, token = page(request, most, numbered)
    return {"taskArns": arns, **({"nextToken": token} if token else {})}


def _candidates(region: Region, cluster: Cluster, request: Request) -> Iterable[Task]:
    desired = choice(request, "desiredStatus", ("RUNNING", "PENDING", "STOPPED"))
    family, launcher = text(request, "family"), text(request, "startedBy")
    launch_type = choice(request, "launchType", LAUNCH_TYPES)
    instance_name = text(request, "containerInstance")
    if text(request, "serviceName"):
        raise EcsError("ServiceNotFoundException", "Service not found.")
    if launcher is not None and any((family, desired, launch_type, instance_name)):
        raise invalid_parameter("cannot specify startedBy with other arguments")
    tasks: Iterable[Task] = cluster.tasks.values()
    if launcher is not None:
        tasks = cluster.by_started_by.get(launcher, {}).values()
    elif instance_name is not None:
        instance = find_instance(cluster, instance_name)
        if instance is None:
            raise invalid_parameter("Container instance not found.")
        tasks = instance.tasks.values()
    if not (launcher is not None and region.options.undocumented.started_by_lists_stopped):
        tasks = _with_desired(tasks, desired or "RUNNING", region.now - region.read_lag_s)
    return (
        task
        for task in tasks
        if (family is None or task.launch.definition.family == family)
        and (launch_type is None or task.launch.launch_type == launch_type)
        and not is_hidden(region, task)
    )


def _with_desired(tasks: Iterable[Task], desired: str, as_of: float) -> Iterable[Task]:
    if desired == "PENDING":
        return ()
    wanted = desired == "RUNNING"
    return (
        task for task in tasks if (task.stopping_at is None or task.stopping_at > as_of) is wanted
    )
