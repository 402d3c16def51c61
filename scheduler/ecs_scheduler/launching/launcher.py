"""Launching: intent in the ledger, one call, one answer, settled per job by its outcome.

A launch runs in the background of the passes. Each job ends it started, refused (back in the
queue), or unknown (the intent stands, and the reconciler finds out).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ecs_queue.errors import QueueError, QueueUnreachable
from ecs_queue.states import Intent, LaunchOutcome, LaunchToken, Refused, Rejected, Started
from ecs_scheduler.cluster.row import SHOWN_AFTER_S
from ecs_scheduler.ecs.budget import left_by
from ecs_scheduler.ecs.launch_answer import LaunchFailure
from ecs_scheduler.errors import (
    AwsRefused,
    CallNotSent,
    CallRefused,
    CallUnknown,
    ClusterNotFound,
    SchedulerError,
    Throttled,
)
from ecs_scheduler.launching.introduction import Introduction
from ecs_scheduler.launching.launch import Launch, Slot, match
from ecs_scheduler.passes.narrowing import group_of
from ecs_scheduler.passes.status import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from ecs_placement.request import Shape
    from ecs_queue.job import JobId
    from ecs_scheduler.ecs.launch_answer import LaunchAnswer
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.window import Held

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MOST_IN_FLIGHT = 50
"""Calls at once; as many as the SDK keeps connections."""

AGENT_AVOIDED_S = 30.0
"""How long an instance is left alone whose agent was disconnected."""

REFUSED_FOR_S = 600.0
"""How long a task definition's tasks stay away from an instance that lacks an attribute of it, or
lies in another zone than its subnets: neither changes often.
"""

REFUSED_AVOIDED_S = 5.0
"""The same for RESOURCE:*, where the next look at the instance tells the truth."""

REFUSED_WEIGHT = 0.5
"""Of such refusals, one for each look: somebody else may have been faster, but not again and again
where ECS says that there is room.
"""

FALLBACK_DELAY_MS = 30_000
"""Wait of a job whose fallback ECS refused."""

NOT_MADE_DELAY_MS = 2_000
"""Wait of a job whose call could not be made at all, so that an outage does not spin."""

SETTLE_ATTEMPTS = 5
LATEST_KEPT = 50
RATE_WINDOW_S = 5.0


@dataclass(slots=True)
class LaunchRecord:
    """What the launcher did so far: tasks started, calls answered, the latest placements."""

    tasks: int = 0
    calls: int = 0
    latest: deque[Placement] = field(default_factory=lambda: deque(maxlen=LATEST_KEPT))
    recent: deque[tuple[float, int]] = field(default_factory=deque)

    def rate_per_s(self, now: float) -> float:
        """Tasks started per second over the last seconds."""
        while self.recent and self.recent[0][0] < now - RATE_WINDOW_S:
            self.recent.popleft()
        return sum(tasks for _, tasks in self.recent) / RATE_WINDOW_S


class Intended(NamedTuple):
    """When a launch of ours was written down, and its jobs."""

    at: float
    jobs: frozenset[JobId]


class Launcher:
    """Runs launches in the background, at most MOST_IN_FLIGHT at once."""

    def __init__(self, around: Around, tracker: Tracker) -> None:
        self._around = around
        self._tracker = tracker
        self._running: dict[asyncio.Task[None], tuple[LaunchToken, frozenset[JobId]]] = {}
        self._unpaid: set[LaunchToken] = set()
        self._falling_back: dict[LaunchToken, int] = {}
        self.introduction = Introduction(around.queue, around.config.worker_url)
        self.identity = ""
        self._connections = asyncio.Semaphore(MOST_IN_FLIGHT)
        self.record = LaunchRecord()
        self.intended: dict[LaunchToken, Intended] = {}
        """Launches that are not settled; the reconciler forgets those that stand no more."""

    @property
    def capacity(self) -> int:
        """How many more calls may start now: the tokens that are left, less the calls on their
        way to one.
        """
        budget = self._around.ecs.budget
        affordable = budget.modify.available(budget.STOP_RESERVE) - len(self._unpaid)
        return max(0, min(affordable, MOST_IN_FLIGHT - len(self._running)))

    @property
    def most_at_once(self) -> int:
        """What `capacity` comes to when nothing is under way and the budget is full."""
        budget = self._around.ecs.budget
        burst = budget.modify.burst
        return max(1, min(burst - left_by(budget.STOP_RESERVE, burst), MOST_IN_FLIGHT))

    @property
    def falling_back(self) -> int:
        """Jobs of RunTask calls that have not ended."""
        return sum(self._falling_back.values())

    @property
    def in_flight(self) -> frozenset[LaunchToken]:
        """Tokens of calls that have not ended; the reconciler leaves them alone."""
        return frozenset(token for token, _ in self._running.values())

    @property
    def jobs_in_flight(self) -> frozenset[JobId]:
        """Jobs of calls that have not ended."""
        return frozenset(job_id for _, jobs in self._running.values() for job_id in jobs)

    @property
    def jobs_in_doubt(self) -> frozenset[JobId]:
        """Jobs of launches that were written down and not settled: their tasks may run."""
        return frozenset().union(*(each.jobs for each in self.intended.values()))

    def forget_intended(self, before: float, standing: AbstractSet[LaunchToken]) -> None:
        """The reconciler sees of those that were written down before which still stand."""
        kept = standing | self.in_flight
        self.intended = {
            token: each
            for token, each in self.intended.items()
            if each.at >= before or token in kept
        }

    def start(self, launch: Launch) -> None:
        """Promise the room and launch in the background, as soon as there is a token for it."""
        token = LaunchToken(self.identity + self._around.queue.new_token()[len(self.identity) :])
        self._promise(launch)
        self._unpaid.add(token)
        if launch.target is not None:
            self._falling_back[token] = len(launch.slots)
        task = asyncio.create_task(self._in_turn(launch, token), name=f"launch {token}")
        self._running[task] = token, frozenset(slot.job_id for slot in launch.slots)
        task.add_done_callback(self._ended)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in flight; what does not end in time is cut off, and its intent
        stands for the next scheduler.
        """
        if not self._running:
            return
        _, late = await asyncio.wait(tuple(self._running), timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def abandon(self) -> None:
        """Cut off what is in flight, at once; its intents stand for the next scheduler."""
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        token, _ = self._running.pop(task)
        self._unpaid.discard(token)
        self._falling_back.pop(token, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "launch broke off; the reconciler will settle it", token=token, exc_info=error
            )

    async def _in_turn(self, launch: Launch, token: LaunchToken) -> None:
        """A large gang has more calls than connections."""
        async with self._connections:
            await self._launch(launch, token)

    async def _launch(self, launch: Launch, token: LaunchToken) -> None:
        around = self._around
        await around.ecs.launch_allowed()
        self._unpaid.discard(token)
        intended_at = around.clock.monotonic_s()
        launch = await self._intend(launch, token)
        jobs = frozenset(slot.job_id for slot in launch.slots)
        self.intended[token] = Intended(around.clock.monotonic_s(), jobs)
        if not launch.slots:
            return
        self._promise(launch)
        try:
            answer = await self._call(launch, token, intended_at)
        except (Throttled, CallNotSent, AwsRefused, ClusterNotFound, QueueError) as error:
            log.warning("launch not made", token=token, error=str(error))
            await self._settle(launch, token, _not_made(launch, str(error)))
        except CallRefused as error:
            log.warning("launch refused", token=token, error=str(error))
            await self._settle(launch, token, await self._refused(launch, str(error)))
        except CallUnknown as error:
            log.warning("launch outcome unknown", token=token, error=str(error))
            self._around.metrics.launched(launch.api, "unknown", len(launch.slots))
        else:
            self.record.calls += 1
            pairs = match(launch, answer)
            await self._settle(launch, token, self._outcomes(launch, pairs))

    async def _intend(self, launch: Launch, token: LaunchToken) -> Launch:
        """Write the ledger entry; what comes back is the launch of those jobs that are still
        ours.
        """
        around = self._around
        intents = [Intent(s.job_id, s.held.claim.epoch, s.instance) for s in launch.slots]
        try:
            accepted = await around.queue.intend(around.owner, token, launch.api, intents)
        except QueueError as error:
            # It may be recorded all the same; no call was made, so it can be taken back.
            log.warning("intent not recorded", token=token, error=str(error))
            await self._settle(launch, token, _not_made(launch, "the launch was not recorded"))
            return launch.only(())
        for slot in launch.slots:
            if slot.job_id not in accepted:
                self._withdraw(slot)
        return launch.only(accepted)

    def _promise(self, launch: Launch) -> None:
        """Keep the room until ECS must show the launch, should nobody tell us its outcome."""
        around = self._around
        certain_at = around.clock.monotonic_s() + around.config.certain_after_s + SHOWN_AFTER_S
        for slot in launch.slots:
            if slot.instance is not None:
                held = slot.held
                shape = _in_group(held.shape, group_of(held.definition, held.claim.job))
                around.model.promise(slot.instance, slot.job_id, shape, certain_at)

    async def _call(self, launch: Launch, token: LaunchToken, intended_at: float) -> LaunchAnswer:
        """Raises QueueError, before the call, where the tasks cannot be told of the service."""
        ecs, around = self._around.ecs, self._around
        signature = await self.introduction.to(launch, token)
        if around.clock.monotonic_s() - intended_at > around.config.send_within_s:
            # Others may look for this launch before its call would have ended.
            raise CallNotSent(launch.api, "HeldUp", "held up before the call")
        if launch.target is not None:
            return await ecs.run_task(signature, len(launch.slots), launch.target, token)
        instances = [slot.instance for slot in launch.slots if slot.instance is not None]
        return await ecs.start_task(signature, instances, token)

    def _outcomes(
        self, launch: Launch, pairs: list[tuple[Slot, Task | LaunchFailure]]
    ) -> list[LaunchOutcome]:
        outcomes: list[LaunchOutcome] = []
        for slot, result in pairs:
            if isinstance(result, LaunchFailure):
                self._learn(slot, result)
                outcomes.append(Refused(slot.job_id, f"{launch.api}: {_sentence(result)}"))
            else:
                outcomes.append(Started(slot.job_id, result.arn, result.instance_arn))
        return outcomes

    def _learn(self, slot: Slot, failure: LaunchFailure) -> None:
        """A refusal is news about the instance: look at it again, and leave it alone meanwhile."""
        model = self._around.model
        if slot.instance is None:
            return
        if failure.reason in ("MISSING", "INACTIVE"):
            model.forget(slot.instance)
            return
        now = self._around.clock.monotonic_s()
        if failure.reason in ("ATTRIBUTE", "LOCATION"):
            model.refuse(slot.instance, slot.held.definition.arn, now + REFUSED_FOR_S)
            return
        if failure.reason == "RESOURCE:ENI":
            model.interfaces_exhausted(slot.instance)
        if failure.reason.startswith("RESOURCE:"):
            if not model.avoids(slot.instance, now):
                model.blame.add(slot.instance, now, REFUSED_WEIGHT)
            model.avoid(slot.instance, now + REFUSED_AVOIDED_S)
        else:
            model.blame.add(slot.instance, now)
            model.avoid(slot.instance, now + AGENT_AVOIDED_S)
        model.stale.add(slot.instance)

    async def _settle(
        self, launch: Launch, token: LaunchToken, outcomes: Sequence[LaunchOutcome]
    ) -> None:
        """Record the outcomes, here and in the ledger. If Redis stays away the intent stands,
        and the reconciler finds the same.
        """
        slots = {slot.job_id: slot for slot in launch.slots}
        started = [(slots[each.job_id], each) for each in outcomes if isinstance(each, Started)]
        if started:
            self._started(launch, started)
        for outcome in outcomes:
            if not isinstance(outcome, Started):
                slot = slots[outcome.job_id]
                self._withdraw(slot)
                self._around.metrics.launched(launch.api, "refused")
                self._tell_trial(slot.held, refused=True)
        for attempt in range(SETTLE_ATTEMPTS):
            try:
                await self._around.queue.settle(token, outcomes)
                if len(outcomes) == len(launch.slots):
                    self.intended.pop(token, None)
                return
            except QueueUnreachable as error:
                log.warning("launch not settled yet", token=token, error=str(error))
                await asyncio.sleep(0.2 * 2**attempt)

    def _tell_trial(self, held: Held, *, refused: bool) -> None:
        """A policy on trial is judged by how its jobs fare."""
        clock = self._around.clock
        wait_s = max(0.0, (clock.now_ms() - held.claim.runnable_at_ms) / 1000)
        trying = self._around.policies.trying
        trying.launched(held.policy, clock.monotonic_s(), wait_s, refused=refused)

    def _started(self, launch: Launch, started: Sequence[tuple[Slot, Started]]) -> None:
        around, now = self._around, self._around.clock.monotonic_s()
        at_ms = around.clock.now_ms()
        for slot, outcome in started:
            arn, instance = outcome.task_arn, outcome.instance_arn
            if slot.instance is not None:
                around.model.acknowledge(slot.instance, slot.job_id, arn, now)
            self._tracker.follow(arn, slot.job_id, slot.held.definition.arn, instance)
            self._tracker.holdings.know(arn)
            self._tell_trial(slot.held, refused=False)
            where, why = (instance or "").rpartition("/")[2], slot.detail or launch.detail
            self.record.latest.append(Placement(slot.job_id, where, launch.api, why, at_ms))
        around.metrics.launched(launch.api, "started", len(started))
        self.record.tasks += len(started)
        self.record.recent.append((now, len(started)))

    async def _refused(self, launch: Launch, error: str) -> list[LaunchOutcome]:
        """ECS would refuse these jobs again, unless only the revision that they were resolved to is
        gone: a family has another one, or its job is told so when it is claimed next.

        A refused fallback is no reason to give them up either: room may come for StartTask, and the
        setting may be mended.
        """
        definition = launch.slots[0].held.definition
        try:
            active = await self._around.definitions.still_active(definition.arn)
        except SchedulerError as doubt:
            return [*_not_made(launch, f"{error}; {doubt}")]
        if not active:
            return [Refused(slot.job_id, error) for slot in launch.slots]
        if launch.target is None:
            return [Rejected(slot.job_id, error) for slot in launch.slots]
        text = f"fallback not usable: {error}"
        return [Refused(slot.job_id, text, FALLBACK_DELAY_MS) for slot in launch.slots]

    def _withdraw(self, slot: Slot) -> None:
        if slot.instance is not None:
            self._around.model.withdraw(slot.instance, slot.job_id)


@lru_cache(maxsize=1024)
def _in_group(shape: Shape, group: str) -> Shape:
    return replace(shape, group=group)


def _not_made(launch: Launch, reason: str) -> list[LaunchOutcome]:
    return [Refused(slot.job_id, reason, NOT_MADE_DELAY_MS) for slot in launch.slots]


def _sentence(failure: LaunchFailure) -> str:
    where = failure.arn.rpartition("/")[2]
    return " ".join(part for part in (failure.reason, failure.detail, f"({where})") if part)
