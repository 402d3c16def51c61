"""The cluster model: what ECS last said of each container instance, less what we promised since.

ECS shows a launch in `remainingResources` only after a while; until then a reservation stands for
it. News is applied by `version`, so that a stale answer never undoes a fresher one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from ecs_placement.request import DIMENSIONS
from ecs_placement.snapshot import Snapshot
from ecs_scheduler.cluster.blame import Blame, troubles
from ecs_scheduler.cluster.row import Promise, Row, instance_of, shown
from ecs_scheduler.cluster.scalars import Scalars, declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_placement.request import Shape
    from ecs_placement.snapshot import Instance
    from ecs_queue.job import JobId
    from ecs_queue.states import InstanceArn, TaskArn
    from ecs_scheduler.ecs.container_instances import ContainerInstance

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NEVER = float("inf")


class ClusterModel:
    """All container instances of one cluster. Times are seconds of one monotonic clock, given by
    the caller.
    """

    def __init__(self) -> None:
        self._rows: dict[InstanceArn, Row] = {}
        self._instances: dict[InstanceArn, Instance] = {}
        self._touched: set[InstanceArn] = set()
        self._avoided: set[InstanceArn] = set()
        self._snapshot: Snapshot | None = None
        self._interfaces_before_seen: defaultdict[InstanceArn, set[TaskArn]] = defaultdict(set)
        self._bad: Mapping[InstanceArn, float] = {}
        self._refusing: set[InstanceArn] = set()
        self._trouble: dict[InstanceArn, float] = {}
        self._scalars = Scalars()
        self._declaring: set[InstanceArn] = set()
        self._draining: set[InstanceArn] = set()
        self.blame = Blame()
        self.slowness = Blame()
        self.stale: set[InstanceArn] = set()
        self.complete_at: float | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def promised(self) -> int:
        """Promises that stand, over all instances."""
        return sum(len(row.promises) for row in self._rows.values())

    def observe(self, instances: Iterable[ContainerInstance], asked_at: float) -> None:
        """Take over what ECS answered to a question asked at `asked_at`; older versions than the
        known one are ignored. Most answers of a sweep say nothing new, and cost next to nothing.
        """
        for seen in instances:
            if seen.status == "INACTIVE":
                self.forget(seen.arn)
                continue
            row = self._rows.get(seen.arn)
            if row is None:
                row = self._rows[seen.arn] = Row(seen)
                row.interfaces |= self._interfaces_before_seen.pop(seen.arn, set())
                self._take_over(row, seen)
            elif seen.version < row.seen.version:
                self.stale.add(seen.arn)
                continue
            elif seen != row.seen:
                self._take_over(row, seen)
            standing = {
                job_id: promise
                for job_id, promise in row.promises.items()
                if not shown(promise, seen.version, asked_at)
            }
            if len(standing) < len(row.promises):
                row.promises = standing
                self._touch(seen.arn)

    def _take_over(self, row: Row, seen: ContainerInstance) -> None:
        row.seen = seen
        if declared(seen.attributes):
            self._declaring.add(seen.arn)
        else:
            self._declaring.discard(seen.arn)
        if seen.status == "DRAINING":
            self._draining.add(seen.arn)
        else:
            self._draining.discard(seen.arn)
        self._touch(seen.arn)

    def hear(self, instance: ContainerInstance, at: float) -> None:
        """Take over an event about one instance. Where something changed that it may not know of
        yet, the instance is still to be asked; where it is an old one, there is no need to.
        """
        stale = instance.arn in self.stale
        self.observe((instance,), at)
        if not stale:
            self.stale.discard(instance.arn)

    def draining(self) -> list[InstanceArn]:
        """Instances that ECS drains."""
        return sorted(self._draining)

    def by_ec2_id(self, ec2_instance_id: str) -> InstanceArn | None:
        """The container instance on this EC2 instance."""
        rows = self._rows.items()
        return next((a for a, row in rows if row.seen.ec2_instance_id == ec2_instance_id), None)

    @property
    def known(self) -> frozenset[InstanceArn]:
        """The instances that are in the cluster, as far as we know."""
        return frozenset(self._rows)

    def complete(self, gone: Iterable[InstanceArn], at: float) -> None:
        """A whole sweep ended: of the instances that were known when it began, it did not list
        these.
        """
        for arn in gone:
            self.forget(arn)
        self.complete_at = at

    def forget(self, arn: InstanceArn) -> None:
        """The instance was deregistered, or ECS does not know it."""
        self._rows.pop(arn, None)
        self._instances.pop(arn, None)
        self._touched.discard(arn)
        self._avoided.discard(arn)
        self._refusing.discard(arn)
        self._declaring.discard(arn)
        self._draining.discard(arn)
        self.blame.forget(arn)
        self.slowness.forget(arn)
        self.stale.discard(arn)
        self._snapshot = None

    def forget_tasks(self) -> None:
        """Another scheduler sees how tasks of ours end; those that run are told again."""
        self._interfaces_before_seen.clear()
        self._scalars.forget()
        for arn, row in self._rows.items():
            for known in (row.interfaces, row.gpus, row.groups):
                known.clear()
            row.interfaces_full = False
            self._touch(arn)

    def promise(
        self, arn: InstanceArn, job_id: JobId, shape: Shape, certain_at: float = NEVER
    ) -> None:
        """A launch of this job on this instance is under way; ECS shows it by `certain_at`."""
        if row := self._rows.get(arn):
            row.promises[job_id] = Promise(shape, row.seen.version, certain_at)
            self._touch(arn)

    def acknowledge(self, arn: InstanceArn, job_id: JobId, task_arn: TaskArn, at: float) -> None:
        """ECS accepted the launch: the promise stands until an answer asked for later shows it."""
        row = self._rows.get(arn)
        promise = row.promises.get(job_id) if row else None
        if row is not None and promise is not None:
            promise.acknowledged_at = at
            if promise.shape.group is not None:
                row.groups[task_arn] = promise.shape.group
            if promise.shape.gpus:
                row.gpus[task_arn] = promise.shape.gpus
            self.holds_scalars(arn, task_arn, promise.shape.scalars)
            if promise.shape.enis:
                row.interfaces.add(task_arn)
                self._touch(arn)

    def withdraw(self, arn: InstanceArn, job_id: JobId, certain_at: float | None = None) -> None:
        """The launch certainly did not happen. With `certain_at` a later promise, which has another
        one, stands.
        """
        row = self._rows.get(arn)
        promise = row.promises.get(job_id) if row else None
        if row is None or promise is None or certain_at not in (None, promise.certain_at):
            return
        del row.promises[job_id]
        self._touch(arn)

    def holds_interface(self, arn: InstanceArn, task_arn: TaskArn) -> None:
        """A live task of ours has a network interface on this instance (learnt from
        DescribeTasks).
        """
        row = self._rows.get(arn)
        if row is None:
            self._interfaces_before_seen[arn].add(task_arn)
        elif task_arn not in row.interfaces:
            row.interfaces.add(task_arn)
            self._touch(arn)

    def holds_gpus(self, arn: InstanceArn, task_arn: TaskArn, gpus: int) -> None:
        """A live task of ours holds so many GPUs there.

        Whether `remainingResources` lists the free GPUs or all is not documented, so what our own
        tasks hold is counted as well.
        """
        row = self._rows.get(arn)
        if row is not None and row.gpus.get(task_arn) != gpus:
            row.gpus[task_arn] = gpus
            self._touch(arn)

    def holds_scalars(
        self, arn: InstanceArn, task_arn: TaskArn, scalars: frozenset[tuple[str, int]]
    ) -> None:
        """A live task of ours holds users' resources there, which ECS never shows."""
        if self._scalars.hold(arn, task_arn, scalars) and arn in self._rows:
            self._touch(arn)

    def released(self, arn: InstanceArn, task_arn: TaskArn) -> None:
        """The task has ended, whatever became of it: users' resources that it held are free."""
        if self._scalars.release(arn, task_arn) and arn in self._rows:
            self._touch(arn)

    @property
    def declares_scalars(self) -> bool:
        """Whether any instance has users' resources."""
        return bool(self._declaring)

    def know_scalars(self, known: bool) -> None:
        """Whether all that runs has been looked up, so that users' resources may be given out."""
        if known != self._scalars.known:
            self._scalars.known = known
            for arn in self._declaring:
                self._touch(arn)

    def runs(self, arn: InstanceArn, task_arn: TaskArn, group: str) -> None:
        """A live task of ours is in this task group (learnt from DescribeTasks)."""
        row = self._rows.get(arn)
        if row is not None and row.groups.get(task_arn) != group:
            row.groups[task_arn] = group
            self._touch(arn)

    def ran(self, arn: InstanceArn, family: str) -> None:
        """A task of this family has run there: its image is on the instance's disk."""
        row = self._rows.get(arn)
        if row is not None and family not in row.warm:
            row.warm.add(family)
            self._touch(arn)

    def stopped(self, arn: InstanceArn, task_arn: TaskArn) -> None:
        """A task of ours ended there: its interface is free, and ECS has news of the rest."""
        self.released(arn, task_arn)
        if row := self._rows.get(arn):
            if row.groups.pop(task_arn, None) is not None:
                self._touch(arn)
            if row.gpus.pop(task_arn, None) is not None:
                self._touch(arn)
            if task_arn in row.interfaces:
                row.interfaces.discard(task_arn)
                row.interfaces_full = False
                self._touch(arn)
            self.stale.add(arn)

    def avoid(self, arn: InstanceArn, until: float) -> None:
        """Place nothing there before `until`."""
        if row := self._rows.get(arn):
            row.avoided_until = max(row.avoided_until, until)
            self._avoided.add(arn)
            self._touch(arn)

    def avoids(self, arn: InstanceArn, now: float) -> bool:
        """Whether nothing is placed there for a while."""
        row = self._rows.get(arn)
        return row is not None and now < row.avoided_until

    def refuse(self, arn: InstanceArn, definition_arn: str, until: float) -> None:
        """The instance can't take tasks of this task definition (an attribute, its zone); before
        `until` it gets none, while others go on.
        """
        if row := self._rows.get(arn):
            row.refused_until[definition_arn] = until
            self._refusing.add(arn)
            self._touch(arn)

    def refused(self) -> frozenset[str]:
        """Task definitions that some instance refuses; their requests must name `not_refused`."""
        return frozenset(each for arn in self._refusing for each in self._rows[arn].refused_until)

    def bad(self) -> Mapping[InstanceArn, float]:
        """Instances that are avoided because they kept refusing or failing tasks, with their
        blame.
        """
        return self._bad

    def interfaces_exhausted(self, arn: InstanceArn) -> None:
        """ECS answered RESOURCE:ENI: others hold interfaces that we can't see. Believe it until
        a task of ours ends there.
        """
        if row := self._rows.get(arn):
            row.interfaces_full = True
            self._touch(arn)

    def snapshot(self, now: float) -> Snapshot:
        """The cluster as placement takes it; the same object as long as nothing changed."""
        self._reconsider(now)
        for arn in [each for each in self._avoided if self._rows[each].avoided_until <= now]:
            self._avoided.discard(arn)
            self._touch(arn)
        changed = {
            arn: self._troubled(
                arn, instance_of(self._rows[arn], self._scalars, now, bad=arn in self._bad)
            )
            for arn in self._touched
        }
        self._touched.clear()
        self._instances.update(changed)
        if self._snapshot is None:
            self._snapshot = Snapshot.of(self._instances.values())
        elif changed:
            self._snapshot = self._snapshot.updated(changed.values())
        return self._snapshot

    def _troubled(self, arn: InstanceArn, instance: Instance) -> Instance:
        if arn not in self._trouble:
            return instance
        return replace(instance, facts=replace(instance.facts, trouble=self._trouble[arn]))

    def _reconsider(self, now: float) -> None:
        """Refusals run out, and blame fades."""
        bad = self.blame.too_much(self._rows.keys(), now)
        for arn in bad.keys() ^ self._bad.keys():
            if arn in self._rows:
                self._touch(arn)
                log.info("instance avoided" if arn in bad else "instance used again", instance=arn)
        self._bad = bad
        before, self._trouble = self._trouble, troubles((self.blame, self.slowness), now)
        for arn in self._trouble.keys() | before.keys():
            if arn in self._rows and self._trouble.get(arn) != before.get(arn):
                self._touch(arn)
        for arn in list(self._refusing):
            refused = self._rows[arn].refused_until
            over = [each for each, until in refused.items() if until <= now]
            for each in over:
                del refused[each]
                self._touch(arn)
            if not refused:
                self._refusing.discard(arn)

    def utilisation(self, now: float) -> tuple[dict[str, int], dict[str, int]]:
        """Used and total per dimension, summed over the instances."""
        snapshot = self.snapshot(now)
        total = dict(zip(DIMENSIONS, snapshot.total.sum(axis=0).tolist(), strict=False))
        free = dict(zip(DIMENSIONS, snapshot.free.sum(axis=0).tolist(), strict=False))
        return {name: total[name] - free[name] for name in DIMENSIONS}, total

    def _touch(self, arn: InstanceArn) -> None:
        self._touched.add(arn)
        if arn not in self._instances:
            self._snapshot = None  # it gets a row of its own
