"""The jobs of every workload: one task definition `batch`, sized per job by container overrides.

The task definition has no task-level CPU or memory, so what ECS reserves is what the container
overrides say. The run time is part of the command, which simulated containers understand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILY = "batch"
CONTAINER = "main"

DEFINED = {"cpu": 128, "memory": 128}
"""What the container gets where a job overrides nothing: CPU units and MiB."""

LEAST_MEMORY_MIB = 6
"""Docker's least, and so ECS's: ContainerOverride.memory."""

_FAILING = re.compile(r"sleep (\S+); exit (\S+)")

JobDocument = Mapping[str, Any]
"""One job as a producer would write it in JSON."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a job reserves."""

    cpu_units: int
    memory_mib: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """How long a job's container runs, and the exit code it ends with."""

    run_time_s: float
    exit_code: int = 0

    @property
    def command(self) -> list[str]:
        """The container's command."""
        seconds = f"{self.run_time_s:.3f}".rstrip("0").rstrip(".")
        if self.exit_code == 0:
            return ["sleep", seconds]
        return ["sh", "-c", f"sleep {seconds}; exit {self.exit_code}"]


def task_definition_document() -> dict[str, Any]:
    """RegisterTaskDefinition's parameters for the task definition that all these jobs use.

    The container has `memory` but no `memoryReservation`: ECS would reserve the latter, and an
    override of `memory` would change nothing.
    """
    container = {
        "name": CONTAINER,
        "image": "busybox:stable",
        "essential": True,
        "command": ["sleep", "1"],
        **DEFINED,
    }
    return {
        "family": FAMILY,
        "networkMode": "bridge",
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [container],
    }


def job_document(job_id: str, size: Size, run: Run, **fields: object) -> dict[str, Any]:
    """A job of this size and run; `fields` are further members, such as `priority`."""
    container: dict[str, Any] = {
        "name": CONTAINER,
        "command": run.command,
        "cpu": size.cpu_units,
        "memory": max(size.memory_mib, LEAST_MEMORY_MIB),
    }
    if size.gpus:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(size.gpus)}]
    overrides = {"containerOverrides": [container]}
    return {"id": job_id, "task_definition": FAMILY, "overrides": overrides, **fields}


def size_of(job: JobDocument) -> Size:
    """What a `job_document` reserves."""
    container = DEFINED | _container(job)
    needs = container.get("resourceRequirements", [])
    gpus = sum(int(need["value"]) for need in needs if need["type"] == "GPU")
    return Size(container["cpu"], container["memory"], gpus)


def run_of(job: JobDocument) -> Run | None:
    """How a `job_document` runs; None for a command that is not one of ours."""
    try:
        command = _container(job)["command"]
    except (KeyError, IndexError, TypeError):
        return None
    match command:
        case ["sleep", str(seconds)]:
            return _run(seconds, "0")
        case ["sh", "-c", str(script)]:
            if failing := _FAILING.fullmatch(script):
                return _run(failing[1], failing[2])
    return None


def with_run(job: JobDocument, run: Run) -> dict[str, Any]:
    """The same job with another run."""
    container = {**_container(job), "command": run.command}
    return {**job, "overrides": {**job["overrides"], "containerOverrides": [container]}}


def _container(job: JobDocument) -> dict[str, Any]:
    found: dict[str, Any] = job["overrides"]["containerOverrides"][0]
    return found


def _run(seconds: str, code: str) -> Run | None:
    try:
        return Run(float(seconds), int(code))
    except ValueError:
        return None
