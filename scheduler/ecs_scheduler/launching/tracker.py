"""The tracker follows launched tasks by DescribeTasks, 100 a call, until they are STOPPED, and
carries their news to the queue.

It also stops the tasks of jobs whose cancellation was asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import QueueError, QueueUnreachable, UnknownJob
from ecs_queue.states import (
    InfrastructureFailed,
    JobState,
    Sighting,
    Succeeded,
    TaskFailed,
    Verdict,
)
from ecs_scheduler.ecs.tasks import verdict, was_interrupted
from ecs_scheduler.launching.followed import Followed, lingering
from ecs_scheduler.launching.holdings import Holdings
from ecs_scheduler.launching.lately import Lately
from ecs_scheduler.launching.retries import jitter_of, next_step
from ecs_scheduler.launching.stopping import stop, was_slow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ecs_queue.job import JobId
    from ecs_queue.states import InstanceArn, TaskArn
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DESCRIBED_AT_ONCE = 100
MISSING_FOR_S = 300.0
"""How long DescribeTasks may answer MISSING before we believe it: ECS's own advice is to back
off up to five minutes.
"""

BLAMED_STOP_CODES = ("TaskFailedToStart", "InfrastructureHealth")
"""Endings that may be the instance's fault: no room on its disk, no way to the registry, ..."""

REMEMBERED_S = 300.0
"""How long a task is remembered after it ended, should Redis forget that it ever began."""


