"""A trial under way: what the candidate would do otherwise, how its jobs fare, and its roll-back.

Times are seconds of one monotonic clock, given by the caller.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from ecs_placement.difference import Difference
from ecs_scheduler.passes.status import TrialStatus
from ecs_scheduler.policies.trial import Limits, Trial

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Side:
    """The launches of one policy's jobs lately: (time, wait in seconds, refused)."""

    launches: deque[tuple[float, float, bool]] = field(default_factory=deque)
    waiting_s: list[float] = field(default_factory=list)

    def forget_before(self, time: float, least: int) -> None:
        """The last `least` stay, however old: a quiet hour does not make the judge blind."""
        while len(self.launches) > least and self.launches[0][0] < time:
            self.launches.popleft()

    @property
    def jobs(self) -> int:
        """Started lately, or waiting for room now."""
        return len(self._waits)

    @property
    def wait_s(self) -> float:
        """Mean wait; a job that still waits counts with what it has waited, so that a policy under
        which nothing starts is not taken for a fast one.
        """
        waits = self._waits
        return sum(waits) / len(waits) if waits else 0.0

    @property
    def _waits(self) -> list[float]:
        return [wait for _, wait, refused in self.launches if not refused] + self.waiting_s

    @property
    def refused(self) -> float:
        """The share of launches that ECS refused."""
        refused = sum(refused for _, _, refused in self.launches)
        return refused / len(self.launches) if self.launches else 0.0


def worse(live: _Side, candidate: _Side, limits: Limits) -> str:
    """Why the candidate should be rolled back by what is seen now; empty while nothing speaks
    against it, or too few jobs speak at all.
    """
    if min(live.jobs, candidate.jobs) < limits.least_jobs:
        return ""
    waits, usual = candidate.wait_s, live.wait_s
    if waits > limits.wait_ratio * usual and waits - usual >= limits.wait_s:
        return f"its jobs wait {waits:.0f} s, the others {usual:.0f} s"
    refused, usual = candidate.refused, live.refused
    if refused > limits.refused_ratio * usual and refused >= limits.refused_share:
        return f"{refused:.0%} of its launches are refused, {usual:.0%} of the others"
    return ""


class Trying:
    """The trial that the policy file asks for, if any; a new one begins with nothing known."""

    def __init__(self) -> None:
        self._trial: Trial | None = None
        self._version = ""
        self._reset()

    def _reset(self) -> None:
        self._live, self._candidate = _Side(), _Side()
        self._worse_since: float | None = None
        self._remembered = False
        self.rolled_back = ""
        self._compared = self._moved = 0
        self._started = self._started_after = 0
        self._opened = self._opened_after = 0
        self._latest: tuple[str, ...] = ()

    def follow(self, trial: Trial | None, version: str) -> None:
        """What the file says now, and the version of all that it says: as long as that stays, what
        was rolled back stays so.
        """
        if (trial, version) != (self._trial, self._version):
            self._trial, self._version = trial, version
            self._reset()

    def remember(self, why: str) -> None:
        """What is known of this version from before: why it was rolled back, or nothing against it.
        Until this was said, the candidate takes no job.
        """
        self._remembered = True
        if why and not self.rolled_back:
            self.rolled_back = why
            log.warning("candidate policy stays rolled back", why=why)

    def takes(self, job_id: str, policy: str) -> bool:
        """Whether this job of `policy` is placed by the candidate."""
        trial = self._trial
        return (
            trial is not None
            and self._remembered
            and not self.rolled_back
            and policy == trial.of
            and trial.takes(job_id)
        )

    def launched(self, policy: str, now: float, wait_s: float, *, refused: bool) -> None:
        """One launch of a job under this policy (name@version) was started or refused."""
        side = self._side(policy)
        if side is not None:
            side.launches.append((now, wait_s, refused))

    def compared(self, found: Difference) -> None:
        """What the candidate would have done with the same requests on the same cluster."""
        self._compared += 1
        self._started += found.started
        self._started_after += found.started_after
        self._opened += found.opened
        self._opened_after += found.opened_after
        self._moved += len(found.moved)
        if found.moved:
            self._latest = tuple(
                f"{each.request_id}: {_short(each.before)} -> {_short(each.after)}"
                for each in found.moved[:5]
            )

    def look(self, now: float, waiting: Iterable[tuple[str, float]]) -> None:
        """Judge the candidate: `waiting` are the jobs without room, by policy, and their age in s.

        A condition has to hold `for_s` without a break; one good look in between starts it over.
        """
        trial = self._trial
        if trial is None or not trial.percent or self.rolled_back:
            return
        for side in (self._live, self._candidate):
            side.forget_before(now - trial.limits.for_s, trial.limits.least_jobs)
            side.waiting_s = []
        for policy, age_s in waiting:
            waiting_side = self._side(policy)
            if waiting_side is not None:
                waiting_side.waiting_s.append(age_s)
        why = worse(self._live, self._candidate, trial.limits)
        if not why:
            self._worse_since = None
        elif self._worse_since is None:
            self._worse_since = now
        elif now - self._worse_since >= trial.limits.for_s:
            self.rolled_back = why
            log.error("candidate policy rolled back", policy=trial.candidate, why=why)

    def status(self) -> TrialStatus | None:
        """The trial at this moment."""
        trial = self._trial
        if trial is None:
            return None
        return TrialStatus(
            candidate=trial.candidate,
            of=trial.of,
            percent=0.0 if self.rolled_back else trial.percent,
            rolled_back=self.rolled_back,
            passes=self._compared,
            started=(self._started, self._started_after),
            opened=(self._opened, self._opened_after),
            moved=self._moved,
            latest=self._latest,
            jobs=(self._live.jobs, self._candidate.jobs),
            wait_s=(self._live.wait_s, self._candidate.wait_s),
            refused=(self._live.refused, self._candidate.refused),
        )

    def _side(self, policy: str) -> _Side | None:
        trial, name = self._trial, policy.partition("@")[0]
        if trial is None:
            return None
        return {trial.of: self._live, trial.candidate: self._candidate}.get(name)


def _short(instance: str | None) -> str:
    return "waits" if instance is None else instance.rpartition("/")[2]
