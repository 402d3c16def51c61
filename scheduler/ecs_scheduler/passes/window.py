"""The window: the claimed jobs this scheduler considers at once, in lanes of equal jobs.

Jobs of one lane are interchangeable to placement, so a pass shows it only as many of each lane as
could be launched. That keeps a pass cheap however long the backlog, and no lane can hide another. A
gang has lanes of its own, which are shown whole or not at all.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ecs_queue.job import JobId
    from ecs_queue.states import Claim
    from ecs_scheduler.ecs.task_definitions import TaskDefinition
    from ecs_scheduler.launching.launch_signature import LaunchSignature

NOTE_EVERY_S = 10.0
"""A waiting job's reason is written down at most this often; tallies change with every task that
ends.
"""


FIRST_OF_ALL = 1001
"""A priority above all others, for the rest of a gang that is being started."""


class Lane(NamedTuple):
    """What jobs have in common that are interchangeable to placement and to fairness; `policy` is
    the one that the job itself asks for.
    """

    shape: Shape
    share: str
    family: str
    gang: str = ""
    policy: str | None = None


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
    signature_key: int = field(init=False)
    """Equal for equal signatures, and almost always only for them."""

    def __post_init__(self) -> None:
        self.signature_key = hash(self.signature)

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.claim.job.id

    @property
    def rank(self) -> tuple[int, int, JobId]:
        """Sorts by priority, then by submission."""
        priority = FIRST_OF_ALL if self.claim.overdue else self.claim.priority
        return (-priority, self.claim.order, self.claim.job.id)

    @property
    def gang(self) -> str:
        """The gang that it starts together with; empty for a job that starts by itself."""
        gang = self.claim.job.gang
        return gang.id if gang is not None and self.claim.together else ""

    @property
    def lane(self) -> Lane:
        """Its lane."""
        job = self.claim.job
        return Lane(self.shape, job.share, self.definition.family, self.gang, job.policy)


class Window:
    """At most `size` jobs."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[JobId, Held] = {}
        self._lanes: defaultdict[Lane, list[tuple[int, int, JobId]]] = defaultdict(list)
        self._gangs: defaultdict[str, set[JobId]] = defaultdict(set)
        self.cleared = 0

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, job_id: JobId) -> Held:
        return self._held[job_id]

    def __contains__(self, job_id: JobId) -> bool:
        return job_id in self._held

    @property
    def room(self) -> int:
        """How many more jobs may be claimed; a gang may have taken more than there was."""
        return max(0, self._size - len(self._held))

    def add(self, held: Held) -> None:
        """Take a job in; one that is already here is replaced (it was claimed anew)."""
        self.remove((held.job_id,))
        self._held[held.job_id] = held
        insort(self._lanes[held.lane], held.rank)
        if held.gang:
            self._gangs[held.gang].add(held.job_id)

    def remove(self, job_ids: Iterable[JobId]) -> list[Held]:
        """Take jobs out, because they are being launched, given back, or no longer ours."""
        removed = [held for job_id in job_ids if (held := self._held.pop(job_id, None))]
        for held in removed:
            lane = self._lanes[held.lane]
            lane.remove(held.rank)
            if not lane:
                del self._lanes[held.lane]
            if held.gang:
                self._gangs[held.gang].discard(held.job_id)
                if not self._gangs[held.gang]:
                    del self._gangs[held.gang]
        return removed

    def keep_only(self, job_ids: Collection[JobId]) -> None:
        """Drop whatever is not among these: it was cancelled, or its claim was lost."""
        self.remove([job_id for job_id in self._held if job_id not in job_ids])

    def requests(self, most_per_lane: int, signatures: int | None = None) -> list[TaskRequest]:
        """The first jobs of each lane, as placement takes them, and every gang that is all here.

        Of jobs that all differ, each takes a call of its own: no more than `signatures` different
        ones of a lane are worth looking at.
        """
        requests = [
            TaskRequest(id=RequestId(job_id), shape=lane.shape, priority=-negated, order=order)
            for lane, jobs in self._lanes.items()
            if not lane.gang
            for negated, order, job_id in self._first(jobs, most_per_lane, signatures)
        ]
        for members in self._whole_gangs():
            negated, order, _ = min(held.rank for held in members)
            requests += requests_of(members, -negated, order)
        return requests

    def _first(
        self, jobs: list[tuple[int, int, JobId]], most: int, signatures: int | None
    ) -> Iterator[tuple[int, int, JobId]]:
        seen: set[int] = set()
        for place in jobs[:most]:
            seen.add(self._held[place[2]].signature_key)
            if signatures is not None and len(seen) > signatures:
                return
            yield place

    def _whole_gangs(self) -> Iterator[list[Held]]:
        """A gang of which some were cancelled or given back meanwhile is on its way out."""
        for ids in self._gangs.values():
            members = sorted((self._held[each] for each in ids), key=lambda held: held.rank)
            if len(members) == members[0].claim.together:
                yield members

    def by_share(self, most_per_lane: int, signatures: int | None = None) -> dict[str, list[Held]]:
        """The same jobs by share, and in the share's own order."""
        shares: defaultdict[str, list[Held]] = defaultdict(list)
        for lane, jobs in self._lanes.items():
            if not lane.gang:
                first = self._first(jobs, most_per_lane, signatures)
                shares[lane.share].extend(self._held[job_id] for _, _, job_id in first)
        for gang in self._whole_gangs():
            shares[gang[0].lane.share].extend(gang)
        for members in shares.values():
            members.sort(key=lambda held: held.rank)
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

    def waiting_by_lane(self) -> list[list[Held]]:
        """The same, equal ones together, first to be placed first."""
        lanes = ([self._held[place[2]] for place in lane] for lane in self._lanes.values())
        waiting = ([held for held in lane if held.kind] for lane in lanes)
        return [lane for lane in waiting if lane]

    def waiting_since(self, ms: int) -> list[Held]:
        """Jobs that were RUNNABLE by then and could rise, those that have waited longest first."""
        since = [
            held
            for held in self._held.values()
            if held.claim.runnable_at_ms <= ms and held.claim.priority < FIRST_OF_ALL - 1
        ]
        return sorted(since, key=lambda held: (held.claim.runnable_at_ms, held.rank))

    def waits(self, lane: Lane, kind: str, reason: str) -> None:
        """The whole lane waits for the same reason."""
        for _, _, job_id in self._lanes.get(lane, ()):
            held = self._held[job_id]
            held.kind, held.reason = kind, reason

    def lane(self, lane: Lane) -> list[Held]:
        """The jobs of this lane, first to be placed first."""
        return [self._held[job_id] for _, _, job_id in self._lanes.get(lane, ())]

    def unnoted(self, now: float, most: int) -> list[Held]:
        """Jobs whose reason changed since it was last written down, oldest note first."""
        due = [
            held
            for held in self._held.values()
            if held.reason != held.noted_reason and now - held.noted_at >= NOTE_EVERY_S
        ]
        return sorted(due, key=lambda held: (held.noted_at, held.rank))[:most]

    def surplus(self, most: int) -> list[Held]:
        """The last jobs of the longest lanes: what a full window can best do without for a
        while.
        """
        chosen: list[Held] = []
        for lane in sorted(self._lanes.values(), key=len, reverse=True):
            spare = lane[max(1, len(lane) - (most - len(chosen))) :]
            chosen.extend(self._held[job_id] for _, _, job_id in spare)
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
