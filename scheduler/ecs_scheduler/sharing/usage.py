"""What each share uses of the cluster, now and decayed over the time before.

Fed by launches as they start, pruned by what is still alive; what an earlier scheduler launched is
looked up in the queue.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecs_queue.errors import QueueError, QueueUnreachable
from ecs_scheduler.errors import JobUnusable, SchedulerError
from ecs_scheduler.sharing.fairness import NOTHING, Cluster, Demand, Used
from ecs_scheduler.sharing.rates import LaunchRates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ecs_queue.job import Job, JobId
    from ecs_scheduler.ecs.task_definitions import TaskDefinition
    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.window import Held
    from ecs_scheduler.sharing.rules import Rules

LOOKED_UP_AT_ONCE, LOOKED_UP_A_PASS = 200, 2000


@dataclass(frozen=True, slots=True)
class _Task:
    share: str
    family: str
    demand: Demand


class ShareUsage:
    """Live tasks by share; `decay_s` 0 keeps no memory of what has ended."""

    def __init__(self, around: Around, decay_s: float, rules: Rules) -> None:
        self._around = around
        self._decay_s = decay_s
        self._rates = LaunchRates(rules)
        self._tasks: dict[JobId, _Task] = {}
        self._history: dict[str, float] = {}
        self._measured_at: float | None = None

    def starts(self, held: Held) -> None:
        """This job is being launched."""
        share = held.claim.job.share
        self._tasks[held.job_id] = _Task(share, held.definition.family, demand_of(held))
        self._rates.spend(share)

    def keep_only(self, alive: Collection[JobId]) -> None:
        """Forget what has ended."""
        for job_id in [each for each in self._tasks if each not in alive]:
            del self._tasks[job_id]

    async def look_up(self, alive: Collection[JobId], *, all_of_them: bool) -> None:
        """Ask after what we did not launch ourselves: all, or as many as a pass can wait for."""
        unknown = [each for each in alive if each not in self._tasks]
        most = len(unknown) if all_of_them else min(len(unknown), LOOKED_UP_A_PASS)
        for start in range(0, most, LOOKED_UP_AT_ONCE):
            await self._look_up(unknown[start : start + LOOKED_UP_AT_ONCE])

    async def _look_up(self, job_ids: Sequence[JobId]) -> None:
        jobs = await asyncio.gather(*map(self._job, job_ids))
        for job in filter(None, jobs):  # in turn: a definition is asked for once
            try:
                definition = await self._around.definitions.resolve(job.task_definition)
                if isinstance(definition, JobUnusable):  # its revision may be deregistered by now
                    definition = await self._around.definitions.of_task(job.task_definition)
            except SchedulerError:
                continue  # it can be had at the next look
            if isinstance(definition, JobUnusable):
                self._tasks[job.id] = _Task(job.share, "", NOTHING)
            else:
                self._tasks[job.id] = self._task(job, definition)

    async def _job(self, job_id: JobId) -> Job | None:
        try:
            return (await self._around.queue.job(job_id)).job
        except QueueUnreachable:
            raise
        except QueueError:
            return None  # it ends soon, or its record is damaged

    def _task(self, job: Job, definition: TaskDefinition) -> _Task:
        try:
            shape = self._around.definitions.shape(definition, job)
        except JobUnusable:
            return _Task(job.share, definition.family, NOTHING)
        return _Task(job.share, definition.family, (shape.cpu_units, shape.memory_mib, shape.gpus))

    def cluster(self, total: Demand, now: float, waiting: Iterable[str] = ()) -> Cluster:
        """The cluster as fairness sees it, with the launches left to the shares that wait; also
        counts the time since the last call.
        """
        running = Counter(task.share for task in self._tasks.values())
        families = Counter(task.family for task in self._tasks.values())
        amounts = dict.fromkeys(running, NOTHING)
        for task in self._tasks.values():
            cpu, memory, gpus = amounts[task.share]
            more = task.demand
            amounts[task.share] = (cpu + more[0], memory + more[1], gpus + more[2])
        self._remember(amounts, total, now)
        names = {*running, *self._history}
        used = {
            name: Used(running[name], amounts.get(name, NOTHING), self._history.get(name, 0.0))
            for name in names
        }
        return Cluster(total, used, families, self._rates.allowed(waiting, now))

    def _remember(self, amounts: dict[str, Demand], total: Demand, now: float) -> None:
        if self._decay_s <= 0:
            return
        elapsed = 0.0 if self._measured_at is None else max(0.0, now - self._measured_at)
        self._measured_at = now
        kept = math.exp(-elapsed / self._decay_s)
        for name in {*amounts, *self._history}:
            amount = amounts.get(name, NOTHING)
            part = max((a / t for a, t in zip(amount, total, strict=True) if t), default=0.0)
            self._history[name] = self._history.get(name, 0.0) * kept + part * (1 - kept)
        self._history = {name: value for name, value in self._history.items() if value > 1e-6}


def demand_of(held: Held) -> Demand:
    """What the job takes of the cluster."""
    return (held.shape.cpu_units, held.shape.memory_mib, held.shape.gpus)
