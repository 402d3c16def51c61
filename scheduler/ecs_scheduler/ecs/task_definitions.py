"""Task definitions, resolved once and kept: a revision never changes, a bare family is looked up
again after a while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ecs_scheduler.ecs.constraints import constrained
from ecs_scheduler.ecs.reservation import essential_containers, scalars_of, shape_of
from ecs_scheduler.errors import JobUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ecs_placement.request import Shape
    from ecs_queue.stored import AnyJob
    from ecs_scheduler.ecs.client import Ecs

Value = TypeVar("Value")

FAMILY_KEPT_S = 60.0
"""How long a bare family stands for the same revision."""

NEVER = float("inf")
SHAPES_KEPT = 100_000
KNOWN_KEPT = 10_000
"""Task definitions that are remembered; who registers a revision for each job makes many."""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One ACTIVE revision, as DescribeTaskDefinition answers it."""

    arn: str
    family: str
    document: Mapping[str, Any]

    @property
    def containers(self) -> tuple[str, ...]:
        """The names of its containers."""
        return tuple(each["name"] for each in self.document.get("containerDefinitions", ()))


class TaskDefinitions:
    """A cache in front of DescribeTaskDefinition, and of the shapes computed from its answers."""

    def __init__(self, ecs: Ecs, monotonic_s: Callable[[], float]) -> None:
        self._ecs = ecs
        self._monotonic_s = monotonic_s
        self._known: dict[str, tuple[TaskDefinition | JobUnusable, float]] = {}
        self._deregistered: dict[str, tuple[TaskDefinition | JobUnusable, float]] = {}
        """Perhaps: what tasks run and no job was resolved to."""
        self._essential: dict[str, frozenset[str]] = {}
        self._shapes: dict[tuple[object, ...], Shape] = {}
        self.gone: set[str] = set()
        """ARNs of those that were deregistered while jobs that had been resolved to them waited."""

    async def resolve(self, name: str) -> TaskDefinition | JobUnusable:
        """The task definition, or why no job can use it; refusals are remembered as long as
        families are.
        """
        known = self._known.get(name)
        now = self._monotonic_s()
        if known is not None and now < known[1]:
            return known[0]
        resolved = await self._describe(name)
        fixed = isinstance(resolved, TaskDefinition) and name == resolved.arn
        _keep(self._known, name, (resolved, NEVER if fixed else now + FAMILY_KEPT_S))
        return resolved

    async def of_task(self, arn: str) -> TaskDefinition | JobUnusable:
        """The revision that a task was started with, by ARN or name, though it may have been
        deregistered since; JobUnusable where ECS no longer knows it, which is remembered as long as
        families are.
        """
        known, _ = self._known.get(arn, (None, 0.0))
        if isinstance(known, TaskDefinition):
            return known
        found, until = self._deregistered.get(arn, (None, 0.0))
        now = self._monotonic_s()
        if found is None or now >= until:
            try:
                found, until = self._taken(await self._ecs.describe_task_definition(arn)), NEVER
            except JobUnusable as error:
                found, until = error, now + FAMILY_KEPT_S
            _keep(self._deregistered, arn, (found, until))
        return found

    async def still_active(self, arn: str) -> bool:
        """Ask again about a revision of which ECS refused a launch; one that is not ACTIVE any more
        is `gone`, and every name for it is looked up anew.
        """
        if isinstance(await self._describe(arn), TaskDefinition):
            return True
        self.gone.add(arn)
        self._known = {
            name: (known, until)
            for name, (known, until) in self._known.items()
            if not isinstance(known, TaskDefinition) or known.arn != arn
        }
        return False

    async def essential(self, arn: str) -> frozenset[str]:
        """Names of the essential containers of a revision; none when ECS no longer knows it."""
        known = self._essential.get(arn)
        if known is None:
            try:
                known = essential_containers(await self._ecs.describe_task_definition(arn))
            except JobUnusable:
                known = frozenset()
            _keep(self._essential, arn, known)
        return known

    def shape(self, definition: TaskDefinition, job: AnyJob) -> Shape:
        """What a task of this job reserves and requires. Raises InvalidReservation."""
        constraints = str(job.placement_constraints) if job.placement_constraints else ""
        overrides = job.overrides.as_json()
        resources = tuple(sorted(job.resources.items()))
        key = (definition.arn, overrides, constraints, job.group, resources)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= SHAPES_KEPT:
                self._shapes.clear()
            reserved = replace(
                shape_of(definition.document, job.overrides),
                scalars=scalars_of(definition.document, job.resources),
            )
            shape = self._shapes[key] = constrained(reserved, definition.document, job)
        return shape

    async def _describe(self, name: str) -> TaskDefinition | JobUnusable:
        try:
            document = await self._ecs.describe_task_definition(name)
        except JobUnusable as error:
            return error
        if document.get("status", "ACTIVE") != "ACTIVE":
            return JobUnusable(
                f"task definition {name!r} is {document['status']}; "
                "register a new revision and submit the job again"
            )
        return self._taken(document)

    def _taken(self, document: Mapping[str, Any]) -> TaskDefinition:
        arn = document["taskDefinitionArn"]
        _keep(self._essential, arn, essential_containers(document))
        return TaskDefinition(arn=arn, family=document["family"], document=document)


def _keep(kept: dict[str, Value], key: str, value: Value) -> None:
    """What was learnt first goes where there is too much."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > KNOWN_KEPT:
        del kept[next(iter(kept))]
