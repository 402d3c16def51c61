"""Computes the answers from the window, the cluster model, shares and budget of one service."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecs_placement import place
from ecs_placement.explain import sentence
from ecs_placement.explanation import Explanation, lacking, why
from ecs_placement.plan import Reject, Start
from ecs_placement.request import DIMENSIONS, Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Snapshot
from ecs_queue.errors import UnknownJob
from ecs_queue.states import JobState
from ecs_scheduler.errors import JobUnusable, NotReady, UnknownInstance
from ecs_scheduler.explaining.answers import (
    DependsOn,
    InQueue,
    InstanceExplained,
    JobExplained,
    Launching,
    Planned,
    ShareStanding,
    Verdict,
    WaitingThere,
)
from ecs_scheduler.explaining.forecast import Eta, Forecast
from ecs_scheduler.explaining.holding import (
    MOST_DEPENDENCIES,
    beyond_quota,
    dependencies_open,
    not_yet,
)
from ecs_scheduler.explaining.words import amounts, job_summary, lack, plan_summary
from ecs_scheduler.passes.kinds import GROUPS, SHARE, WINDOW
from ecs_scheduler.passes.narrowing import kept_away, under
from ecs_scheduler.passes.window import Lane, last_of
from ecs_scheduler.sharing.fairness import Used

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecs_placement.snapshot import InstanceId
    from ecs_queue.job import Job, JobId
    from ecs_queue.states import JobRecord
    from ecs_queue.stored import AnyJob
    from ecs_scheduler.ecs.task_definitions import TaskDefinition
    from ecs_scheduler.launching.launcher import Launcher
    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.ordering import Ordering
    from ecs_scheduler.passes.window import Held, Window
    from ecs_scheduler.policies.book import NamedPolicy
    from ecs_scheduler.sharing.fairness import Demand
    from ecs_scheduler.sharing.rules import ShareRule

MOST_PLANNED = 10_000
MOST_KINDS = 500
"""Kinds of waiting jobs that are looked at for one instance, the most numerous first."""

WATCHED_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Sight:
    """What an explainer may look at; nothing of it is changed."""

    around: Around
    window: Window
    launcher: Launcher
    ordering: Ordering
    forecast: Forecast
    leading: Callable[[], bool]

    def policy(self, job: AnyJob) -> NamedPolicy:
        """The policy that the job is placed under."""
        return self.around.policies.choose(job).policy

    def snapshot(self) -> Snapshot:
        """The cluster as the next pass sees it. Raises NotReady."""
        if not self.leading():
            raise NotReady(
                "this scheduler stands by for the one that leads, which knows the cluster and the "
                "jobs that wait; ask that one"
            )
        if self.around.model.complete_at is None:
            raise NotReady(
                "the first complete look at the cluster's instances is not done yet; ask again in "
                "a few seconds"
            )
        return self.around.model.snapshot(self.around.clock.monotonic_s())


class Explainer:
    """Answers for one service."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self.forecast = sight.forecast

    async def job(self, job_id: JobId) -> JobExplained:
        """Why this job is where it is. Raises UnknownJob, and NotReady for one that waits here."""
        record = await self._record(job_id)
        policy = self._sight.policy(record.job)
        if record.state is JobState.RUNNABLE:
            self._sight.snapshot()
        if record.state is JobState.RUNNABLE and job_id in self._sight.window:
            return await self._waiting(record, self._sight.window[job_id], policy)
        depends = await self._dependencies(record) if record.state is JobState.PENDING else ()
        return JobExplained(
            job_id=job_id,
            state=record.state.value,
            summary=job_summary(record, depends),
            reason=record.reason,
            policy=policy.label,
            depends_on=depends,
            track_record=self.forecast.track_record(),
        )

    async def _record(self, job_id: JobId) -> JobRecord:
        try:
            return await self._sight.around.queue.job(job_id)
        except UnknownJob as error:
            queue = self._sight.around.config.queue
            raise UnknownJob(
                f"{error}; the queue is {queue!r}, and schedulers of others have another --url"
            ) from error

    async def _waiting(self, record: JobRecord, held: Held, policy: NamedPolicy) -> JobExplained:
        snapshot, now = self._sight.snapshot(), self._sight.around.clock.monotonic_s()
        explanation = why(self._request_of(held, policy), snapshot, policy.placement)
        standing = await self._in_queue(held)
        eta = self.forecast.eta(held.lane, standing.ahead_equal, standing.ahead, now)
        decision = explanation.decision
        fits = isinstance(decision, Start)
        return JobExplained(
            job_id=held.job_id,
            state=record.state.value,
            summary=held.reason or sentence(decision, held.shape, snapshot)
            if not fits or held.kind in (SHARE, WINDOW, GROUPS)
            else f"has room now and waits its turn behind {standing.ahead} jobs and the API budget",
            reason=held.reason or record.reason,
            policy=policy.label,
            queue=standing,
            shares=self._shares(now),
            launching=self._launching(),
            placement=explanation,
            eta=None if isinstance(decision, Reject) or held.kind == WINDOW else eta,
            track_record=self.forecast.track_record(),
        )

    async def _in_queue(self, held: Held) -> InQueue:
        counts = await self._sight.around.queue.counts()
        window = self._sight.window
        return InQueue(
            ahead=window.ahead(held.rank),
            ahead_equal=window.ahead_in_lane(held.rank, held.lane),
            equal=len(window.lane(held.lane)),
            beyond_window=max(0, counts.get(JobState.RUNNABLE, 0) - len(window)),
        )

    def _shares(self, now: float) -> tuple[ShareStanding, ...]:
        whole = self._sight.ordering.whole(now)
        used = self._sight.ordering.usage.cluster(whole, now).used
        waiting = self._sight.window.held_by_share()
        names = sorted({*used, *waiting})
        rules = self._sight.ordering.rules
        if len(names) < 2 and not rules.shares:
            return ()
        return tuple(
            _standing(name, rules.of(name), used.get(name, Used()), waiting[name], whole)
            for name in names
        )

    def _launching(self) -> Launching:
        rate = next(
            each.rate_per_s
            for each in self._sight.around.ecs.budget.status()
            if each.category == "modify"
        )
        return Launching(max(0, self._sight.launcher.capacity), rate)

    async def _dependencies(self, record: JobRecord) -> tuple[DependsOn, ...]:
        found = []
        for each in record.job.depends_on[:MOST_DEPENDENCIES]:
            try:
                state = (await self._sight.around.queue.job(each.job)).state.value
            except UnknownJob:
                state = "unknown"
            found.append(DependsOn(each.job or record.job.id, each.type, state))
        return tuple(found)

    def instance(self, name: str) -> InstanceExplained:
        """Why this container instance holds what it holds. Raises UnknownInstance, NotReady."""
        snapshot = self._sight.snapshot()
        wanted = name.rpartition("/")[2]
        found = [
            each
            for each in snapshot.instances
            if wanted in (each.id.rpartition("/")[2], each.facts.ec2_instance_id)
        ]
        if not found:
            raise UnknownInstance(
                f"no container instance {name!r} among the {len(snapshot)} of this cluster; "
                "give its id, its ARN or its EC2 instance id"
            )
        instance = found[0]
        kinds = sorted(self._sight.window.waiting_by_lane(), key=len, reverse=True)
        waiting = self._there(kinds[:MOST_KINDS], instance.id, snapshot)
        fitting = sum(each.jobs for each in waiting if not each.lacks)
        unseen = sum(map(len, kinds[MOST_KINDS:]))
        return InstanceExplained(
            instance_id=wanted,
            summary=_instance_summary(waiting, fitting, unseen),
            instance_type=instance.attributes.get("ecs.instance-type") or "unknown",
            availability=instance.availability.value,
            running_tasks=instance.facts.running_tasks,
            total=dict(zip(DIMENSIONS, instance.total, strict=False)),
            free=dict(zip(DIMENSIONS, instance.free, strict=False)),
            waiting=waiting,
        )

    def _there(
        self, kinds: Sequence[Sequence[Held]], instance: InstanceId, snapshot: Snapshot
    ) -> tuple[WaitingThere, ...]:
        """What jobs of each kind lack there, those of one policy looked at together."""
        alike: defaultdict[str, list[int]] = defaultdict(list)
        policies = [self._sight.policy(members[0].claim.job) for members in kinds]
        for number, policy in enumerate(policies):
            alike[policy.label].append(number)
        lacks: dict[int, tuple[str, ...]] = {}
        for numbers in alike.values():
            policy = policies[numbers[0]]
            requests = [self._request_of(kinds[number][0], policy) for number in numbers]
            for number, found in zip(
                numbers, lacking(requests, instance, snapshot, policy.placement), strict=True
            ):
                lacks[number] = tuple(map(lack, found))
        jobs: Counter[tuple[str, tuple[str, ...]]] = Counter()
        example: dict[tuple[str, tuple[str, ...]], str] = {}
        for number, members in enumerate(kinds):
            told = amounts(members[0].shape), lacks[number]
            jobs[told] += len(members)
            example.setdefault(told, members[0].job_id)
        return tuple(WaitingThere(many, example[told], *told) for told, many in jobs.most_common())

    def _request_of(self, held: Held, policy: NamedPolicy) -> TaskRequest:
        """The request that a pass shows placement for one waiting job, by itself."""
        shape = self._as_placed(held.shape, held.definition, held.claim.job, policy)
        return TaskRequest(RequestId(held.job_id), shape, held.claim.priority, held.claim.order)

    def _as_placed(
        self, shape: Shape, definition: TaskDefinition, job: AnyJob, policy: NamedPolicy
    ) -> Shape:
        refused = self._sight.around.model.refused()
        return under(policy, kept_away(shape, definition, refused), definition, job)

    async def plan(self, job: Job) -> Planned:
        """What would happen to this job now. Raises JobUnusable, NotReady."""
        around, snapshot = self._sight.around, self._sight.snapshot()
        definition = await around.definitions.resolve(job.task_definition)
        if isinstance(definition, JobUnusable):
            raise definition
        chosen = around.policies.choose(job)
        policy, asked = chosen.policy, around.definitions.shape(definition, job)
        shape = self._as_placed(asked, definition, job, policy)
        held_back = await self._held_back(job, asked, definition.family, policy)
        tasks = min(job.array_size or 1, MOST_PLANNED)
        if job.gang is not None:
            tasks = min(job.gang.size, MOST_PLANNED)
        gang = None if job.gang is None else Gang(GangId(job.gang.id), tasks)
        requests = [
            TaskRequest(RequestId(str(number)), shape, gang=gang) for number in range(tasks)
        ]
        decisions = place(requests, snapshot, policy.placement).decisions
        fit_now = sum(isinstance(each, Start) for each in decisions)
        explanation = why(requests[0], snapshot, policy.placement)
        ahead = self._sight.window.ahead(last_of(job.priority))
        lane = Lane(asked, job.share, definition.family, policy=job.policy)
        eta = self._eta_of(lane, job, ahead) if fit_now < tasks and not held_back else None
        verdict = _verdict(explanation, 0 if held_back else fit_now, tasks)
        decided = sentence(decisions[0], shape, snapshot)
        return Planned(
            verdict=verdict,
            summary=plan_summary(verdict, (tasks, fit_now), ahead, held_back or (decided,)),
            tasks=tasks,
            fit_now=fit_now,
            ahead=ahead,
            policy=f"{policy.label} ({chosen.why_not})" if chosen.why_not else policy.label,
            placement=explanation,
            eta=None if verdict == "never" else eta,
            held_back=held_back,
        )

    async def _held_back(
        self, job: Job, shape: Shape, family: str, policy: NamedPolicy
    ) -> tuple[str, ...]:
        around, now = self._sight.around, self._sight.around.clock.monotonic_s()
        cluster = self._sight.ordering.usage.cluster(self._sight.ordering.whole(now), now)
        return (
            *await dependencies_open(job, around.queue),
            *not_yet(job, policy, around.clock.now_ms()),
            *beyond_quota(job, shape, family, cluster, self._sight.ordering.rules),
        )

    def _eta_of(self, lane: Lane, job: Job, ahead: int) -> Eta | None:
        """By the launches of the lane that the job would join."""
        now = self._sight.around.clock.monotonic_s()
        before = self._sight.window.ahead_in_lane(last_of(job.priority), lane)
        return self.forecast.eta(lane, before, ahead, now)

    def observe(self) -> None:
        """Remember some forecasts, so that their quality can be told: of the fullest lanes the
        last job each.
        """
        now, window = self._sight.around.clock.monotonic_s(), self._sight.window
        self.forecast.forget(window)
        for members in window.fullest(WATCHED_AT_ONCE):
            last = members[-1]
            eta = self.forecast.eta(last.lane, len(members) - 1, window.ahead(last.rank), now)
            if eta is not None:
                self.forecast.watch(last.job_id, eta, now)


def _standing(
    share: str, rule: ShareRule, used: Used, waiting: int, whole: Demand
) -> ShareStanding:
    parts = [part / there for part, there in zip(used.amount, whole, strict=True) if there]
    return ShareStanding(
        share, rule.weight, used.running, max(parts, default=0.0), waiting, rule.max_running
    )


def _verdict(explanation: Explanation, fit_now: int, tasks: int) -> Verdict:
    if fit_now == tasks:
        return "now"
    if isinstance(explanation.decision, Reject):
        return "never"
    return "in part" if fit_now else "later"


def _instance_summary(waiting: tuple[WaitingThere, ...], fitting: int, unseen: int) -> str:
    if not waiting:
        return "no job waits: nothing asks for its room"
    more = f"; {unseen} more of rarer kinds were not looked at" if unseen else ""
    if fitting:
        turn = "they wait for their turn or for the API budget"
        return f"{fitting} waiting jobs would fit: {turn}{more}"
    jobs = sum(each.jobs for each in waiting)
    return f"none of the {jobs} waiting jobs fits: each lacks something here{more}"
