"""Fallback tasks that wait in PROVISIONING: not for ever, and not where room has appeared.

Such a task is stopped, seen STOPPED, and only then is its job launched anew, under a new token.
That is the infrastructure's doing and uses up no attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from ecs_placement.plan import Start
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.several import Part, place_parts
from ecs_placement.snapshot import Availability, Snapshot
from ecs_queue.job import JobId
from ecs_queue.states import InstanceArn, TaskArn
from ecs_scheduler.cluster.row import not_refused
from ecs_scheduler.ecs.task_definitions import TaskDefinition
from ecs_scheduler.ecs.tasks import INTERRUPTED
from ecs_scheduler.errors import JobUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_placement.policy import Policy
    from ecs_queue.states import JobRecord
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

COME_BACK_AFTER_S = 30.0
"""So long ECS may look for a place by itself: on Fargate that is how long a start takes."""

NEW_FOR_S = 30.0
"""An instance that registered less than this ago may be one that a capacity provider launched for
what waits: ECS puts it there by itself.
"""

LOOKED_AT_ONCE = 100
"""The oldest of them; what DescribeTasks takes at once."""

KEPT_FOR_S = 60.0
"""How long room is kept for a job that comes back: a task without a place is soon stopped."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job would run instead."""

    job_id: JobId
    instance: InstanceArn
    shape: Shape


class Provisioning:
    """What waits for ECS to find a place, and the room that is kept for what comes back."""

    def __init__(self, around: Around, tracker: Tracker) -> None:
        self._around = around
        self._tracker = tracker
        self._kept: dict[TaskArn, tuple[Place, float]] = {}

    async def give_up(self) -> None:
        """Stop what ECS found no place for in the time that is configured."""
        after_s = self._around.config.provisioning_timeout_s
        reason = f"{INTERRUPTED} (no place in {after_s:g} s)"
        for arn in self._tracker.unplaced_for(after_s):
            if self._tracker.unplaced(arn):  # still, for each stop may take a while
                await self._tracker.stop(arn, reason)

    async def come_back(self, *, room_is_wanted: bool) -> None:
        """Stop what has room on an instance by now; none of it as long as jobs that wait for a call
        are to have the room.
        """
        waiting = self._tracker.unplaced_for(COME_BACK_AFTER_S)[:LOOKED_AT_ONCE]
        waiting = [arn for arn in waiting if arn not in self._kept]
        if not waiting or room_is_wanted:
            return
        placed = await self._room_for(waiting)
        if not placed:
            return
        tasks, _ = await self._around.ecs.describe_tasks(tuple(placed))
        still = {task.arn for task in tasks if task.last_status == "PROVISIONING"}
        until = self._around.clock.monotonic_s() + KEPT_FOR_S
        for arn, at in placed.items():
            if arn in still and self._tracker.unplaced(arn):
                self._around.model.promise(at.instance, at.job_id, at.shape, until)
                self._kept[arn] = at, until
                where = at.instance.rpartition("/")[2]
                log.info("room for a task in PROVISIONING", task=arn, job=at.job_id, instance=where)
                await self._tracker.stop(arn, f"{INTERRUPTED} (room on {where})")

    def release(self) -> None:
        """The room of those whose tasks have ended is free, for their jobs above all; not where
        such a job has been launched there again.
        """
        for arn in [each for each in self._kept if not self._tracker.follows(each)]:
            at, until = self._kept.pop(arn)
            self._around.model.withdraw(at.instance, at.job_id, until)

    def forget(self) -> None:
        """Another scheduler leads."""
        self._kept.clear()

    async def _room_for(self, waiting: Iterable[TaskArn]) -> dict[TaskArn, Place]:
        """Where placement would start the jobs of these tasks now, beside all that is promised."""
        around, now_ms = self._around, self._around.clock.now_ms()
        parts: dict[str, list[TaskRequest]] = {}
        policies: dict[str, Policy] = {}
        arns: dict[RequestId, TaskArn] = {}
        for arn in waiting:
            job_id = self._tracker.job_of(arn)
            if job_id is None:
                continue  # it ended while others were looked up
            record = await around.queue.job(job_id)
            shape = await self._shape(record)
            policy = around.policies.choose(record.job).policy
            if shape is None or record.job.gang is not None or not policy.windows.open_at(now_ms):
                continue
            shape = replace(shape, member_of=(*shape.member_of, *policy.filters))
            request = TaskRequest(RequestId(record.job.id), shape, record.priority, record.order)
            parts.setdefault(policy.name, []).append(request)
            policies[policy.name] = policy.placement
            arns[request.id] = arn
        snapshot = self._settled(now_ms)
        plan = place_parts([Part(policies[each], tuple(parts[each])) for each in parts], snapshot)
        shapes = {each.id: each.shape for requests in parts.values() for each in requests}
        return {
            arns[each.request_id]: Place(
                JobId(each.request_id), InstanceArn(each.instance_id), shapes[each.request_id]
            )
            for each in plan.decisions
            if isinstance(each, Start)
        }

    def _settled(self, now_ms: int) -> Snapshot:
        """The cluster without instances that came for these very tasks, most probably."""
        snapshot = self._around.model.snapshot(self._around.clock.monotonic_s())
        since_s = now_ms / 1000 - NEW_FOR_S
        return snapshot.updated(
            replace(instance, availability=Availability.AVOIDED)
            for instance in snapshot.instances
            if (instance.facts.registered_at_s or 0.0) > since_s
        )

    async def _shape(self, record: JobRecord) -> Shape | None:
        definition = await self._around.definitions.resolve(record.job.task_definition)
        if not isinstance(definition, TaskDefinition):
            return None
        try:
            shape = self._around.definitions.shape(definition, record.job)
        except JobUnusable:
            return None  # its family has another revision by now, which the job does not fit
        if definition.arn in self._around.model.refused():
            shape = replace(shape, member_of=(*shape.member_of, not_refused(definition.arn)))
        return shape
