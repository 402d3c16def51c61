"""Whose job comes next: weighted fair shares by dominant resource, within quotas. No I/O.

The share that has the least for its weight goes first, job by job (Ghodsi et al., "Dominant
Resource Fairness", NSDI 2011). What a share does not ask for goes to the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ecs_scheduler.sharing.rules import Rules, ShareRule

T = TypeVar("T")

Demand = tuple[int, int, int]
"""CPU units, MiB of memory, whole GPUs."""

NAMES = ("CPU units", "MiB of memory", "GPUs")
NOTHING: Demand = (0, 0, 0)


def burst_of(rate_per_s: float) -> float:
    """How many tasks a share with this rate may launch at once: those of a second, one at least."""
    return max(1.0, rate_per_s)


@dataclass(frozen=True, slots=True)
class Used:
    """What one share uses now, and `history`: its decayed dominant share of the time before."""

    running: int = 0
    amount: Demand = NOTHING
    history: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T]):
    """A job that waits; `job` is handed back. A gang waits as one: all of it is allowed or nothing,
    and `tasks_by_family` says of how many tasks it is, instead of `family`. One that `lacks_room`
    may be launched if there is some by now, but is not counted before: a job that fits nowhere
    uses up nobody's quota.
    """

    job: T
    demand: Demand
    family: str = ""
    tasks_by_family: Mapping[str, int] | None = None
    lacks_room: bool = False

    @property
    def tasks(self) -> int:
        """How many tasks it is."""
        return 1 if self.tasks_by_family is None else sum(self.tasks_by_family.values())

    @property
    def families(self) -> Mapping[str, int]:
        """Its tasks by family."""
        return self.tasks_by_family or {self.family: 1}


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is, who uses what, and how many tasks of each family run."""

    total: Demand
    used: Mapping[str, Used]
    families: Mapping[str, int] = field(default_factory=dict)
    launches: Mapping[str, float] = field(default_factory=dict)
    """Launches left to shares that have a rate."""


@dataclass(frozen=True, slots=True)
class Ranked(Generic[T]):
    """Jobs in the order in which they should be launched, and those that may not be, with why."""

    order: list[T]
    held_back: list[tuple[T, str]]


class FairParts:
    """How much of a window of `size` jobs each share may take, by weight, so that all are seen."""

    def __init__(self, rules: Rules, size: int) -> None:
        self._rules = rules
        self._size = size
        self._shares: frozenset[str] = frozenset()

    def know(self, shares: frozenset[str]) -> None:
        """These shares have or had jobs."""
        self._shares = shares

    def parts(self) -> dict[str, int]:
        """Each share's part, at least 1; nothing while there is but one share."""
        if len(self._shares) < 2:
            return {}
        weights = {name: self._rules.of(name).weight for name in self._shares}
        whole = sum(weights.values())
        return {name: max(1, int(self._size * each / whole)) for name, each in weights.items()}

    def enough(self, held: Mapping[str, int]) -> list[str]:
        """The shares that have their part of the window."""
        return [name for name, part in self.parts().items() if held.get(name, 0) >= part]


def rank(waiting: Mapping[str, Sequence[Waiting[T]]], cluster: Cluster, rules: Rules) -> Ranked[T]:
    """Fill the cluster share by share; each share's jobs keep the order they are given in."""
    filling = _Filling(cluster, rules)
    if not filling.coupled:
        return _merged(waiting, filling)
    lanes = {name: filling.lane(name, jobs) for name, jobs in waiting.items() if jobs}
    heap = [(lane.level, name) for name, lane in lanes.items()]
    heapq.heapify(heap)
    order: list[T] = []
    held_back: list[tuple[T, str]] = []
    while heap:
        lane = lanes[heap[0][1]]
        job = next(lane.jobs, None)
        if job is None:
            heapq.heappop(heap)
            continue
        reason = filling.refusal(lane, job)
        if reason:
            held_back.append((job.job, reason))
            continue
        filling.take(lane, job)
        order.append(job.job)
        heapq.heapreplace(heap, (lane.level, lane.name))
    return Ranked(order, held_back)


def _merged(waiting: Mapping[str, Sequence[Waiting[T]]], filling: _Filling) -> Ranked[T]:
    """The same where no bound spans shares, many times as fast: a share's level only rises, so
    filling job by job comes to sorting all jobs by the level of their share before them.
    """
    held_back: list[tuple[T, str]] = []
    jobs: list[T] = []
    levels = [np.empty(0)]
    for name in sorted(waiting):
        lane: _Lane[T] = filling.lane(name, ())
        allowed = filling.allowed(lane, waiting[name], held_back)
        if not allowed:
            continue
        demands = np.array([each.demand for each in allowed], dtype=np.int64)
        levels.append(filling.levels(name, demands))
        jobs.extend(each.job for each in allowed)
    # Stable, so that equal levels keep the order of names and, within a share, that of its jobs.
    order = np.argsort(np.concatenate(levels), kind="stable")
    return Ranked([jobs[i] for i in order.tolist()], held_back)


@dataclass(slots=True)
class _Lane(Generic[T]):
    """One share while it is filled; `level` is its dominant part of the cluster for its weight."""

    name: str
    rule: ShareRule
    jobs: Iterator[Waiting[T]]
    running: int
    launches: float | None
    cpu: int
    memory: int
    gpus: int
    counted: list[int]
    history: float
    active: bool
    bounded: bool
    level: float = 0.0


