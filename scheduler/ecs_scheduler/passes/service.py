"""The service: a loop of passes; beside it sweep, tracker, reconciler and the lease's heartbeat."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import LeaseLost, QueueError
from ecs_queue.states import JobState, OwnerId
from ecs_scheduler.cluster.listener import Listener
from ecs_scheduler.cluster.model import ClusterModel
from ecs_scheduler.cluster.sweep import Sweep
from ecs_scheduler.ecs.shared_bucket import share_budget
from ecs_scheduler.ecs.task_definitions import TaskDefinitions
from ecs_scheduler.errors import SchedulerError
from ecs_scheduler.explaining.explainer import Explainer, Sight
from ecs_scheduler.launching.interruptions import Interruptions
from ecs_scheduler.launching.launcher import Launcher
from ecs_scheduler.launching.provisioning import Provisioning
from ecs_scheduler.launching.reconciler import Reconciler
from ecs_scheduler.launching.rewind import Rewind
from ecs_scheduler.launching.strays import Strays
from ecs_scheduler.launching.tracker import Tracker
from ecs_scheduler.passes.around import Around
from ecs_scheduler.passes.kinds import API_BUDGET
from ecs_scheduler.passes.leadership import Leadership
from ecs_scheduler.passes.pace import Pace, pause_after, worth_telling
from ecs_scheduler.passes.passing import Passing
from ecs_scheduler.passes.recurring import Recurring
from ecs_scheduler.passes.status import ServiceStatus
from ecs_scheduler.passes.window import Window
from ecs_scheduler.policies.live import LivePolicies
from ecs_scheduler.policies.roll_backs import RollBacks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from ecs_queue.client import Queue
    from ecs_scheduler.clock import Clock
    from ecs_scheduler.config import Config
    from ecs_scheduler.ecs.client import Ecs
    from ecs_scheduler.metrics import Metrics

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STANDBY_STEPS = ("lead", "observe")
"""What a scheduler does that does not lead; the rest waits until it does."""

STEPS_END_S = 2.0
RESIGN_S = 3.0
"""Shares of the drain time-out: for steps under way to end, and for handing the claims back."""


class Service:
    """Places the jobs of one queue on one ECS cluster until it is stopped."""

    def __init__(
        self, config: Config, queue: Queue, ecs: Ecs, metrics: Metrics, clock: Clock
    ) -> None:
        definitions = TaskDefinitions(ecs, clock.monotonic_s)
        self._around = around = Around(
            config=config,
            queue=queue,
            owner=OwnerId(f"scheduler-{queue.new_token()[:12]}"),
            ecs=ecs,
            model=ClusterModel(),
            definitions=definitions,
            metrics=metrics,
            clock=clock,
            policies=LivePolicies.of(config),
        )
        self.policies = around.policies
        self.pace = Pace()
        self._window = Window(config.window)
        self._sweep = Sweep(around)
        self._tracker = Tracker(around)
        self._provisioning = Provisioning(around, self._tracker)
        self._launcher = Launcher(around, self._tracker)
        self._passing = Passing(
            around, self._window, self._launcher, self._tracker, self._provisioning
        )
        self._strays = Strays(around)
        self._rewind = Rewind(around, self._launcher, self._tracker)
        self._interruptions = Interruptions(around, self._tracker)
        self._listener = Listener(around, self._tracker, self._interruptions.notice)
        self._recurring = Recurring(around)
        self._roll_backs = RollBacks(around)
        self._reconciler = Reconciler(around, self._launcher, self._tracker)
        self._leadership = Leadership(around, self._lead_changed)
        self.explainer = Explainer(
            Sight(
                around,
                self._window,
                self._launcher,
                self._passing.ordering,
                self._passing.forecast,
                lambda: self._leadership.leading,
            )
        )
        self._stopping = asyncio.Event()
        self._counts: Mapping[JobState, int] = {}
        self._dead_letters = 0
        metrics.watch_ecs_calls(ecs.calls)
        metrics.watch_events(self._listener.counts)

    async def run(self) -> None:
        """Run until `stop`. Raises what a person has to mend first: cluster, credentials, Redis."""
        around, config = self._around, self._around.config
        share_budget(around, await around.ecs.verify_cluster())
        await self._leadership.campaign()
        log.info(
            "scheduler started", owner=around.owner, queue=config.queue, cluster=config.cluster
        )
        try:
            await self._run_loops()
        except BaseException:
            self._launcher.abandon()
            raise
        self._passing.close()
        await self._resign()
        await self._launcher.drain(max(1.0, config.drain_timeout_s - STEPS_END_S - RESIGN_S))

    async def _run_loops(self) -> None:
        config, pace = self._around.config, self.pace
        running: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as loops:
            for name, interval_s, step in (
                ("pass", config.pass_interval_s, self._pass),
                ("lead", config.lease_s / 4, self._leadership.campaign),
                ("sweep", config.sweep_interval_s, self._look_around),
                ("refresh", pace.refresh_s, self._refresh),
                ("track", config.track_interval_s, self._track),
                ("interruptions", pace.interruptions_s, self._interruptions.look),
                ("rewind", pace.reconcile_s, self._rewind.look),
                ("reload", pace.reload_s, self._tracker.load),
                ("reconcile", pace.reconcile_s, self._reconciler.look),
                ("strays", pace.reconcile_s, self._strays.look),
                ("roll back", pace.reconcile_s, self._roll_backs.look),
                ("recurring", pace.recurring_s, self._recurring.look),
                ("come back", pace.come_back_s, self._come_back),
                ("observe", pace.observe_s, self._observe),
                *self._listener.steps(),
            ):
                running.append(loops.create_task(self._repeat(name, interval_s, step), name=name))
            loops.create_task(self._stop_together(running), name="stop together")

    def stop(self) -> None:
        """Take on nothing more, hand the claims back, let running calls end."""
        self._stopping.set()
        self._leadership.release()

    def status(self) -> ServiceStatus:
        """The service at this moment."""
        around, now = self._around, self._around.clock.monotonic_s()
        used, total = around.model.utilisation(now)
        complete_at = around.model.complete_at
        record = self._launcher.record
        return ServiceStatus(
            at_ms=around.clock.now_ms(),
            ready=complete_at is not None
            and self._leadership.leading
            and not self._stopping.is_set(),
            jobs=self._counts,
            instances=len(around.model),
            used=used,
            total=total,
            launched=record.tasks,
            launch_calls=record.calls,
            launches_per_s=record.rate_per_s(now),
            budgets=around.ecs.budget.status(),
            latest=tuple(record.latest),
            waiting=self._window.waiting(),
            held=len(self._window),
            unsettled=self._reconciler.unsettled,
            model_age_s=None if complete_at is None else now - complete_at,
            avoided={arn.rpartition("/")[2]: blame for arn, blame in around.model.bad().items()},
            passes=self._passing.done,
            last_pass_s=self._passing.last_s,
            dead_letters=self._dead_letters,
            leading=self._leadership.leading,
            events=dict(self._listener.counts),
            policies=self.policies.status(),
        )

    @property
    def promised(self) -> int:
        """Launches that room is kept for although ECS does not show them yet."""
        return self._around.model.promised if self._leadership.leading else 0

    @property
    def following(self) -> int:
        """Tasks whose end is waited for."""
        return len(self._tracker) if self._leadership.leading else 0

    async def _stop_together(self, running: Collection[asyncio.Task[None]]) -> None:
        """End all loops when one is cancelled (asyncio.wait_for of Python 3.11 can swallow the
        cancellation of a loop whose call has just been answered), and, once we stop, those whose
        step waits for an ECS or a Redis that does not answer: repeating a step is always safe.
        """
        try:
            await self._stopping.wait()
        finally:
            self.stop()
        _, late = await asyncio.wait(running, timeout=STEPS_END_S)
        while late:
            for loop in late:
                loop.cancel()
            _, late = await asyncio.wait(late, timeout=0.1)

    async def _repeat(
        self, name: str, interval_s: float, step: Callable[[], Awaitable[None]]
    ) -> None:
        """Do `step` again and again, most of them only while we lead. What Redis or AWS did wrong
        is told and tried again, later each time (but not the lead); any other error ends us.
        """
        failures = 0
        leaders_only = name not in STANDBY_STEPS
        until = self._leadership.ends if leaders_only else self._stopping.wait
        while not self._stopping.is_set():
            if leaders_only:
                await self._leadership.begins()
                if self._stopping.is_set():
                    return
            try:
                await step()
                failures = 0
            except LeaseLost as error:
                self._leadership.lose(str(error))
            except (QueueError, SchedulerError) as error:
                failures += 1
                if worth_telling(failures):
                    log.warning("will try again", step=name, failures=failures, error=str(error))
            busy = name == "pass" and self._passing.progress
            pause_s = pause_after(failures, self.pace.busy_s if busy else interval_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s if leaders_only else interval_s):
                    await until()

    def _lead_changed(self, leading: bool) -> None:
        """A new leader starts from what ECS and the queue say, not from what it knew once."""
        self._window.clear()
        self._around.model.complete_at = None
        self._launcher.introduction.forget()
        self._rewind.forget()
        self._tracker.forget_all()
        self._provisioning.forget()

    async def _pass(self) -> None:
        await self._passing.once(self._may_launch)

    def _may_launch(self) -> bool:
        seen = self._around.model.complete_at is not None and self._tracker.loaded
        return seen and self._rewind.allowed

    async def _look_around(self) -> None:
        first = self._around.model.complete_at is None
        await self._sweep.all()
        if first:  # what runs on these instances could not be noted before they were known
            await self._tracker.look_at_unseen()

    async def _refresh(self) -> None:
        if len(self._window):
            await self._sweep.changed()

    async def _track(self) -> None:
        await self._tracker.stop_cancelled()
        await self._provisioning.give_up()
        await self._tracker.look()

    async def _come_back(self) -> None:
        wanted = API_BUDGET in self._window.waiting()
        await self._provisioning.come_back(room_is_wanted=wanted)

    async def _observe(self) -> None:
        await self._around.queue.reclaim_expired()
        self._counts = await self._around.queue.counts()
        self._dead_letters = await self._around.queue.dead_letters_kept()
        self.explainer.observe()
        self._around.metrics.observe(self.status())

    async def _resign(self) -> None:
        try:
            async with asyncio.timeout(RESIGN_S):
                returned = await self._leadership.resign()
            log.info("scheduler stopped", handed_back=returned)
        except (QueueError, TimeoutError) as error:
            log.warning("claims not handed back; their lease will run out", error=repr(error))
