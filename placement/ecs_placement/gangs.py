"""Gangs are tried whole: every member finds room, or all that was taken is given back."""

from collections.abc import Iterable
from dataclasses import dataclass

from ecs_placement.feasible import shortages
from ecs_placement.grouping import Team, watches_groups
from ecs_placement.placing import Work, place_group, take_back
from ecs_placement.plan import GangWait, Tally
from ecs_placement.policy import Policy
from ecs_placement.request import GangId, Shape


@dataclass(frozen=True, slots=True)
class WaitingGang:
    """A gang that does not start, and why: by shape, beside those of its members that have room."""

    team: Team
    counts: GangWait
    reasons: dict[Shape, tuple[Tally, ...]]


class Gangs:
    """Places teams whole or not at all; `waiting` are those that found no room."""

    def __init__(self, work: Work, policy: Policy) -> None:
        self._work = work
        self._policy = policy
        self._failed: dict[tuple[Shape, int], WaitingGang] = {}
        self.waiting: dict[GangId, WaitingGang] = {}

    def place(self, team: Team) -> None:
        """Start every member, or leave everything as it was."""
        gang, present = team.gang, team.present
        if present < gang.size:
            self.waiting[gang.id] = WaitingGang(team, GangWait(gang.id, gang.size, present, 0), {})
            return
        alike = self._alike(team)
        if alike is not None and alike in self._failed:
            known = self._failed[alike]
            counts = GangWait(gang.id, gang.size, present, known.counts.fit)
            self.waiting[gang.id] = WaitingGang(team, counts, known.reasons)
            return
        taken = [(group, place_group(group, self._work)) for group in team.groups]
        fit = sum(filled.placed for _, filled in taken)
        if fit == gang.size:
            return
        reasons = {
            group.shape: self._work.constraints.why_waiting(
                group.shape, shortages(group.shape, self._work.room.free)
            )
            for group, filled in taken
            if filled.placed < group.members.size
        }
        for group, filled in reversed(taken):
            take_back(group, filled, self._work)
        waiting = WaitingGang(team, GangWait(gang.id, gang.size, present, fit), reasons)
        self.waiting[gang.id] = waiting
        if alike is not None:
            self._failed[alike] = waiting

    def retry(self, teams: Iterable[Team]) -> None:
        """Try those that waited again, once others have been packed anew."""
        self._failed.clear()
        for team in teams:
            if self.waiting.pop(team.gang.id, None) is not None:
                self.place(team)

    def _alike(self, team: Team) -> tuple[Shape, int] | None:
        """Room only shrinks: what one gang of equal members lacked, the next like it lacks too."""
        shape = team.groups[0].shape
        if not self._policy.packs or len(team.groups) > 1 or watches_groups(shape):
            return None
        return shape, team.gang.size
