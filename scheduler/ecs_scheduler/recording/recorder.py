"""Watches a queue and a cluster, and writes down what ended and what there is. Only reads."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ecs_queue.client import Queue
from ecs_queue.states import InstanceArn, JobRecord, JobState
from ecs_scheduler.clock import Clock
from ecs_scheduler.ecs.client import Ecs
from ecs_scheduler.ecs.container_instances import TYPE_ATTRIBUTE, ContainerInstance
from ecs_scheduler.ecs.task_definitions import TaskDefinition, TaskDefinitions
from ecs_scheduler.errors import JobUnusable
from ecs_scheduler.recording.history import EndedJob, Folder, Group

PAGE = 500
DESCRIBED_AT_ONCE = 100
ZONE = "ecs.availability-zone"
_OF_ECS = ("ecs.", "com.amazonaws.")
ENDED = (JobState.SUCCEEDED, JobState.FAILED)

Seen = tuple[float, frozenset[str]]
"""When the last jobs ended that were recorded, seconds since the epoch, and their ids."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one look added: jobs, of those without a usable task definition, and a new fleet."""

    jobs: int
    left_out: int
    instances: int
    fleet_changed: bool


class Recorder:
    """One queue and cluster into one folder."""

    def __init__(self, queue: Queue, ecs: Ecs, folder: Folder, clock: Clock) -> None:
        self._queue = queue
        self._ecs = ecs
        self._folder = folder
        self._clock = clock
        self._definitions = TaskDefinitions(ecs, clock.monotonic_s)
        self._seen: dict[JobState, Seen] = dict.fromkeys(ENDED, folder.latest())

    async def look(self) -> Recorded:
        """Record what ended since the last look, and the fleet if it has changed."""
        now_s = self._clock.now_ms() / 1000
        jobs, left_out = [], 0
        seen = dict(self._seen)
        async for record in self._ended(seen):
            job = await self._job(record)
            if job is None:
                left_out += 1
            else:
                jobs.append(job)
        jobs.sort(key=lambda job: (job.ended_at_s, job.job_id))
        self._folder.append(jobs, now_s)
        self._seen = seen
        fleet = await instances_of(self._ecs)
        changed = self._folder.note_fleet(fleet, now_s)
        return Recorded(len(jobs), left_out, sum(group.count for group in fleet), changed)

    async def _ended(self, seen: dict[JobState, Seen]) -> AsyncIterator[JobRecord]:
        """Jobs that ended after a task of theirs ran, and were not seen before; `seen` goes on. For
        each state by itself: more end while others are read.
        """
        for state, (seen_s, seen_ids) in tuple(seen.items()):
            latest_s, ids, met = seen_s, set(seen_ids), set(seen_ids)
            offset, more = 0, True
            while more:
                page = await self._queue.jobs(state, limit=PAGE, offset=offset)
                offset += len(page)
                more = len(page) == PAGE
                for record in page:
                    ended_s = (record.ended_at_ms or 0) / 1000
                    if ended_s < seen_s:
                        more = False
                        break
                    if ended_s > latest_s:
                        latest_s, ids = ended_s, set()
                    if ended_s == latest_s:
                        ids.add(record.job.id)
                    if record.running_at_ms is not None and record.job.id not in met:
                        met.add(record.job.id)  # the next page may begin with it once more
                        yield record
            seen[state] = latest_s, frozenset(ids)

    async def _job(self, record: JobRecord) -> EndedJob | None:
        definition = await self._definitions.resolve(record.job.task_definition)
        if not isinstance(definition, TaskDefinition):
            return None
        try:
            shape = self._definitions.shape(definition, record.job)
        except JobUnusable:
            return None
        ended_ms, running_ms = record.ended_at_ms or 0, record.running_at_ms or 0
        failed = record.state is JobState.FAILED
        return EndedJob(
            job_id=record.job.id,
            ended_at_s=ended_ms / 1000,
            submitted_at_s=record.submitted_at_ms / 1000,
            run_s=max(0.0, (ended_ms - running_ms) / 1000),
            exit_code=record.exit_code or int(failed),
            cpu_units=shape.cpu_units,
            memory_mib=shape.memory_mib,
            gpus=shape.gpus,
            share=record.job.share,
            priority=record.priority,
        )


async def instances_of(ecs: Ecs) -> list[Group]:
    """The cluster's instances at this moment, equal ones as groups; one Describe for each 100."""
    arns: list[InstanceArn] = await ecs.list_container_instances()
    found: list[ContainerInstance] = []
    for first in range(0, len(arns), DESCRIBED_AT_ONCE):
        described, _ = await ecs.describe_container_instances(
            arns[first : first + DESCRIBED_AT_ONCE]
        )
        found += described
    return fleet_of(found)


def fleet_of(instances: list[ContainerInstance]) -> list[Group]:
    """Equal instances as groups, the largest groups first; attributes of your own are kept."""
    kinds = Counter(
        (
            each.attributes.get(TYPE_ATTRIBUTE) or "unknown",
            each.registered.cpu_units,
            each.registered.memory_mib,
            each.registered.gpus,
            each.attributes.get(ZONE),
            tuple(
                sorted(
                    (name, value)
                    for name, value in each.attributes.items()
                    if value is not None and not name.startswith(_OF_ECS)
                )
            ),
        )
        for each in instances
        if each.status == "ACTIVE"
    )
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], str(item[0])))
    return [Group(count, *kind) for kind, count in ordered]
