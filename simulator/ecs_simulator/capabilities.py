"""Attributes: what an agent registers of its instance, and what a task definition requires of one.

Names follow the agent (agent_capability.go) and the developer guide's list of attributes.
"""

from collections.abc import Mapping
from typing import Any

_PREFIX = "com.amazonaws.ecs.capability."

AGENT_CAPABILITIES: tuple[str, ...] = (
    *(f"{_PREFIX}docker-remote-api.1.{minor}" for minor in range(17, 45)),
    *(
        f"{_PREFIX}logging-driver.{driver}"
        for driver in ("awslogs", "fluentd", "gelf", "json-file", "journald", "syslog", "none")
    ),
    f"{_PREFIX}ecr-auth",
    f"{_PREFIX}privileged-container",
    f"{_PREFIX}task-iam-role",
    f"{_PREFIX}task-iam-role-network-host",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.efs",
    "ecs.capability.efsAuth",
    "ecs.capability.env-files.s3",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.extensible-ephemeral-storage",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
    "ecs.capability.task-eni-block-instance-metadata",
    "ecs.capability.task-eni-trunking",
)
"""What a current agent on Linux can do, as attributes without a value."""

FEW_CAPABILITIES: tuple[str, ...] = (
    f"{_PREFIX}docker-remote-api.1.18",
    f"{_PREFIX}docker-remote-api.1.19",
    f"{_PREFIX}logging-driver.awslogs",
    f"{_PREFIX}task-iam-role",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
    "ecs.capability.task-eni-trunking",
)
"""Enough for ordinary task definitions."""

Requirement = tuple[str, str | None]


def required_attributes(document: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """`requiresAttributes` of a task definition: names, without values."""
    containers = document["containerDefinitions"]
    needed = {f"{_PREFIX}docker-remote-api.1.18"}
    for container in containers:
        needed |= _of_container(container)
    if document.get("taskRoleArn"):
        needed.add(f"{_PREFIX}task-iam-role")
        if document.get("networkMode") == "host":
            needed.add(f"{_PREFIX}task-iam-role-network-host")
    if document.get("networkMode") == "awsvpc":
        needed.add("ecs.capability.task-eni")
    if document.get("cpu") or document.get("memory"):
        needed.add("ecs.capability.task-cpu-mem-limit")
    if document.get("pidMode") or document.get("ipcMode"):
        needed.add("ecs.capability.pid-ipc-namespace-sharing")
    if any("efsVolumeConfiguration" in volume for volume in document.get("volumes") or ()):
        needed.add("ecs.capability.efs")
    if document.get("executionRoleArn"):
        needed |= _of_execution_role(containers)
    return tuple((name, None) for name in sorted(needed))


def _of_container(container: Mapping[str, Any]) -> set[str]:
    needed = set()
    log = container.get("logConfiguration") or {}
    if log.get("logDriver"):
        needed.add(f"{_PREFIX}logging-driver.{log['logDriver']}")
        needed.add(f"{_PREFIX}docker-remote-api.1.19")
    if container.get("privileged"):
        needed.add(f"{_PREFIX}privileged-container")
    if container.get("healthCheck"):
        needed.add("ecs.capability.container-health-check")
    if container.get("dependsOn"):
        needed.add("ecs.capability.container-ordering")
    if container.get("environmentFiles"):
        needed.add("ecs.capability.env-files.s3")
    if ".dkr.ecr." in container["image"]:
        needed.add(f"{_PREFIX}ecr-auth")
    for secret in container.get("secrets") or ():
        kind = "asm" if ":secretsmanager:" in str(secret.get("valueFrom")) else "ssm"
        needed.add(f"ecs.capability.secrets.{kind}.environment-variables")
    return needed


def _of_execution_role(containers: list[Mapping[str, Any]]) -> set[str]:
    needed = set()
    for container in containers:
        if (container.get("logConfiguration") or {}).get("logDriver") == "awslogs":
            needed.add("ecs.capability.execution-role-awslogs")
        if ".dkr.ecr." in container["image"]:
            needed.add("ecs.capability.execution-role-ecr-pull")
    return needed


def platform_requirements(document: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """What runtimePlatform asks of an instance; it is matched at placement, not listed by ECS."""
    platform = document.get("runtimePlatform") or {}
    needed: list[Requirement] = []
    architecture = platform.get("cpuArchitecture")
    if architecture:
        needed.append(("ecs.cpu-architecture", architecture.lower()))
    family = platform.get("operatingSystemFamily")
    if family:
        needed.append(("ecs.os-type", "linux" if family == "LINUX" else "windows"))
    return tuple(needed)