class _Filling:
    """The state of one ranking."""

    def __init__(self, cluster: Cluster, rules: Rules) -> None:
        self._rules = rules
        self._parts = tuple(1 / amount if amount else 0.0 for amount in cluster.total)
        self._used = cluster.used
        self._families = dict(cluster.families)
        self._launches = cluster.launches
        active = sum(each.running > 0 for each in cluster.used.values())
        kept = rules.reservation**active if rules.reservation and active else 0.0
        self._lent = [amount * (1 - kept) for amount in cluster.total] if kept else None
        self._all = [sum(each.amount[i] for each in cluster.used.values()) for i in range(3)]

    @property
    def coupled(self) -> bool:
        """Whether what one share gets may hold another back."""
        return self._lent is not None or bool(self._rules.families)

    def allowed(
        self, lane: _Lane[T], jobs: Sequence[Waiting[T]], held_back: list[tuple[T, str]]
    ) -> Sequence[Waiting[T]]:
        """The jobs within the share's own quotas; the others go to `held_back`."""
        if not lane.bounded:
            return jobs
        taken = []
        for job in jobs:
            reason = self.refusal(lane, job)
            if reason:
                held_back.append((job.job, reason))
            else:
                self.take(lane, job)
                taken.append(job)
        return taken

    def levels(self, name: str, demands: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The share's level before each of these is added to what it uses."""
        used = self._used.get(name, Used())
        before = np.array(used.amount) + demands.cumsum(axis=0) - demands
        dominant = (before * np.array(self._parts)).max(axis=1)
        levels: npt.NDArray[np.float64] = (dominant + used.history) / self._rules.of(name).weight
        return levels

    def lane(self, name: str, jobs: Sequence[Waiting[T]]) -> _Lane[T]:
        """The share as it stands before anything is added."""
        rule, used = self._rules.of(name), self._used.get(name, Used())
        bounds = (rule.max_running, rule.max_launches_per_s, *rule.max_used)
        bounded = any(each is not None for each in bounds)
        lane = _Lane(
            name,
            rule,
            iter(jobs),
            used.running,
            self._launches.get(name),
            *used.amount,
            counted=list(used.amount),
            history=used.history,
            active=used.running > 0,
            bounded=bounded or self._lent is not None or bool(self._rules.families),
        )
        self._measure(lane)
        return lane

    def refusal(self, lane: _Lane[T], job: Waiting[T]) -> str:
        """Why the job may not be launched whatever room there is; empty if it may."""
        if not lane.bounded:
            return ""
        return self._too_many_tasks(lane, job) or self._too_much(lane, job)

    def _too_many_tasks(self, lane: _Lane[T], job: Waiting[T]) -> str:
        for family, tasks in job.families.items() if self._rules.families else ():
            most = self._rules.families.get(family)
            running = self._families.get(family, 0)
            if most is not None and running + tasks > most:
                return _too_many(f"family {family}", running, tasks, most)
        rule, tasks = lane.rule, job.tasks
        if rule.max_running is not None and lane.running + tasks > rule.max_running:
            return _too_many(f"share {lane.name}", lane.running, tasks, rule.max_running)
        rate = rule.max_launches_per_s
        if rate and lane.launches is not None and lane.launches < min(tasks, burst_of(rate)):
            return f"share {lane.name} launches {rate:g} tasks a second, the most allowed"
        return ""

    def _too_much(self, lane: _Lane[T], job: Waiting[T]) -> str:
        for name, now, more, bound in zip(
            NAMES, lane.counted, job.demand, lane.rule.max_used, strict=True
        ):
            if bound is not None and more > bound:
                return f"needs {more} {name}; share {lane.name} may never use more than {bound}"
            if bound is not None and more and now + more > bound:
                return f"share {lane.name} uses {now} of the {bound} {name} it may; needs {more}"
        if self._lent is not None and lane.active:
            for now, more, lent in zip(self._all, job.demand, self._lent, strict=True):
                if more and now + more > lent:
                    return "the rest of the cluster is reserved for shares that run nothing"
        return ""

    def take(self, lane: _Lane[T], job: Waiting[T]) -> None:
        """Count the job as running."""
        cpu, memory, gpus = job.demand
        lane.cpu += cpu
        lane.memory += memory
        lane.gpus += gpus
        if lane.bounded and not job.lacks_room:
            self._count(lane, job)
        self._measure(lane)

    def _count(self, lane: _Lane[T], job: Waiting[T]) -> None:
        """Against the quotas."""
        tasks = job.tasks
        lane.running += tasks
        if lane.launches is not None:
            lane.launches -= tasks
        for family, number in job.families.items() if self._rules.families else ():
            self._families[family] = self._families.get(family, 0) + number
        for i, more in enumerate(job.demand):
            lane.counted[i] += more
            self._all[i] += more

    def _measure(self, lane: _Lane[T]) -> None:
        cpu, memory, gpus = self._parts
        level = lane.cpu * cpu
        other = lane.memory * memory
        level = other if other > level else level  # max() costs as much as all the rest
        other = lane.gpus * gpus
        level = other if other > level else level
        lane.level = (level + lane.history) / lane.rule.weight


def _too_many(whose: str, running: int, tasks: int, most: int) -> str:
    if tasks > most > 0:
        return f"needs {tasks} tasks at once; {whose} may never run more than {most}"
    if tasks == 1:
        return f"{whose} runs {most} task{'' if most == 1 else 's'}, the most allowed"
    return f"{whose} runs {running} of the {most} tasks allowed; the gang is {tasks} more"
