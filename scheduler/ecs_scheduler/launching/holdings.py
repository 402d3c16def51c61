"""What running tasks hold of users' resources, looked up in their jobs when we did not launch them
ourselves: after a start, or when an unanswered launch turns up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_queue.errors import QueueError, QueueUnreachable, UnknownJob
from ecs_scheduler.ecs.task_definitions import TaskDefinition
from ecs_scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ecs_queue.job import JobId
    from ecs_queue.states import TaskArn
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.passes.around import Around

LOOKED_UP_AT_ONCE = 500


class Holdings:
    """Learns each task's holdings once; `follows` says whether one has not ended."""

    def __init__(self, around: Around, follows: Callable[[TaskArn], bool]) -> None:
        self._around = around
        self._follows = follows
        self._known: set[TaskArn] = set()

    def forget_all(self) -> None:
        """Another scheduler leads: what we knew may be old."""
        self._known.clear()

    def know(self, arn: TaskArn) -> None:
        """Its launch told us."""
        self._known.add(arn)

    def ended(self, arn: TaskArn) -> None:
        """Nobody will ask any more."""
        self._known.discard(arn)

    async def learn(self, tasks: Iterable[tuple[Task, JobId]]) -> None:
        """Look up those that are new, so many at a time; only where instances declare resources."""
        if not self._around.model.declares_scalars:
            return
        unknown = [each for each in tasks if each[0].arn not in self._known]
        for task, job_id in unknown[:LOOKED_UP_AT_ONCE]:
            if task.instance_arn is None or task.last_status == "STOPPED":
                # Only RunTask starts some on no instance; what needs resources never goes there.
                self._known.add(task.arn)
                continue
            try:
                job = (await self._around.queue.job(job_id)).job
                definitions = self._around.definitions
                definition = await definitions.of_task(task.task_definition_arn)
                if not self._follows(task.arn):
                    continue  # it ended meanwhile, and holds nothing
                if isinstance(definition, TaskDefinition):
                    scalars = definitions.shape(definition, job).scalars
                    self._around.model.holds_scalars(task.instance_arn, task.arn, scalars)
            except UnknownJob:
                pass
            except QueueUnreachable:
                raise
            except (QueueError, SchedulerError):
                continue  # its definition can be had at the next look, or its record be mended
            self._known.add(task.arn)

    def complete(self, arns: Iterable[TaskArn]) -> None:
        """These are all that are followed: once each is known, resources may be given out."""
        if self._around.model.declares_scalars and all(arn in self._known for arn in arns):
            self._around.model.know_scalars(True)
