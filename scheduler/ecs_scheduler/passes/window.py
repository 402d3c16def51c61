"""The window: the claimed jobs this scheduler considers at once, in lanes of equal jobs.

Jobs of one lane are interchangeable to placement, so a pass shows it only as many of each lane as
could be launched. That keeps a pass cheap however long the backlog, and no lane can hide another. A
gang has lanes of its own, which are shown whole or not at all.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING

from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_queue.job import JobId

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        KeysView,
        Mapping,
        Sequence,
    )
    from collections.abc import Set as AbstractSet

    from ecs_queue.states import Claim
    from ecs_scheduler.ecs.task_definitions import TaskDefinition
    from ecs_scheduler.launching.launch_signature import LaunchSignature

NOTE_EVERY_S = 10.0
"""A waiting job's reason is written down at most this often; tallies change with every task that
ends.
"""

FIRST_OF_ALL = 1001
"""A priority above all others, for the rest of a gang that is being started."""

Rank = tuple[int, int, "JobId"]
"""Sorts jobs by priority, then by submission; a priority is negated."""

_rank: Callable[[Held], Rank] = attrgetter("rank")
"""Faster than a function of ours."""


def last_of(priority: int) -> Rank:
    """The place behind all jobs of this priority."""
    return (1 - priority, -1, JobId(""))


@dataclass(frozen=True, slots=True)
class Lane:
    """What jobs have in common that are interchangeable to placement and to fairness; `policy` is
    the one that the job itself asks for.
    """

    shape: Shape
    share: str
    family: str
    gang: str = ""
    policy: str | None = None
    _hash: int = field(init=False, repr=False, compare=False)
    """Worked out once: a pass looks lanes up for every job, and a Shape has many fields."""

    def __post_init__(self) -> None:
        everything = (self.shape, self.share, self.family, self.gang, self.policy)
        object.__setattr__(self, "_hash", hash(everything))

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True)
class Held:
    """One claimed job with what placement and launching need to know of it.

    `kind` is the short reason for metrics, `reason` the sentence for people; `noted_at` is when the
    sentence was last written to the queue. `rejected_since` is set while no registered instance
    could ever hold the job. `turn` is its place in the fair order of several shares. `policy`
    is the name and version of the policy it was last placed under, and `policy_note` why it is not
    the one that was asked for; `decision` is the id of the logged decision that starts it.
    """

    claim: Claim
    definition: TaskDefinition
    shape: Shape
    signature: LaunchSignature
    kind: str = ""
    reason: str = ""
    noted_reason: str = ""
    noted_at: float = float("-inf")
    rejected_since: float | None = None
    turn: int = 0
    policy: str = ""
    policy_note: str = ""
    decision: str = ""
    job_id: JobId = field(init=False)
    gang: str = field(init=False)
    """The gang that it starts together with; empty for a job that starts by itself."""
    rank: Rank = field(init=False)
    lane: Lane = field(init=False)
    request: TaskRequest = field(init=False)
    """As placement takes it, if it starts by itself."""
    signature_key: int = field(init=False)
    """Equal for equal signatures, and almost always only for them."""

    def __post_init__(self) -> None:
        claim, job = self.claim, self.claim.job
        priority = FIRST_OF_ALL if claim.overdue else claim.priority
        self.job_id = job.id
        self.gang = job.gang.id if job.gang is not None and claim.together else ""
        self.rank = (-priority, claim.order, job.id)
        self.lane = Lane(self.shape, job.share, self.definition.family, self.gang, job.policy)
        self.request = TaskRequest(RequestId(job.id), self.shape, priority, claim.order)
        self.signature_key = hash(self.signature)


class Window:
    """At most `size` jobs."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[JobId, Held] = {}
        self.job: Callable[[str], Held] = self._held.__getitem__  # type: ignore[assignment]
        """The job of this id, or of this placement request, which is the same."""
        self._lanes: defaultdict[Lane, list[Held]] = defaultdict(list)
        self._gangs: defaultdict[str, set[JobId]] = defaultdict(set)
        self.cleared = 0

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, job_id: JobId) -> Held:
        return self._held[job_id]

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._held

    @property
    def ids(self) -> KeysView[JobId]:
        """The jobs that are here."""
        return self._held.keys()

    @property
    def room(self) -> int:
        """How many more jobs may be claimed; a gang may have taken more than there was."""
        return max(0, self._size - len(self._held))

    def add(self, held: Held) -> None:
        """Take a job in; one that is already here is replaced (it was claimed anew)."""
        self.remove((held.job_id,))
        self._held[held.job_id] = held
        lane = self._lanes[held.lane]
        if lane:
            held.lane = lane[0].lane  # one object for all: it is found without comparing shapes
        insort(lane, held, key=_rank)
        if held.gang:
            self._gangs[held.gang].add(held.job_id)

    def remove(self, job_ids: Iterable[JobId]) -> list[Held]:
        """Take jobs out, because they are being launched, given back, or no longer ours."""
        removed = [held for job_id in job_ids if (held := self._held.pop(job_id, None))]
        for held in removed:
            lane = self._lanes[held.lane]
            del lane[bisect_left(lane, held.rank, key=_rank)]
            if not lane:
                del self._lanes[held.lane]
            if held.gang:
                self._gangs[held.gang].discard(held.job_id)
                if not self._gangs[held.gang]:
                    del self._gangs[held.gang]
        return removed

    def keep_only(self, job_ids: AbstractSet[JobId]) -> None:
        """Drop whatever is not among these: it was cancelled, or its claim was lost."""
        self.remove(self._held.keys() - job_ids)

    def requests(self, most_per_lane: int, signatures: int | None = None) -> list[TaskRequest]:
        """The first jobs of each lane, as placement takes them, and every gang that is all here.

        Of jobs that all differ, each takes a call of its own: no more than `signatures` different
        ones of a lane are worth looking at.
        """
        requests = [
            held.request
            for lane, jobs in self._lanes.items()
            if not lane.gang
            for held in _first(jobs, most_per_lane, signatures)
        ]
        for members in self._whole_gangs():
            negated, order, _ = members[0].rank
            requests += requests_of(members, -negated, order)
        return requests

    def _whole_gangs(self) -> Iterator[list[Held]]:
        """A gang of which some were cancelled or given back meanwhile is on its way out."""
        for ids in self._gangs.values():
            members = sorted((self._held[each] for each in ids), key=_rank)
            if len(members) == members[0].claim.together:
                yield members

    def by_share(self, most_per_lane: int, signatures: int | None = None) -> dict[str, list[Held]]:
        """The same jobs by share, and in the share's own order."""
        shares: defaultdict[str, list[Held]] = defaultdict(list)
        for lane, jobs in self._lanes.items():
            if not lane.gang:
                shares[lane.share].extend(_first(jobs, most_per_lane, signatures))
        for gang in self._whole_gangs():
            shares[gang[0].lane.share].extend(gang)
        for members in shares.values():
            members.sort(key=_rank)
        return dict(shares)

    def beyond(self, parts: Mapping[str, int]) -> list[Held]:
        """The last jobs of each share that has more than its part."""
        if not parts:
            return []
        shares = self.by_share(self._size)
        last = [held for name, part in parts.items() for held in shares.get(name, ())[part:]]
        return self._with_gangs(last)

    def _with_gangs(self, chosen: Iterable[Held]) -> list[Held]:
        """These, and whoever belongs to a gang of theirs."""
        jobs = {held.job_id: held for held in chosen}
        for gang in sorted({held.gang for held in jobs.values() if held.gang}):
            jobs.update((job_id, self._held[job_id]) for job_id in sorted(self._gangs[gang]))
        return list(jobs.values())

    def held_by_share(self) -> Counter[str]:
        """How many jobs of each share are here."""
        counts: Counter[str] = Counter()
        for lane, jobs in self._lanes.items():
            counts[lane.share] += len(jobs)
        return counts

    def waiting_jobs(self) -> list[Held]:
        """The jobs that placement found no room for."""
        return [held for held in self._held.values() if held.kind]

    def of_definitions(self, arns: Collection[str]) -> list[Held]:
        """The jobs that were resolved to one of these task definitions."""
        return [held for held in self._held.values() if held.definition.arn in arns]

    def waiting_by_lane(self) -> list[list[Held]]:
        """The same, equal ones together, first to be placed first."""
        waiting = ([held for held in lane if held.kind] for lane in self._lanes.values())
        return [lane for lane in waiting if lane]

    def fullest(self, most: int) -> list[list[Held]]:
        """Of the lanes whose last job waits those with the most jobs, first to be placed first."""
        waiting = (lane for lane in self._lanes.values() if lane[-1].kind)
        return [list(lane) for lane in nlargest(most, waiting, key=len)]

    def ahead(self, rank: Rank) -> int:
        """How many jobs come before this rank."""
        return sum(bisect_left(lane, rank, key=_rank) for lane in self._lanes.values())

    def ahead_in_lane(self, rank: Rank, lane: Lane) -> int:
        """How many jobs of the lane come before this rank."""
        return bisect_left(self._lanes.get(lane, ()), rank, key=_rank)

    def waiting_since(self, ms: int) -> list[Held]:
        """Jobs that were RUNNABLE by then and could rise, those that have waited longest first."""
        since = [
            held
            for held in self._held.values()
            if held.claim.runnable_at_ms <= ms and held.claim.priority < FIRST_OF_ALL - 1
        ]
        return sorted(since, key=lambda held: (held.claim.runnable_at_ms, held.rank))

    def waits(
        self, lane: Lane, kind: str, reason: str, *, rejected_at: float | None = None
    ) -> None:
        """The whole lane waits for the same reason; rejected since then, or already before, where
        no registered instance could ever hold its jobs.
        """
        for held in self._lanes.get(lane, ()):
            held.kind, held.reason = kind, reason
            if rejected_at is None or held.rejected_since is None:
                held.rejected_since = rejected_at

    def fits(self, lane: Lane) -> None:
        """There is room for jobs of this lane: those that were not shown are not rejected either,
        whatever was said of them before.
        """
        for held in self._lanes.get(lane, ()):
            held.rejected_since = None

    def first(self, lane: Lane) -> Held:
        """The job of this lane that is placed first."""
        return self._lanes[lane][0]

    def lane(self, lane: Lane) -> list[Held]:
        """The jobs of this lane, first to be placed first."""
        return list(self._lanes.get(lane, ()))

    def unnoted(self, now: float, most: int) -> list[Held]:
        """Jobs whose reason changed since it was last written down, oldest note first."""
        due = [
            held
            for held in self._held.values()
            if held.reason != held.noted_reason and now - held.noted_at >= NOTE_EVERY_S
        ]
        return nsmallest(most, due, key=attrgetter("noted_at", "rank"))

    def surplus(self, most: int) -> list[Held]:
        """The last jobs of the longest lanes: what a full window can best do without for a
        while.
        """
        chosen: list[Held] = []
        for lane in sorted(self._lanes.values(), key=len, reverse=True):
            chosen.extend(lane[max(1, len(lane) - (most - len(chosen))) :])
            if len(chosen) >= most:
                break
        return self._with_gangs(chosen)

    def waiting(self) -> dict[str, int]:
        """Short reason → number of held jobs."""
        return dict(Counter(held.kind for held in self._held.values() if held.kind))

    def clear(self) -> None:
        """The lease was lost: nothing here is ours any more; `cleared` counts it."""
        self.cleared += 1
        self._held.clear()
        self._lanes.clear()
        self._gangs.clear()


def _first(lane: Sequence[Held], most: int, signatures: int | None) -> Sequence[Held]:
    """The first jobs of a lane, and no more than have so many different signatures."""
    first = lane[:most]
    if signatures is None or len(first) <= signatures:
        return first
    seen: set[int] = set()
    for place, held in enumerate(first):
        seen.add(held.signature_key)
        if len(seen) > signatures:
            return first[:place]
    return first


def requests_of(members: Collection[Held], priority: int, order: int) -> list[TaskRequest]:
    """The members of one gang as placement takes them, at one place in the order."""
    return [
        TaskRequest(
            id=RequestId(held.job_id),
            shape=held.shape,
            priority=priority,
            order=order,
            gang=Gang(GangId(held.gang), len(members)),
        )
        for held in members
    ]
