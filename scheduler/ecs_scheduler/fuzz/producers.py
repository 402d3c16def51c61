"""Those who submit, steer and cancel jobs; they say again what Redis may have forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecs_queue.schedules import Schedules
from ecs_queue.states import AlreadyEnded, Cancellation, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ecs_queue.client import Queue
    from ecs_queue.job import JobId
    from ecs_queue.schedule import Schedule
    from ecs_queue.states import QueueName
    from ecs_scheduler.fuzz.history import History
    from ecs_scheduler.fuzz.jobs import PlannedJob
    from ecs_scheduler.fuzz.scenario import Happening


LATEST = 6
"""Those submitted last are steered: they may still wait."""


@dataclass(slots=True)
class Producers:
    """All producers of all queues."""

    queues: Mapping[QueueName, Queue]
    history: History
    now_ms: Callable[[], int]
    submitted: list[PlannedJob] = field(default_factory=list)
    cancellations: dict[JobId, Cancellation] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    """Those that stand, on the first queue."""

    async def submit(self, planned: PlannedJob) -> None:
        """Submit a job when its time comes, and cancel it if that is planned."""
        await asyncio.sleep(planned.submitted_at_s)
        await self.queues[planned.queue].submit([planned.job])
        self.submitted.append(planned)
        if planned.cancelled_at_s is not None:
            await asyncio.sleep(planned.cancelled_at_s - planned.submitted_at_s)
            self.cancellations[planned.job.id] = await self._cancel(planned)

    async def steer(self, happening: Happening) -> None:
        """Do one thing to a job or a queue, and undo it later."""
        queue = self._some_queue(happening.which)
        if happening.what == "pause":
            self._say("queue paused")
            await queue.steering.pause()
            await asyncio.sleep(happening.for_s)
            await queue.steering.unpause()
        elif self.submitted:
            latest = self.submitted[-LATEST:]
            planned = latest[happening.which % len(latest)]
            steering, job_id = self.queues[planned.queue].steering, planned.job.id
            if happening.what == "suspend":
                [answer] = await steering.suspend([job_id])
                self._say(f"suspend {job_id}: {type(answer).__name__}")
                await asyncio.sleep(happening.for_s)
                await steering.resume([job_id])
            else:
                [answer] = await steering.reprioritise([job_id], happening.which)
                self._say(f"reprioritise {job_id}: {type(answer).__name__}")

    async def schedule(self, schedule: Schedule, for_s: float) -> None:
        """Keep a schedule for a while."""
        self._say(f"schedule {schedule.name}: {schedule.cron}")
        self.schedules[schedule.name] = schedule
        await self._schedules().put(schedule, self.now_ms())
        await asyncio.sleep(for_s)
        await self._remove(schedule.name)

    async def again(self) -> None:
        """Submit, cancel and schedule once more: what is known is not done twice."""
        for planned in self.submitted:
            await self.queues[planned.queue].submit([planned.job])
            before = self.cancellations.get(planned.job.id)
            if before is not None:
                answer = await self._cancel(planned)
                done = isinstance(answer, AlreadyEnded) and answer.state is JobState.CANCELLED
                self.cancellations[planned.job.id] = before if done else answer
        for schedule in self.schedules.values():
            await self._schedules().put(schedule, self.now_ms(), replace=True)

    async def let_go(self) -> None:
        """Nothing is suspended any more, and no tick comes."""
        for name in list(self.schedules):
            await self._remove(name)
        for queue in self.queues.values():
            await queue.steering.unpause()
        for planned in self.submitted:
            await self.queues[planned.queue].steering.resume([planned.job.id])

    async def _remove(self, name: str) -> None:
        if self.schedules.pop(name, None) is not None:
            await self._schedules().remove(name)

    async def _cancel(self, planned: PlannedJob) -> Cancellation:
        queue = self.queues[planned.queue]
        [answer] = await queue.cancel([planned.job.id], "cancelled by the fuzzer")
        self._say(f"cancel {planned.job.id}: {type(answer).__name__}")
        return answer

    def _schedules(self) -> Schedules:
        return Schedules(self._some_queue(0).run)

    def _some_queue(self, which: int) -> Queue:
        queues = list(self.queues.values())
        return queues[which % len(queues)]

    def _say(self, what: str) -> None:
        self.history.say("producer", what)
