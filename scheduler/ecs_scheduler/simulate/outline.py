"""A run in outline: the real placement at each look at the queue, without the service, the API and
Redis around it. Some hundred times cheaper than `world`, for searching; what is found is judged
there.
"""

import heapq
import random
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from ecs_placement.batch import place
from ecs_placement.plan import Start
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Facts, Instance, InstanceId, Snapshot
from ecs_queue.document import from_canonical
from ecs_queue.job import JobId
from ecs_scheduler.simulate.columns import instances_of, jobs_of
from ecs_scheduler.simulate.record import Record, Tasks
from ecs_scheduler.simulate.submissions import Submissions
from ecs_scheduler.simulate.workload import Workload, limit_s
from ecs_scheduler.simulate.world import Case
from ecs_simulator import Lifecycle

GROUP = "family:batch"
LIFE = Lifecycle()
ZONES = "abc"


@dataclass(frozen=True, slots=True)
class Placed:
    """One task: the row of its job and of its instance, and when."""

    job: int
    row: int
    start_s: float
    stop_s: float


def play_outline(case: Case) -> Record:
    """Play a policy in outline: jobs are placed at the first look after they come, or after room
    is given back. Jobs that end with a code other than 0 are not tried again, as in a trace.
    """
    workload, look_s = case.workload, case.look_s
    policy = case.policy.named(case.policy.default).placement
    cluster, queue = _Cluster(workload, case.seed), _Queue(workload.submissions)
    placed: list[Placed] = []
    now_s = 0.0
    while (due_s := _due_s(queue, cluster)) is not None and now_s < limit_s(workload):
        now_s = max(now_s + look_s, np.ceil(due_s / look_s) * look_s)
        cluster.release(now_s)
        queue.admit(now_s)
        plan = place(queue.requests, cluster.describe_changed(), policy)
        waiting = []
        for job, decision in zip(queue.waiting, plan.decisions, strict=True):
            if isinstance(decision, Start):
                placed.append(cluster.start(job, decision.instance_id, queue, now_s))
            else:
                waiting.append(job)
        queue.waiting = waiting
    return _record(case, placed)


class _Cluster:
    """Instances and what runs on them; an instance is described anew only when it changes."""

    def __init__(self, workload: Workload, seed: int) -> None:
        rng = random.Random(seed)
        self._instances: list[Instance] = []
        for group in workload.fleet:
            kind = group.sized()
            total = (kind.cpu_units, kind.memory_mib, kind.gpus, 0)
            for _ in range(group.count):
                zone = group.availability_zone or ZONES[len(self._instances) % len(ZONES)]
                known = {"ecs.instance-type": kind.name, "ecs.availability-zone": zone}
                self._instances.append(
                    Instance(
                        InstanceId(f"i-{rng.getrandbits(64):016x}"),
                        total,
                        total,
                        attributes={**known, **group.attributes},
                    )
                )
        self._rows = {each.id: row for row, each in enumerate(self._instances)}
        self._snapshot = Snapshot.of(self._instances)
        self._changed: set[int] = set()
        self._ends: list[tuple[float, int, int, Shape]] = []
        """A heap; what ends at one moment goes in the order of its start."""
        self._numbers = count()
        self._warm: set[int] = set()

    def describe_changed(self) -> Snapshot:
        """The cluster as it is; what has changed since the last time is described anew."""
        changed = [self._instances[row] for row in sorted(self._changed)]
        self._changed.clear()
        self._snapshot = self._snapshot.updated(changed)
        return self._snapshot

    @property
    def next_end_s(self) -> float | None:
        return self._ends[0][0] if self._ends else None

    def release(self, now_s: float) -> None:
        """Give back what has ended."""
        while self._ends and self._ends[0][0] <= now_s:
            _, _, row, shape = heapq.heappop(self._ends)
            self._change(row, shape, -1)

    def start(self, job: int, where: InstanceId, queue: "_Queue", now_s: float) -> Placed:
        """The image is pulled where it has not run before, as in the simulated ECS."""
        row, shape = self._rows[where], queue.shapes[job]
        pull_s = LIFE.cached_pull_s if row in self._warm else LIFE.image_pull_s
        ends_s = now_s + LIFE.accept_s + pull_s + queue.submissions.run_s[job] + LIFE.stopping_s
        self._warm.add(row)
        self._change(row, shape, 1)
        heapq.heappush(self._ends, (ends_s, next(self._numbers), row, shape))
        return Placed(job, row, now_s, ends_s)

    def _change(self, row: int, shape: Shape, tasks: int) -> None:
        was = self._instances[row]
        self._changed.add(row)
        running = was.facts.running_tasks + tasks
        cpu_units, memory_mib, gpus, enis = was.free
        self._instances[row] = replace(
            was,
            free=(
                cpu_units - tasks * shape.cpu_units,
                memory_mib - tasks * shape.memory_mib,
                gpus - tasks * shape.gpus,
                enis,
            ),
            facts=Facts(running_tasks=running, tasks_by_group={GROUP: running} if running else {}),
        )


class _Queue:
    """Jobs by their rows, in the order in which they come."""

    def __init__(self, submissions: Submissions) -> None:
        self.submissions = submissions
        self.waiting: list[int] = []
        rows = range(len(submissions))
        self.shapes = [Shape(*submissions.shapes[row], group=GROUP) for row in rows]
        self._priorities = [
            from_canonical(JobId(submissions.ids[row]), submissions.document(row)).priority
            for row in rows
        ]
        self._next = 0

    @property
    def next_s(self) -> float | None:
        more = self._next < len(self.submissions)
        return self.submissions.at_s[self._next] if more else None

    def admit(self, now_s: float) -> None:
        while self.next_s is not None and self.next_s <= now_s:
            self.waiting.append(self._next)
            self._next += 1

    @property
    def requests(self) -> list[TaskRequest]:
        return [
            TaskRequest(RequestId(str(job)), self.shapes[job], self._priorities[job], order=job)
            for job in self.waiting
        ]


def _due_s(queue: _Queue, cluster: _Cluster) -> float | None:
    """When there is something to decide next: a job comes, or room for one that waits."""
    moments = [queue.next_s, cluster.next_end_s if queue.waiting else None]
    return min((each for each in moments if each is not None), default=None)


def _record(case: Case, placed: list[Placed]) -> Record:
    workload, submissions = case.workload, case.workload.submissions
    launched = np.full(len(submissions), np.nan)
    ended = np.full(len(submissions), np.nan)
    for each in placed:
        launched[each.job], ended[each.job] = each.start_s, each.stop_s
    return Record(
        policy=case.name,
        seed=case.seed,
        jobs=jobs_of(
            submissions,
            np.array(submissions.at_s, float),
            launched,
            ended,
            np.isfinite(ended),
        ),
        tasks=Tasks(
            instance=np.array([each.row for each in placed], np.int64),
            start_s=np.array([each.start_s for each in placed]),
            stop_s=np.array([each.stop_s for each in placed]),
            demand=np.array([submissions.shapes[each.job] for each in placed], np.int64).reshape(
                -1, 3
            ),
        ),
        instances=instances_of(workload.fleet),
        ended_s=float(np.nanmax(ended, initial=0.0)),
        unfinished=int(np.isnan(ended).sum()),
        calls={},
        throttled=0,
        wall_s=0.0,
    )
