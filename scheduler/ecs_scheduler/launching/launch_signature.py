"""Which launches may share a call: jobs of one LaunchSignature differ only in where they run.

`batches` deals the placed jobs of one signature into StartTask calls of up to ten different
instances.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ecs_queue.job import ContainerOverride, KeyValuePair, TaskOverride

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ecs_queue.stored import AnyJob

MAX_TASKS_PER_CALL = 10
"""StartTask takes at most ten container instances, RunTask a count of at most ten (ECS API
reference).
"""

ARRAY_INDEX_VARIABLES = ("AWS_BATCH_JOB_ARRAY_INDEX", "ECS_SCHEDULER_ARRAY_INDEX")
"""AWS Batch's name for it (AWS Batch user guide, "Array jobs"), and ours."""

Placed = TypeVar("Placed")


@dataclass(frozen=True, slots=True)
class LaunchSignature:
    """Everything of a launch but its place and its token; nested JSON is kept as text so that
    the whole hashes.
    """

    task_definition: str
    overrides: str
    group: str | None
    network_configuration: str | None
    placement_constraints: str
    tags: tuple[tuple[str, str], ...]
    propagate_tags: str | None
    enable_execute_command: bool

    def where(self) -> dict[str, Any]:
        """The members that only RunTask has; with StartTask, placement has respected them."""
        constraints = json.loads(self.placement_constraints)
        return {"placementConstraints": constraints} if constraints else {}

    def with_environment(
        self, environment: Mapping[str, str], containers: tuple[str, ...]
    ) -> LaunchSignature:
        """The same with these variables in every one of the containers."""
        return replace(self, overrides=_with_environment(self.overrides, environment, containers))

    def parameters(self) -> dict[str, Any]:
        """The members that StartTask and RunTask share, in ECS's spelling; what is not set is
        left out.
        """
        parameters: dict[str, Any] = {"taskDefinition": self.task_definition}
        if self.overrides != "{}":
            parameters["overrides"] = json.loads(self.overrides)
        if self.group is not None:
            parameters["group"] = self.group
        if self.network_configuration is not None:
            parameters["networkConfiguration"] = json.loads(self.network_configuration)
        if self.tags:
            parameters["tags"] = [{"key": key, "value": value} for key, value in self.tags]
        if self.propagate_tags is not None:
            parameters["propagateTags"] = self.propagate_tags
        if self.enable_execute_command:
            parameters["enableExecuteCommand"] = True
        return parameters


def launch_signature(
    job: AnyJob, task_definition_arn: str, containers: tuple[str, ...] = ()
) -> LaunchSignature:
    """The signature of a job whose task definition resolved to this ARN, with these containers.

    The children of an array differ in their environment, so each is a call of its own.
    """
    network = job.network_configuration
    overrides = job.overrides.as_json()
    if job.array_index is not None:
        told = dict.fromkeys(ARRAY_INDEX_VARIABLES, str(job.array_index))
        overrides = _with_environment(overrides, told, containers)
    return LaunchSignature(
        task_definition=task_definition_arn,
        overrides=overrides,
        group=job.group,
        network_configuration=network.model_dump_json(by_alias=True) if network else None,
        placement_constraints=_constraints(job) if job.placement_constraints else "[]",
        tags=tuple(sorted(job.tags.items())),
        propagate_tags=job.propagate_tags,
        enable_execute_command=job.enable_execute_command,
    )


def _constraints(job: AnyJob) -> str:
    return json.dumps(
        [each.model_dump(by_alias=True, exclude_none=True) for each in job.placement_constraints]
    )


def _with_environment(
    written: str, environment: Mapping[str, str], containers: tuple[str, ...]
) -> str:
    """Tell every container of the task, behind what its own overrides say."""
    overrides = TaskOverride.model_validate_json(written)
    told = tuple(KeyValuePair(name=name, value=value) for name, value in environment.items())
    given = {each.name: each for each in overrides.container_overrides}
    names = dict.fromkeys((*given, *containers))
    whole = overrides.model_copy(
        update={
            "container_overrides": tuple(
                container.model_copy(
                    update={"environment": (*(container.environment or ()), *told)}
                )
                for container in (given.get(name) or ContainerOverride(name=name) for name in names)
            )
        }
    )
    return whole.as_json()


def batches(
    placed: Iterable[Placed], instance_of: Callable[[Placed], str]
) -> list[tuple[Placed, ...]]:
    """Deal jobs of one signature into as few calls as possible, no instance twice in a call.

    The instances that hold the most of them go first into every call, which needs max(largest pile,
    ⌈n / 10⌉) calls.
    """
    piles: defaultdict[str, deque[Placed]] = defaultdict(deque)
    for each in placed:
        piles[instance_of(each)].append(each)
    calls = []
    while piles:
        fullest = sorted(piles, key=lambda instance: (-len(piles[instance]), instance))
        call = tuple(piles[instance].popleft() for instance in fullest[:MAX_TASKS_PER_CALL])
        for instance in fullest[:MAX_TASKS_PER_CALL]:
            if not piles[instance]:
                del piles[instance]
        calls.append(call)
    return calls
