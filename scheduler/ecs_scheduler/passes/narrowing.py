"""A job's shape as a pass shows it to placement, and as explanations do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ecs_queue.job import JobId
from ecs_scheduler.cluster.row import not_refused

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ecs_placement.request import Shape, TaskRequest
    from ecs_queue.stored import AnyJob
    from ecs_scheduler.ecs.task_definitions import TaskDefinition
    from ecs_scheduler.passes.window import Window
    from ecs_scheduler.policies.book import NamedPolicy


def kept_away(shape: Shape, definition: TaskDefinition, refused: Collection[str]) -> Shape:
    """Only where its task definition is not refused, if any instance refuses it."""
    if definition.arn not in refused:
        return shape
    return replace(shape, member_of=(*shape.member_of, not_refused(definition.arn)))


def keeping_away(
    requests: Sequence[TaskRequest], window: Window, refused: Collection[str]
) -> list[TaskRequest]:
    """The requests, those of refused task definitions only for instances that don't refuse them."""
    if not refused:
        return list(requests)
    narrowed = []
    for request in requests:
        shape = kept_away(request.shape, window[JobId(request.id)].definition, refused)
        narrowed.append(request if shape is request.shape else replace(request, shape=shape))
    return narrowed


def group_of(definition: TaskDefinition, job: AnyJob) -> str:
    """The task group that ECS puts the task in (RunTask and StartTask, `group`)."""
    return job.group or f"family:{definition.family}"


def under(policy: NamedPolicy, shape: Shape, definition: TaskDefinition, job: AnyJob) -> Shape:
    """Within the policy's filters, which come last, with what it runs and whose group it is in
    where the policy asks.
    """
    if not (policy.filters or policy.wants_images or policy.wants_groups):
        return shape
    return replace(
        shape,
        member_of=(*shape.member_of, *policy.filters),
        image=definition.family if policy.wants_images else shape.image,
        group=group_of(definition, job) if policy.wants_groups else shape.group,
    )
