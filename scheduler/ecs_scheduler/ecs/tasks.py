"""ECS tasks as this service sees them, and what their end means for a job.

`parse_task` reads a DescribeTasks (or StartTask) answer; `verdict` turns a STOPPED task into the
queue's Verdict.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ecs_queue.states import (
    InfrastructureFailed,
    InstanceArn,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)
from ecs_scheduler.ecs.wire import seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from types_aiobotocore_ecs.type_defs import AttachmentTypeDef, ContainerTypeDef, TaskTypeDef


class Container(NamedTuple):
    """One container of a task; `exit_code` is None when it never started.

    `runtime_id` is Docker's.
    """

    name: str
    exit_code: int | None
    reason: str
    runtime_id: str = ""


class Task(NamedTuple):
    """One ECS task at one moment; times are ms since the epoch. `interfaces` counts its network
    interfaces.

    A tuple, since each launch and each look makes some: a frozen dataclass takes thrice as long.
    """

    arn: TaskArn
    instance_arn: InstanceArn | None
    task_definition_arn: str
    started_by: str
    last_status: str
    desired_status: str
    version: int
    started_at_ms: int | None
    stop_code: str
    stopped_reason: str
    containers: tuple[Container, ...]
    interfaces: int
    group: str
    gpus: int = 0

    @property
    def family(self) -> str:
        """Its task definition's family."""
        return self.task_definition_arn.rpartition("/")[2].partition(":")[0]

    @property
    def has_run(self) -> bool:
        """Whether it reached RUNNING at some time."""
        return self.started_at_ms is not None or self.last_status == "RUNNING"


def parse_task(raw: TaskTypeDef) -> Task:
    """A task from an ECS answer; members that ECS left out take their empty value."""
    instance = raw.get("containerInstanceArn")
    containers, attachments = raw.get("containers") or (), raw.get("attachments") or ()
    return Task(
        arn=TaskArn(raw.get("taskArn", "")),
        instance_arn=InstanceArn(instance) if instance else None,
        task_definition_arn=raw.get("taskDefinitionArn", ""),
        started_by=raw.get("startedBy", ""),
        last_status=raw.get("lastStatus", ""),
        desired_status=raw.get("desiredStatus", ""),
        version=raw.get("version", 0),
        started_at_ms=_milliseconds(raw.get("startedAt")),
        stop_code=raw.get("stopCode", ""),
        stopped_reason=raw.get("stoppedReason", ""),
        containers=tuple([_parse_container(each) for each in containers]),
        group=raw.get("group", ""),
        interfaces=_interfaces(attachments) if attachments else 0,
        gpus=sum([len(each["gpuIds"]) for each in containers if each.get("gpuIds")]),
    )


def _parse_container(raw: ContainerTypeDef) -> Container:
    return Container(
        raw.get("name", ""),
        raw.get("exitCode"),
        raw.get("reason", ""),
        runtime_id=raw.get("runtimeId", ""),
    )


def _interfaces(attachments: Iterable[AttachmentTypeDef]) -> int:
    return sum(each.get("type") == "ElasticNetworkInterface" for each in attachments)


def _milliseconds(moment: float | datetime | None) -> int | None:
    at_s = seconds(moment)
    return None if at_s is None else round(at_s * 1000)


INFRASTRUCTURE_STOP_CODES = frozenset(
    {"SpotInterruption", "TerminationNotice", "InfrastructureHealth", "ServiceSchedulerInitiated"}
)

PLACE_GONE_CODES = frozenset({"SpotInterruption", "TerminationNotice"})

INTERRUPTED = "ecs-scheduler: to run elsewhere"
"""How the reason of our StopTask begins when nothing is wrong with the task, but with where it is.
ECS keeps it, so that whichever scheduler sees the end knows.
"""

INFRASTRUCTURE_REASONS = re.compile(
    r"RESOURCE:|\bAGENT\b|NO ACTIVE INSTANCES|EMPTY CAPACITY PROVIDER"
    r"|Host EC2 \(instance .*\) (stopped|terminated)|deregistration forced"
    r"|SpotInterruptionError|InternalError|ContainerRuntimeTimeoutError"
    r"|ThrottlingException|Rate exceeded|network interface provisioning"
)
"""Texts of stoppedReason that speak of the place, not of the task (ECS developer guide, "Stopped
tasks error messages").
"""


def was_interrupted(task: Task) -> bool:
    """Whether it stopped only since its place went away, or is about to: any other will do."""
    return task.stop_code in PLACE_GONE_CODES or (
        task.stop_code == "UserInitiated" and task.stopped_reason.startswith(INTERRUPTED)
    )


def verdict(task: Task, essential: Collection[str]) -> Verdict:
    """What a STOPPED task means for its job; `essential` names the task definition's essential
    containers.

    Success is stop code EssentialContainerExited and exit code 0 of every essential container. An
    exit code may be missing when a container never started: that is never a success. Nor is the
    exit code of a task that we interrupted: many end with 0 on SIGTERM, whatever they have left.
    """
    if (
        task.stop_code in INFRASTRUCTURE_STOP_CODES
        or was_interrupted(task)
        or INFRASTRUCTURE_REASONS.search(task.stopped_reason)
    ):
        return InfrastructureFailed(reason=_reason(task))
    judged = [each for each in task.containers if each.name in essential] or task.containers
    failed = next((each for each in judged if each.exit_code != 0), None)
    if failed is not None and task.stop_code != "UserInitiated":
        return _task_failed(task, failed, _container_reason(failed) or _reason(task))
    if task.stop_code == "UserInitiated":
        return _task_failed(task, failed, _reason(task))
    if not judged:
        text = _reason(task) or "the task stopped without any container"
        return _task_failed(task, None, text)
    return Succeeded(exit_code=0, reason="every essential container exited with 0")


def _task_failed(task: Task, container: Container | None, reason: str) -> TaskFailed:
    return TaskFailed(
        reason=reason,
        exit_code=None if container is None else container.exit_code,
        container_reason="" if container is None else container.reason,
        status_reason=task.stopped_reason,
    )


def _reason(task: Task) -> str:
    return ": ".join(part for part in (task.stop_code, task.stopped_reason) if part)


def _container_reason(container: Container) -> str:
    if container.reason:
        return f"container {container.name}: {container.reason}"
    if container.exit_code is not None:
        return f"container {container.name} exited with {container.exit_code}"
    return ""