class Tracker:
    """Tasks that ECS acknowledged and that have not been seen STOPPED."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._followed: dict[TaskArn, Followed] = {}
        """The oldest news comes first: with it goes on the look after one that broke off."""
        self._past = Lately(REMEMBERED_S)
        self.holdings = Holdings(around, self.follows)
        self._placeless: set[TaskArn] = set()
        """Those on no instance that we know of: few, beside those that StartTask put on one."""
        self._loaded = False
        self.inherited: frozenset[JobId] | None = None
        """Jobs of launches before our lead that are not settled, as the reconciler sees them."""
        self._unseen: set[TaskArn] = set()
        """Those that ran before we led, as long as ECS has not been asked for them."""

    def __len__(self) -> int:
        return len(self._followed)

    @property
    def jobs(self) -> list[JobId]:
        """The jobs whose tasks are followed, or may run."""
        return [*(self.inherited or ()), *(each.job_id for each in self._followed.values())]

    @property
    def loaded(self) -> bool:
        """Whether the jobs of all that ran, or may have, before we led are known."""
        return self._loaded and self.inherited is not None

    @property
    def knows_groups(self) -> bool:
        """Whether it is known of all that ran before we led where it runs, and in which group."""
        return self.loaded and not self._unseen and not self.inherited

    def follows(self, arn: TaskArn) -> bool:
        """Whether this task is one of a job we know."""
        return arn in self._followed

    def follow(
        self,
        arn: TaskArn,
        job_id: JobId,
        definition_arn: str = "",
        instance: InstanceArn | None = None,
    ) -> None:
        """Watch this task from now on."""
        followed = self._followed.setdefault(arn, Followed(job_id, definition_arn))
        followed.instance_arn = instance or followed.instance_arn
        self._know_place(arn, followed)

    def _heard_of(self, arn: TaskArn) -> None:
        self._followed[arn] = self._followed.pop(arn)
        if self._around.model.complete_at is not None:  # before, its instance may not be known
            self._unseen.discard(arn)

    def _know_place(self, arn: TaskArn, followed: Followed) -> None:
        (self._placeless.add if followed.instance_arn is None else self._placeless.discard)(arn)

    def forget_all(self) -> None:
        """Another scheduler follows them now, or did before us."""
        for arn in tuple(self._followed):
            self._forget(arn)
        self._loaded, self.inherited = False, None
        self.holdings.forget_all()
        self._around.model.forget_tasks()

    def _forget(self, arn: TaskArn) -> None:
        followed = self._followed.pop(arn, None)
        self._placeless.discard(arn)
        self._unseen.discard(arn)
        if followed is not None:
            self._past.add(arn, followed.job_id, self._around.clock.monotonic_s())

    def remembered(self) -> dict[TaskArn, JobId]:
        """The tasks that are followed, or were not long ago."""
        past = self._past.jobs(self._around.clock.monotonic_s())
        return past | {arn: each.job_id for arn, each in self._followed.items()}

    async def load(self) -> None:
        """Take over the live tasks that the queue knows, after a start or from another
        scheduler.
        """
        for live in await self._around.queue.live_tasks():
            if not self._loaded and live.task_arn not in self._followed:
                self._unseen.add(live.task_arn)
            self.follow(live.task_arn, live.job_id)
        self._loaded = True

    async def look(self) -> None:
        """Ask after every followed task once, oldest news first, and report what changed."""
        if not self._loaded:
            await self.load()
        followed = tuple(self._followed)
        for start in range(0, len(followed), DESCRIBED_AT_ONCE):
            await self._ask_after(followed[start : start + DESCRIBED_AT_ONCE])
        if self.loaded and not self.inherited:
            self.holdings.complete(self._followed)
        now = self._around.clock.monotonic_s()
        self._around.model.blame.linger(lingering(self._followed.values(), now))

    async def look_at_unseen(self) -> None:
        """Ask after what ran before we led and was not seen yet, from the other end than `look`."""
        unseen = [arn for arn in reversed(self._followed) if arn in self._unseen]
        for start in range(0, len(unseen), DESCRIBED_AT_ONCE):
            some = [arn for arn in unseen[start : start + DESCRIBED_AT_ONCE] if arn in self._unseen]
            if some:
                await self._ask_after(some)

    async def _ask_after(self, arns: Sequence[TaskArn]) -> None:
        asked_at = self._around.clock.monotonic_s()
        tasks, missing = await self._around.ecs.describe_tasks(arns)
        try:
            await self._take_over(tasks)
        except QueueUnreachable:
            raise
        except QueueError as error:  # of a record that is damaged: others need not wait
            log.warning("news of tasks not written down yet", error=str(error))
        await self.holdings.learn(
            (task, self._followed[task.arn].job_id) for task in tasks if task.arn in self._followed
        )
        for arn in missing:
            await self._missing(arn, asked_at)

    async def hear(self, task: Task) -> bool:
        """Take over an event about one task; whether it is one that we follow."""
        if task.arn not in self._followed:
            return False
        await self._take_over([task])
        return True

    async def stop_cancelled(self) -> None:
        """StopTask for each job that was cancelled or ran into its timeout and whose task is known;
        again when nothing came of it.
        """
        for cancellation in await self._around.queue.cancellations():
            arn = cancellation.task_arn
            followed = self._followed.get(arn) if arn is not None else None
            if arn is not None and followed is not None:
                await stop(
                    self._around, arn, followed, f"job {followed.job_id}: {cancellation.reason}"
                )

    @property
    def provisioning(self) -> int:
        """Tasks for which ECS has not found a place yet."""
        return sum(self._followed[arn].unplaced for arn in self._placeless)

    def unplaced_for(self, at_least_s: float) -> list[TaskArn]:
        """Tasks that ECS has shown without a place for so long, the oldest first."""
        since = self._around.clock.monotonic_s() - at_least_s
        seen = [(self._followed[arn].phase_since, arn) for arn in self._placeless]
        return [a for at, a in sorted(seen) if 0 < at <= since and self._followed[a].unplaced]

    def unplaced(self, arn: TaskArn) -> bool:
        """Whether this task is followed, and was not shown at a place yet."""
        return arn in self._followed and self._followed[arn].unplaced

    def job_of(self, arn: TaskArn) -> JobId | None:
        """The job of a task that is followed; None for any other, as of one that has ended."""
        followed = self._followed.get(arn)
        return followed.job_id if followed is not None else None

    async def stop(self, arn: TaskArn, reason: str) -> None:
        """StopTask for one task that is followed; again when nothing came of it."""
        if (followed := self._followed.get(arn)) is not None:
            await stop(self._around, arn, followed, reason)

    async def stop_on(self, instance: InstanceArn, reason: str) -> None:
        """StopTask for each task that runs there; again when nothing came of it."""
        there = [each for each in self._followed.items() if each[1].instance_arn == instance]
        await asyncio.gather(
            *(stop(self._around, arn, followed, reason) for arn, followed in there)
        )

    async def _take_over(self, tasks: Iterable[Task]) -> None:
        """What is news among these; an answer may be older than an event that came before it."""
        news = [task for task in tasks if self._is_news(task)]
        await self._report_running(news)
        await self._stopped([task for task in news if task.last_status in ("STOPPED", "DELETED")])

    def _is_news(self, task: Task) -> bool:
        followed = self._followed.get(task.arn)
        if followed is None:
            return True
        if task.version < followed.version:
            return False
        self._heard_of(task.arn)
        followed.version = task.version
        followed.instance_arn = task.instance_arn
        self._know_place(task.arn, followed)
        phase = (task.last_status, task.desired_status)
        if phase != followed.phase:
            followed.phase, followed.phase_since = phase, self._around.clock.monotonic_s()
        return True

    async def _report_running(self, tasks: Iterable[Task]) -> None:
        sightings = []
        for task in tasks:
            followed = self._followed.get(task.arn)
            if followed is None:
                continue
            followed.missing_since = None
            self._tell_model(task)
            if task.has_run and not followed.reported:
                followed.running = True
                at_ms = task.started_at_ms or self._around.clock.now_ms()
                sightings.append(Sighting(task.arn, at_ms, task.instance_arn))
        if sightings:
            await self._around.queue.running(sightings)
        for each in sightings:
            if (followed := self._followed.get(each.task_arn)) is not None:
                followed.reported = True

    def _tell_model(self, task: Task) -> None:
        """What the instance holds for a task, and what it has run."""
        model, instance = self._around.model, task.instance_arn
        if instance is None:
            return
        if task.desired_status == "RUNNING":
            model.runs(instance, task.arn, task.group)
        if task.interfaces and task.last_status != "STOPPED":
            model.holds_interface(instance, task.arn)
        if task.gpus and task.last_status != "STOPPED":
            model.holds_gpus(instance, task.arn, task.gpus)
        if task.has_run:
            model.ran(instance, task.family)

    async def _stopped(self, tasks: Collection[Task]) -> None:
        """Write the ends down at once, those of successes together: a burst of endings would
        otherwise wait a round trip to Redis for each.
        """
        definitions = list(dict.fromkeys(task.task_definition_arn for task in tasks))
        essential_of = self._around.definitions.essential
        answers = await asyncio.gather(*map(essential_of, definitions), return_exceptions=True)
        essential = dict(zip(definitions, answers, strict=True))
        succeeded: list[tuple[Task, Verdict]] = []
        rest: list[tuple[Task, Verdict]] = []
        for task in tasks:
            names = essential[task.task_definition_arn]
            if isinstance(names, BaseException):
                continue
            self._judge_slowness(task)
            end = verdict(task, names)
            (succeeded if isinstance(end, Succeeded) else rest).append((task, end))
        await asyncio.gather(
            self._succeeded(succeeded), *(self._failed(task, end) for task, end in rest)
        )
        for each in answers:
            if isinstance(each, BaseException):
                raise each

    def _judge_slowness(self, task: Task) -> None:
        now = self._around.clock.monotonic_s()
        if task.instance_arn is not None and was_slow(self._followed.get(task.arn), now):
            self._around.model.slowness.add(task.instance_arn, now)

    async def _succeeded(self, ended: Sequence[tuple[Task, Verdict]]) -> None:
        endings = [(task.arn, end, 0) for task, end in ended]
        try:
            states = await self._around.queue.finish_all(endings)
        except QueueUnreachable:
            raise
        except QueueError:
            if len(ended) == 1:
                raise
            # A record that cannot be read ended the script: the others must not wait for it.
            middle = len(ended) // 2
            await asyncio.gather(self._succeeded(ended[:middle]), self._succeeded(ended[middle:]))
            return
        for (task, end), state in zip(ended, states, strict=True):
            self._ended(task.arn, end, state)
            self._left(task)

    async def _failed(self, task: Task, end: Verdict) -> None:
        await self._finish(task.arn, end, at_once=was_interrupted(task))
        self._left(task)

    def _left(self, task: Task) -> None:
        """Its instance has news, and may be to blame."""
        if task.instance_arn is not None:
            self._around.model.stopped(task.instance_arn, task.arn)
            if task.stop_code in BLAMED_STOP_CODES:
                self._around.model.blame.add(task.instance_arn, self._around.clock.monotonic_s())

    async def _missing(self, arn: TaskArn, asked_at: float) -> None:
        """ECS may hide a young task and forgets an old one; in between, five minutes of silence
        count.

        A task that was seen running is not run again, since it may have done its work.
        """
        followed = self._followed.get(arn)
        if followed is None:
            return
        self._heard_of(arn)
        if followed.missing_since is None:
            followed.missing_since = asked_at
        if asked_at - followed.missing_since < MISSING_FOR_S:
            return
        if followed.running:
            text = "ECS no longer knows the task, so its outcome is lost"
            await self._finish(arn, TaskFailed(f"{text}; it had been running"))
        else:
            await self._finish(
                arn, InfrastructureFailed("ECS does not know the task; it was never seen running")
            )

    async def _finish(self, arn: TaskArn, outcome: Verdict, *, at_once: bool = False) -> None:
        """Write the end down; `at_once` has a retry wait for nothing."""
        followed = self._followed.get(arn)
        if followed is None:
            return  # it was written down meanwhile, or will be by another scheduler
        delay_ms = 0
        try:
            if not isinstance(outcome, Succeeded):
                record = await self._around.queue.job(followed.job_id)
                outcome, delay_ms = next_step(outcome, record, jitter_of(arn))
                delay_ms = 0 if at_once else delay_ms
            state = await self._around.queue.finish(arn, outcome, delay_ms=delay_ms)
        except UnknownJob:
            state = None
        self._ended(arn, outcome, state)

    def _ended(self, arn: TaskArn, outcome: Verdict, state: JobState | None) -> None:
        if state is None:
            log.warning("a task ended that no job knows", task=arn)
        followed = self._followed.get(arn)
        self._forget(arn)
        self.holdings.ended(arn)
        if followed is not None and followed.instance_arn is not None:
            self._around.model.stopped(followed.instance_arn, arn)
        if followed is not None and state is not JobState.SUCCEEDED:
            job_id, why, state = followed.job_id, outcome.reason, state or JobState.FAILED
            log.info("task ended", task=arn, job=job_id, state=state, reason=why)
