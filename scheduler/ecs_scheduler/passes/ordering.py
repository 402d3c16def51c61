"""Which jobs a pass shows placement, and whose turn comes first: the queue's order; or fair order,
where shares compete or rules bound them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ecs_placement.plan import Plan, Start
from ecs_placement.request import RequestId, TaskRequest
from ecs_queue.job import JobId
from ecs_scheduler.passes.kinds import NOT_FOR_ROOM, SHARE
from ecs_scheduler.passes.narrowing import keeping_away
from ecs_scheduler.passes.planning import place_in_line
from ecs_scheduler.passes.window import requests_of
from ecs_scheduler.sharing.fairness import Cluster, Demand, Ranked, Waiting, rank
from ecs_scheduler.sharing.rules import Rules
from ecs_scheduler.sharing.usage import ShareUsage, demand_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.giving_way import GivingWay
    from ecs_scheduler.passes.window import Held, Window

CHOICE_PER_CALL = 40
"""Jobs of each lane shown to placement for each call that can be made: four times as many as a call
takes, so that its ten instances can be picked from many and calls go out full.
"""

SIGNATURES_PER_CALL = 2
"""Different signatures of each lane shown for each call: jobs that all differ take a call each."""


class Ordering:
    """Jobs in turn, and what shares may not start at this time."""

    def __init__(self, around: Around, window: Window) -> None:
        config = around.config
        self.rules = config.fair_share.rules(config.shares, config.families)
        self.usage = ShareUsage(around, config.fair_share.share_decay_seconds, self.rules)
        self._around = around
        self._window = window
        self._ruled = self.rules != Rules() or config.fair_share.share_decay_seconds > 0
        self._competing = self._ruled

    async def look_at_usage(self, alive: Collection[JobId]) -> None:
        """Learn what shares use by these jobs, which have been launched and not ended: of all,
        where there are quotas.
        """
        self.usage.keep_only(alive)
        self._competing = self._ruled or len(self._window.held_by_share()) > 1
        if self._competing:
            await self.usage.look_up(alive, all_of_them=self._ruled)

    async def requests(self, calls: int, now: float, way: GivingWay) -> list[TaskRequest]:
        """The jobs of each lane that so many calls could launch, and some more."""
        choice = (calls * CHOICE_PER_CALL, calls * SIGNATURES_PER_CALL)
        if self._competing:
            shares = self._window.by_share(*choice)
            await way.give()
            ranked = _ranked(shares, self._cluster(now), self.rules)
            await way.give()
            requests = _requests(ranked)
        else:
            requests = self._window.requests(*choice)
        return keeping_away(requests, self._window, self._around.model.refused())

    def within_quotas(self, plan: Plan, now: float) -> Plan:
        """The plan less what shares may not start."""
        if not self._ruled:
            return plan
        return _within_quotas(plan, self._window, self._cluster(now), self.rules)

    def _cluster(self, now: float) -> Cluster:
        """As fairness sees it."""
        return self.usage.cluster(self.whole(now), now, self._window.held_by_share())

    def whole(self, now: float) -> Demand:
        """What all instances have together."""
        _, total = self._around.model.utilisation(now)
        return (total["CPU"], total["MEMORY"], total["GPU"])


def _ranked(
    shares: Mapping[str, Sequence[Held]], cluster: Cluster, rules: Rules
) -> Ranked[tuple[Held, ...]]:
    """In fair order; jobs that a quota holds back are told so."""
    ranked = rank({share: _units(members) for share, members in shares.items()}, cluster, rules)
    for unit, reason in ranked.held_back:
        for held in unit:
            held.kind, held.reason, held.rejected_since = SHARE, reason, None
    return ranked


def _requests(ranked: Ranked[tuple[Held, ...]]) -> list[TaskRequest]:
    """One turn each."""
    requests: list[TaskRequest] = []
    for turn, unit in enumerate(ranked.order):
        for held in unit:
            held.turn = turn
        if unit[0].gang:
            requests += requests_of(unit, 0, turn)
        else:
            requests.append(TaskRequest(RequestId(unit[0].job_id), unit[0].shape, order=turn))
    return requests


def _units(members: Sequence[Held]) -> list[Waiting[tuple[Held, ...]]]:
    """What is counted and held back as one: a job, or a gang at its foremost member's place."""
    units: list[Waiting[tuple[Held, ...]]] = []
    gangs: defaultdict[str, list[Held]] = defaultdict(list)
    for held in members:
        if held.gang:
            gangs[held.gang].append(held)
    for held in members:
        if not held.gang:
            family = held.definition.family
            units.append(Waiting((held,), demand_of(held), family, lacks_room=_lacks_room(held)))
        elif gang := gangs.pop(held.gang, None):
            cpu, memory, gpus = (sum(each) for each in zip(*map(demand_of, gang), strict=True))
            families = Counter(each.definition.family for each in gang)
            lacks_room = any(map(_lacks_room, gang))
            units.append(Waiting(tuple(gang), (cpu, memory, gpus), "", families, lacks_room))
    return units


def _lacks_room(held: Held) -> bool:
    """At the last look."""
    return held.kind not in NOT_FOR_ROOM


def _within_quotas(plan: Plan, window: Window, cluster: Cluster, rules: Rules) -> Plan:
    """The plan less what its starts exceed a quota by: jobs that had no room were not counted when
    the order was made, and may have some by now.
    """
    placed = [window[JobId(each.request_id)] for each in plan.decisions if isinstance(each, Start)]
    shares: defaultdict[str, list[Held]] = defaultdict(list)
    for held in sorted(placed, key=place_in_line):
        held.kind = ""
        shares[held.claim.job.share].append(held)
    held_back = _ranked(shares, cluster, rules).held_back
    beyond = {held.job_id for unit, _ in held_back for held in unit}
    kept = (each for each in plan.decisions if JobId(each.request_id) not in beyond)
    return Plan(tuple(kept))
