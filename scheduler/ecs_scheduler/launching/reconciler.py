"""The reconciler settles launches whose outcome nobody knows, by looking for their token among
ECS's tasks.

Found: the task is adopted. Not found, and old enough that ECS must show it: the launch did not
happen, and the job is placed again under a new token. `strays` keeps an eye on such tokens.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import QueueError, QueueUnreachable
from ecs_queue.job import JobId
from ecs_queue.states import Absent, LaunchOutcome, Started
from ecs_scheduler.errors import CallRefused, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_queue.states import InstanceArn, LaunchToken, PendingLaunch, TaskArn
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.launching.launcher import Launcher
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DESCRIBED_AT_ONCE = 100
LOOKED_FOR_AT_ONCE = 100
MOST_PENDING = 10_000
"""Launches that are counted, though far fewer are looked for at once."""

LOOK_AGAIN_AFTER_S = 10.0
OTHERS_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class _Sought:
    """A launch, how old it was when it was asked for by startedBy, and what that named. The first
    and the decisive look search `everywhere`; those in between cost this one call.
    """

    launch: PendingLaunch
    age_s: float
    decisive: bool
    everywhere: bool
    named: list[TaskArn]


class Reconciler:
    """Brings every old intent of the ledger to a certain end."""

    def __init__(self, around: Around, launcher: Launcher, tracker: Tracker) -> None:
        self._around = around
        self._launcher = launcher
        self._tracker = tracker
        self._looked_at: dict[LaunchToken, float] = {}
        self._begun_at: dict[LaunchToken, float] = {}
        self._others: dict[TaskArn, str] = {}
        self._stopped_on: dict[InstanceArn, list[TaskArn] | None] = {}
        self._over: set[LaunchToken] = set()
        """Nothing of these runs for certain, though that can't be written: a record is damaged."""
        self.unsettled = 0

    async def look(self) -> None:
        """Look for each launch that is older than any call can last."""
        settle_after_s = self._around.config.settle_after_s
        ours = self._ours()
        pending = await self._around.queue.pending_launches(limit=MOST_PENDING)
        ours |= self._ours()
        self._over &= {each.token for each in pending}
        not_inherited = ours | self._over
        inherited = (each.jobs for each in pending if each.token not in not_inherited)
        self._tracker.inherited = frozenset[JobId]().union(*inherited)
        self._begun_at = {launch.token: self._begun(launch) for launch in pending}
        old_at = self._around.clock.monotonic_s() - settle_after_s
        pending = tuple(each for each in pending if self._begun_at[each.token] <= old_at)
        self.unsettled = len(pending)
        self._looked_at = {t: at for t, at in self._looked_at.items() if t in self._begun_at}
        standing = self._begun_at.keys() - self._over
        self._launcher.forget_intended(old_at - settle_after_s, standing)
        # What should run is asked of all before what has stopped is of any: a task that stops
        # meanwhile is in both lists then, the other way round in none.
        first = pending[:LOOKED_FOR_AT_ONCE]
        sought = [each for launch in first if (each := await self._sought(launch))]
        self._stopped_on.clear()
        for each in sought:
            try:
                await self._reconcile(each)
            except QueueUnreachable:
                raise
            except (QueueError, SchedulerError) as error:  # of its records: others need not wait
                self._not_yet(each.launch, error)

    def _ours(self) -> set[LaunchToken]:
        return {*self._launcher.in_flight, *self._launcher.intended}

    def _begun(self, launch: PendingLaunch) -> float:
        """When it was intended, by our own clock, since Redis's may be set meanwhile: exactly for
        launches of ours, and from its first sight on for those of a scheduler before us.
        """
        if (ours := self._launcher.intended.get(launch.token)) is not None:
            return ours.at
        if launch.token in self._begun_at:
            return self._begun_at[launch.token]
        return self._around.clock.monotonic_s() - max(0, launch.age_ms) / 1000

    async def _sought(self, launch: PendingLaunch) -> _Sought | None:
        """Ask for it by its token, if it is time to."""
        now, last = self._around.clock.monotonic_s(), self._looked_at.get(launch.token)
        age_s = now - self._begun_at[launch.token]
        decisive = age_s >= self._around.config.certain_after_s
        lately = last is not None and now - last < LOOK_AGAIN_AFTER_S and not decisive
        if lately or launch.token in self._launcher.in_flight:
            return None
        try:
            named = await self._around.ecs.list_tasks_started_by(launch.token)
        except SchedulerError as error:
            self._not_yet(launch, error)
            return None
        return _Sought(launch, age_s, decisive, decisive or last is None, named)

    def _not_yet(self, launch: PendingLaunch, error: QueueError | SchedulerError) -> None:
        log.warning("launch not reconciled yet", token=launch.token, error=str(error))

    async def _reconcile(self, sought: _Sought) -> None:
        around, launch, age_s = self._around, sought.launch, sought.age_s
        tasks, complete = await self._tasks_of(sought)
        self._looked_at[launch.token] = self._begun_at[launch.token] + age_s
        known = await around.queue.known_tasks([task.arn for task in tasks])
        adopted, extra = _assign(launch, [task for task in tasks if task.arn not in known])
        outcomes: list[LaunchOutcome] = [
            Started(job_id, task.arn, task.instance_arn) for job_id, task in adopted.items()
        ]
        if sought.decisive and complete:
            text = f"ECS shows no task of this {launch.api} {age_s:.0f} s after the call"
            outcomes += [Absent(each, text) for each in launch.jobs if each not in adopted]
            if all(task.last_status == "STOPPED" for task in adopted.values()):
                self._over.add(launch.token)
        if outcomes:
            await around.queue.settle(launch.token, outcomes)
            log.info(
                "launch reconciled", token=launch.token, found=len(adopted), of=len(launch.jobs)
            )
            settled = {each.job_id: launch.jobs[each.job_id] for each in outcomes}
            await self._take_note(settled, adopted)
        for task in extra:
            await self._stop_extra(task)

    async def _take_note(
        self, settled: Mapping[JobId, InstanceArn | None], adopted: dict[JobId, Task]
    ) -> None:
        """Follow what the ledger really took; another scheduler may have been faster. The room of a
        job that is not `settled` stays promised.
        """
        around, now = self._around, self._around.clock.monotonic_s()
        known = await around.queue.known_tasks([task.arn for task in adopted.values()])
        for job_id, instance in settled.items():
            task = adopted.get(job_id)
            if task is None:
                if instance is not None:
                    around.model.withdraw(instance, job_id)
            elif task.arn in known:
                if task.instance_arn is not None:
                    around.model.acknowledge(task.instance_arn, job_id, task.arn, now)
                definition_arn = task.task_definition_arn
                self._tracker.follow(task.arn, job_id, definition_arn, task.instance_arn)
                await self._tracker.hear(task)

    async def _tasks_of(self, sought: _Sought) -> tuple[list[Task], bool]:
        """Tasks of this launch, and whether they are certainly all that ECS shows.

        ListTasks by startedBy shows what should run. Whether it shows what has stopped is not
        documented, so stopped tasks are looked for where they must be: on the intended instances,
        or in the family.
        """
        launch, arns = sought.launch, set(sought.named)
        # Those of jobs that were settled before stand for none that is still looked for.
        everywhere = sought.everywhere
        settled = await self._around.queue.known_tasks(sought.named) if everywhere else frozenset()
        if everywhere and len(arns - settled) < len(launch.jobs):
            for instance in sorted({each for each in launch.jobs.values() if each is not None}):
                stopped = await self._stopped(instance)
                arns |= set(stopped or ())
            if None in launch.jobs.values() or any(
                self._stopped_on.get(each) is None for each in launch.jobs.values() if each
            ):
                for family in await self._families(launch):
                    arns |= set(await self._around.ecs.list_stopped_tasks(family=family))
        ours = [a for a in arns if self._others.get(a, launch.token) == launch.token]
        tasks = await self._describe(sorted(ours))
        described = {task.arn for task in tasks}
        complete = everywhere and all(arn in described for arn in sought.named)
        return [task for task in tasks if task.started_by == launch.token], complete

    async def _stopped(self, instance: InstanceArn) -> list[TaskArn] | None:
        """Stopped tasks there, asked once a round; None when ECS does not know the instance any
        more.
        """
        if instance not in self._stopped_on:
            try:
                found = await self._around.ecs.list_stopped_tasks(instance=instance)
                self._stopped_on[instance] = found
            except CallRefused as error:
                log.info("instance can't be asked", instance=instance, error=str(error))
                self._stopped_on[instance] = None
        return self._stopped_on[instance]

    async def _families(self, launch: PendingLaunch) -> list[str]:
        """Families to search when no instance can be asked; by name, since the task definition may
        be INACTIVE by now.
        """
        families = set()
        for job_id in launch.jobs:
            record = await self._around.queue.job(job_id)
            families.add(record.job.task_definition.rpartition("/")[2].partition(":")[0])
        return sorted(families)

    async def _describe(self, arns: list[TaskArn]) -> list[Task]:
        tasks: list[Task] = []
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            found, _ = await self._around.ecs.describe_tasks(
                arns[start : start + DESCRIBED_AT_ONCE], "reconcile"
            )
            tasks += found
        if len(self._others) > OTHERS_REMEMBERED:
            self._others.clear()
        self._others.update((task.arn, task.started_by) for task in tasks)
        return tasks

    async def _stop_extra(self, task: Task) -> None:
        if task.desired_status != "STOPPED":
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
    for job_id, instance in sorted(launch.jobs.items()):
        if piles[instance]:
            adopted[job_id] = piles[instance].pop(0)
    intended = set(launch.jobs.values())
    extra = [task for instance, pile in piles.items() if instance in intended for task in pile]
    return adopted, extra
