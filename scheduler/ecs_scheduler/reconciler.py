"""The reconciler settles launches of unknown outcome by looking for their token among the tasks.

Found: adopted. Found twice for one job: the extra task is stopped. Not found, and old enough that
ECS must show it: it did not happen, and the job is placed again under a new token.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from ecs_queue.states import LaunchOutcome, Refused, Started
from ecs_scheduler.errors import EcsCallError
from ecs_scheduler.task_definitions import TaskDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_queue.job import JobId
    from ecs_queue.states import InstanceArn, PendingLaunch, TaskArn
    from ecs_scheduler.around import Around
    from ecs_scheduler.launcher import Launcher
    from ecs_scheduler.tasks import Task
    from ecs_scheduler.tracker import Tracker

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DESCRIBED_AT_ONCE = 100


class Reconciler:
    """Brings every old intent of the ledger to a certain end."""

    def __init__(self, around: Around, launcher: Launcher, tracker: Tracker) -> None:
        self._around = around
        self._launcher = launcher
        self._tracker = tracker
        self.unsettled = 0

    async def look(self) -> None:
        """Look once for each launch that is older than any call can last."""
        older_than_ms = round(self._around.config.settle_after_s * 1000)
        pending = await self._around.queue.pending_launches(older_than_ms=older_than_ms)
        self.unsettled = len(pending)
        for launch in pending:
            if launch.token not in self._launcher.in_flight:
                await self._reconcile(launch)

    async def _reconcile(self, launch: PendingLaunch) -> None:
        asked_at_ms = self._around.clock.now_ms()
        tasks = await self._tasks_of(launch)
        adopted, extra = _assign(launch, tasks)
        age_s = (asked_at_ms - launch.created_at_ms) / 1000
        outcomes: list[LaunchOutcome] = []
        for job_id, instance in launch.jobs.items():
            task = adopted.get(job_id)
            if task is not None:
                self._adopt(job_id, task)
                outcomes.append(Started(job_id, task.arn, task.instance_arn))
            elif age_s >= self._around.config.certain_after_s:
                if instance is not None:
                    self._around.model.withdraw(instance, job_id)
                text = f"ECS shows no task of this {launch.api} {age_s:.0f} s after the call"
                outcomes.append(Refused(job_id, text))
        if outcomes:
            await self._around.queue.settle(launch.token, outcomes)
            found = sum(isinstance(each, Started) for each in outcomes)
            log.info("launch reconciled", token=launch.token, found=found, of=len(launch.jobs))
        for task in extra:
            await self._stop_extra(task)

    def _adopt(self, job_id: JobId, task: Task) -> None:
        if task.instance_arn is not None:
            now = self._around.clock.monotonic_s()
            self._around.model.acknowledge(task.instance_arn, job_id, task.arn, now)
        self._tracker.follow(task.arn, job_id, task.task_definition_arn)

    async def _tasks_of(self, launch: PendingLaunch) -> list[Task]:
        """Every task of this launch, running or stopped.

        ListTasks by startedBy shows what should run. Whether it shows what has stopped is not
        documented, so stopped tasks are looked for where they must be: on the intended instances,
        or in the family.
        """
        ecs = self._around.ecs
        arns = set(await ecs.list_tasks_started_by(launch.token))
        if len(arns) < len(launch.jobs):
            for instance in {each for each in launch.jobs.values() if each is not None}:
                arns |= await self._stopped_on(instance)
            for family in await self._families(launch):
                arns |= set(await ecs.list_stopped_tasks(family=family))
        tasks = await self._describe(sorted(arns))
        return [task for task in tasks if task.started_by == launch.token]

    async def _stopped_on(self, instance: InstanceArn) -> set[TaskArn]:
        try:
            return set(await self._around.ecs.list_stopped_tasks(instance=instance))
        except EcsCallError as error:
            # An instance that is gone can't be asked about; its tasks then count as absent.
            log.info("instance can't be asked", instance=instance, error=str(error))
            return set()

    async def _families(self, launch: PendingLaunch) -> set[str]:
        """Families to search when ECS chose the instance (RunTask)."""
        families = set()
        for job_id, instance in launch.jobs.items():
            if instance is None:
                record = await self._around.queue.job(job_id)
                definition = await self._around.definitions.resolve(record.job.task_definition)
                if isinstance(definition, TaskDefinition):
                    families.add(definition.family)
        return families

    async def _describe(self, arns: list[TaskArn]) -> list[Task]:
        tasks: list[Task] = []
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            found, _ = await self._around.ecs.describe_tasks(
                arns[start : start + DESCRIBED_AT_ONCE]
            )
            tasks.extend(found)
        return tasks

    async def _stop_extra(self, task: Task) -> None:
        if task.desired_status == "STOPPED" or self._tracker.follows(task.arn):
            return
        log.warning("a launch started two tasks; stopping one", task=task.arn)
        await self._around.ecs.stop_task(task.arn, "started twice by one launch")


def _assign(launch: PendingLaunch, tasks: Iterable[Task]) -> tuple[dict[JobId, Task], list[Task]]:
    """Which task belongs to which unsettled job, and which tasks are one too many.

    Jobs with an intended instance take the task there; jobs without one take any, since they are
    interchangeable. A task that is still to run comes before one that stopped, then the ARN
    decides.
    """
    piles: defaultdict[InstanceArn | None, list[Task]] = defaultdict(list)
    chosen_by_ecs = any(instance is None for instance in launch.jobs.values())
    for task in sorted(tasks, key=lambda task: (task.desired_status == "STOPPED", task.arn)):
        piles[None if chosen_by_ecs else task.instance_arn].append(task)
    adopted = {}
    for job_id, instance in launch.jobs.items():
        if piles[instance]:
            adopted[job_id] = piles[instance].pop(0)
    intended = set(launch.jobs.values())
    extra = [task for instance, pile in piles.items() if instance in intended for task in pile]
    return adopted, extra
