"""One pass's decision: each job under its own policy, all on the same snapshot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecs_placement.difference import difference
from ecs_placement.plan import NOTHING_RESERVED, Start
from ecs_placement.several import Part, check_parts, place_parts
from ecs_queue.job import JobId
from ecs_scheduler.decisions.coding import Asked
from ecs_scheduler.decisions.log import DecisionLog
from ecs_scheduler.decisions.replaying import within
from ecs_scheduler.launching.grouping import regrouped
from ecs_scheduler.passes.kinds import GROUPS, NO_INSTANCES, NOT_FOR_ROOM, WINDOW
from ecs_scheduler.passes.narrowing import under
from ecs_scheduler.passes.planning import Decided, decide, wait_for_budget
from ecs_scheduler.passes.reserving import reserving

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ecs_placement.plan import Plan, Reservation, Reserving
    from ecs_placement.request import RequestId, Shape, TaskRequest
    from ecs_placement.snapshot import Snapshot
    from ecs_queue.job import Fallback
    from ecs_queue.stored import AnyJob
    from ecs_scheduler.config import Config
    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.giving_way import GivingWay
    from ecs_scheduler.passes.window import Held, Window
    from ecs_scheduler.policies.book import Chosen, NamedPolicy


COMPARED_EVERY_S = 1.0
"""A candidate policy decides beside the live one this often at most: it doubles the cost."""

SEARCH_PER_REQUEST_S = 0.0002
"""A batch of fifty is searched for 10 ms. On streams of jobs five times as much saved no
instance-hours (within 1 %), while none at all cost up to a third more.
"""

LARGE = 20_000
"""Requests × instances; less takes a millisecond or two, which no thread is worth."""

LOOKING_FOR_GROUPS = (
    "may not run beside certain tasks; what ran before this scheduler led is looked at first"
)

NOT_FOR_PLACE = (*NOT_FOR_ROOM, NO_INSTANCES)
"""Jobs of these kinds wait for something that no placement policy changes."""


class Deciding:
    """Asks placement about the jobs of the window; `within_quotas` takes out what shares may not
    start at this time. As long as not all `groups_are_known`, jobs that may not run beside certain
    tasks wait.
    """

    def __init__(
        self,
        around: Around,
        window: Window,
        within_quotas: Callable[[Plan, float], Plan],
        groups_are_known: Callable[[], bool],
    ) -> None:
        self._around = around
        self._window = window
        self._within_quotas = within_quotas
        self._groups_are_known = groups_are_known
        self._policies = around.policies
        self._log = _log_of(around)
        self._kept: tuple[Reservation, ...] = ()
        self._compared_at = float("-inf")

    async def decide(
        self, requests: Sequence[TaskRequest], capacity: int, way: GivingWay
    ) -> Decided:
        """Place the requests whose policy lets them start now; `capacity` calls can be made. Raises
        LeadLost: a large placement goes on beside the loop.
        """
        around = self._around
        now_ms = around.clock.now_ms()
        kept = reserving(requests, self._window, self._kept, around.config, now_ms)
        await way.give()
        asked = self._divided(requests)
        await way.give()
        now = around.clock.monotonic_s()
        snapshot, parts = around.model.snapshot(now), [each.part for each in asked]
        plan = await self._placed(parts, snapshot, kept)
        await self._try_candidate(asked, snapshot, plan, now)
        way.look()
        self._kept = plan.reservations if requests else kept.reservations
        self._record(snapshot, asked, kept, plan)
        if self._around.config.log_level == "debug" and (
            violations := check_parts(plan, parts, snapshot, kept)
        ):
            raise AssertionError(f"placement broke its own rules: {violations}")
        placement = {request.id: part.policy for part in parts for request in part.requests}
        grouped = regrouped(
            plan,
            [request for part in parts for request in part.requests],
            self._signature,
            capacity,
            (snapshot, placement.__getitem__),
        )
        held_back = (self._window[JobId(each)] for each in grouped.left)
        wait_for_budget(held_back, self._around.config.modify_rate_per_s)
        await way.give()
        return decide(self._within_quotas(grouped.plan, now), self._window, snapshot, now)

    async def _placed(
        self, parts: Sequence[Part], snapshot: Snapshot, kept: Reserving = NOTHING_RESERVED
    ) -> Plan:
        if sum(len(part.requests) for part in parts) * len(snapshot) < LARGE:
            return place_parts(parts, snapshot, kept)
        return await self._around.clock.beside_loop(lambda: place_parts(parts, snapshot, kept))

    def unfit(self, held: Held) -> bool:
        """Whether two looks at the cluster saw no instance that could ever hold the job."""
        now, since = self._around.clock.monotonic_s(), held.rejected_since
        return since is not None and now - since >= self._around.config.sweep_interval_s

    def close(self) -> None:
        """The service ends: so does the decision log."""
        if self._log is not None:
            self._log.close()

    def _record(
        self, snapshot: Snapshot, asked: tuple[Asked, ...], kept: Reserving, plan: Plan
    ) -> None:
        """Write the decision down, and its id on every job that it starts."""
        if self._log is None:
            return
        decision = self._log.record(snapshot, asked, kept, plan, self._around.clock.now_ms())
        for each in plan.decisions:
            if isinstance(each, Start):
                self._window[JobId(each.request_id)].decision = decision

    async def _try_candidate(
        self, asked: tuple[Asked, ...], snapshot: Snapshot, plan: Plan, now: float
    ) -> None:
        """Let the candidate of a trial decide too, without acting, and judge those it acts on."""
        trying, book = self._policies.trying, self._policies.book
        if self._policies.follow() is None:
            return
        now_ms = self._around.clock.now_ms()
        waiting = (h for h in self._window.waiting_jobs() if h.kind not in NOT_FOR_PLACE)
        trying.look(now, ((h.policy, (now_ms - h.claim.runnable_at_ms) / 1000) for h in waiting))
        assert book.trial is not None
        live, candidate = book.named(book.trial.of), book.named(book.trial.candidate)
        same = [each for each in asked if each.policy == live.label]
        if not same or now - self._compared_at < COMPARED_EVERY_S:
            return
        self._compared_at = now
        requests = [within(candidate, each, same[0].filters) for each in same[0].requests]
        other = [each.part for each in asked if each.policy != live.label]
        budget_s = same[0].budget_s
        other.append(Part(candidate.placement, tuple(requests), budget_s))
        found = await self._placed(other, snapshot)
        trying.compared(difference(plan, found, same[0].requests, snapshot))

    def fallbacks(self) -> Callable[[AnyJob], Fallback | None]:
        """RunTask for jobs that have none of their own: their policy's, else the service's."""
        choose, usual = self._policies.choosing(), self._around.config.fallback
        return lambda job: choose(job).policy.fallback or usual

    def _signature(self, request_id: RequestId) -> Hashable:
        held = self._window[JobId(request_id)]
        return held.gang or held.signature, held.policy

    def _divided(self, requests: Sequence[TaskRequest]) -> tuple[Asked, ...]:
        """The requests by policy; jobs whose policy's windows are closed are told so. A gang has
        that of one of its members.
        """
        choose = self._policies.choosing()
        of_gangs: dict[str, Chosen] = {}
        held_of = self._window.job
        under: defaultdict[str, list[TaskRequest]] = defaultdict(list)
        policies: dict[str, NamedPolicy] = {}
        for request in requests:
            held = held_of(request.id)
            chosen = of_gangs.get(held.gang) or choose(held.claim.job)
            if held.gang:
                of_gangs[held.gang] = chosen
            policy = chosen.policy
            held.policy, held.policy_note = policy.label, chosen.why_not
            policies[policy.name] = policy
            under[policy.name].append(request)
        divided = []
        now_ms = self._around.clock.now_ms()
        for name, members in under.items():
            policy = policies[name]
            if not policy.windows.open_at(now_ms):
                self._wait(members, WINDOW, policy.closed(now_ms))
                continue
            known = self._groups_are_known()
            free = members if known else self._free_of_groups(policy, members)
            divided.append(self._asked(policy, free))
        return tuple(divided)

    def _asked(self, policy: NamedPolicy, requests: Sequence[TaskRequest]) -> Asked:
        narrowed = requests
        if policy.filters or policy.wants_images or policy.wants_groups:
            narrowed = self._narrowed(policy, requests)
        budget_s = search_budget_s(policy, len(requests), self._around.config)
        return Asked(policy.label, tuple(narrowed), policy.placement, policy.filters, budget_s)

    def _narrowed(self, policy: NamedPolicy, requests: Sequence[TaskRequest]) -> list[TaskRequest]:
        """The requests under the policy; those of one shape share one again, which placement
        recognises by its address.
        """
        known: dict[tuple[int, str, str | None], Shape] = {}
        narrowed = []
        for request in requests:
            held = self._window[JobId(request.id)]
            key = (id(request.shape), held.definition.family, held.claim.job.group)
            if key not in known:
                known[key] = under(policy, request.shape, held.definition, held.claim.job)
            narrowed.append(replace(request, shape=known[key]))
        return narrowed

    def _free_of_groups(
        self, policy: NamedPolicy, requests: Sequence[TaskRequest]
    ) -> list[TaskRequest]:
        """Those of the requests that may run beside any task; the others are told what for they
        wait.
        """
        parted: dict[bool, list[TaskRequest]] = {True: [], False: []}
        for each in requests:
            parted[policy.bound_by_groups or each.shape.group is not None].append(each)
        self._wait(parted[True], GROUPS, LOOKING_FOR_GROUPS)
        return parted[False]

    def _wait(self, requests: Sequence[TaskRequest], kind: str, reason: str) -> None:
        for lane in {self._window[JobId(request.id)].lane for request in requests}:
            self._window.waits(lane, kind, reason)


def _log_of(around: Around) -> DecisionLog | None:
    config = around.config
    if config.decision_log is None:
        return None
    most_bytes = config.decision_log_mib * 2**20
    return DecisionLog(Path(config.decision_log), around.owner, most_bytes)


def search_budget_s(policy: NamedPolicy, requests: int, config: Config) -> float:
    """Seconds that placement may search for a better plan than the fast gear's."""
    if policy.gear == "fast":
        return 0.0
    usual = search_s(requests, config)
    if policy.gear == "thorough":
        usual = usual or config.thorough_share * config.pass_interval_s
    return usual if policy.budget_s is None or not usual else policy.budget_s


def search_s(requests: int, config: Config) -> float:
    """Seconds that placement may spend on a better plan than best fit; 0 for small batches."""
    if requests < config.thorough_from:
        return 0.0
    return min(config.thorough_share * config.pass_interval_s, requests * SEARCH_PER_REQUEST_S)
