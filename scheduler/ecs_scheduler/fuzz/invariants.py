"""What must hold after every run, each a function from the evidence to its violations.

The numbers are those of the fourteen invariants that failures of other schedulers taught; the ones
that a whole-service run cannot judge are listed in ELSEWHERE with the place that does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ecs_queue.states import AlreadyEnded, Cancellation, JobState
from ecs_scheduler.fuzz.jobs import GANG_WITHIN_S

if TYPE_CHECKING:
    from ecs_queue.job import JobId
    from ecs_queue.states import JobRecord
    from ecs_scheduler.fuzz.jobs import PlannedJob
    from ecs_simulator.evidence import TaskRecord

SENT_WITHIN_S = 60.0
"""From the intent of a launch until its task must have been created."""

STRAYS_STOPPED_WITHIN_S = 150.0
"""From when ECS shows a task that came too late, until it is told to stop."""


GANG_HEALED_WITHIN_S = GANG_WITHIN_S + 280.0
"""Faults may keep every replica from its work for minutes: frozen, or with Redis away; and a launch
of unknown outcome is certain only after a minute.
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known after a run: the queue's books, and ECS's own."""

    planned: tuple[PlannedJob, ...]
    records: Mapping[JobId, JobRecord]
    cancellations: Mapping[JobId, Cancellation]
    tasks: tuple[TaskRecord, ...]
    tokens_sent: Mapping[str, int]
    beyond_bounds: int
    """Calls that came later than any bound that the service relies on."""
    forgotten: tuple[tuple[float, float], ...]
    """From when to when, on ECS's clock, Redis lost what was written."""
    unnoticed: tuple[float, ...]
    """Seconds of the run at which Redis failed over and, although somebody had led, no leader ever
    compared what it has with ECS.
    """
    hidden_s: float
    """How long ECS hides a fresh task."""
    left_behind: Mapping[str, int]
    crashes: tuple[str, ...]
    complaints: tuple[str, ...]
    """Of the event loop and of the simulated ECS about itself."""
    timed_out: bool

    def tasks_of(self, record: JobRecord) -> list[TaskRecord]:
        """The tasks that the queue says ran for this job, in the order of starting."""
        known = {str(attempt.task_arn) for attempt in record.attempts} | {str(record.task_arn)}
        return [task for task in self.tasks if task.arn in known]

    def strays(self) -> list[TaskRecord]:
        """Our tasks that no job knows of, less those whose intent Redis may have forgotten."""
        known = {
            str(arn)
            for record in self.records.values()
            for arn in (record.task_arn, *(attempt.task_arn for attempt in record.attempts))
        }
        return [
            task
            for task in self.tasks
            if task.arn not in known
            and not self.may_be_forgotten(task)
            and task.group not in self.arrays()
        ]

    def may_be_forgotten(self, task: TaskRecord) -> bool:
        """Whether the task began while Redis lost what was written, or its intent was among it."""
        return any(
            began <= task.created_at <= ended + SENT_WITHIN_S for began, ended in self.forgotten
        )

    def arrays(self) -> dict[str, PlannedJob]:
        """Arrays by the group of their children's tasks; ended children have no records."""
        return {str(each.job.group): each for each in self.planned if each.job.array_size}


Invariant = Callable[[Evidence], Iterator[str]]


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """1: every accepted job has ended (the run waits long enough for all of them)."""
    for planned in evidence.planned:
        record = evidence.records.get(planned.job.id)
        if record is None:
            yield f"{planned.job.id} is unknown to the queue"
    for job_id, record in evidence.records.items():
        if not record.state.terminal:
            yield f"{job_id} is still {record.state}: {record.reason}"


def one_effective_launch(evidence: Evidence) -> Iterator[str]:
    """2: within the bounds no task runs that its job does not know; beyond, it is stopped soon."""
    for task in evidence.strays():
        if not evidence.beyond_bounds:
            yield f"{task.arn} ({task.started_by}) was started besides its job's own launch"
            continue
        if task.stopped_at is None:
            yield f"{task.arn} ({task.started_by}) came too late and still runs"
            continue
        told_at = task.stopping_at or task.stopped_at  # a silent agent is not the scheduler's fault
        seconds = told_at - task.created_at
        if seconds > STRAYS_STOPPED_WITHIN_S + evidence.hidden_s:
            yield f"{task.arn} ({task.started_by}) came too late and ran on for {seconds:.0f} s"


def attempts_do_not_overlap(evidence: Evidence) -> Iterator[str]:
    """2, 11: a job's next task starts after its last one ended, however long that one ran."""
    for job_id, record in evidence.records.items():
        tasks = sorted(evidence.tasks_of(record), key=lambda task: task.created_at)
        for first, second in pairwise(tasks):
            if first.stopped_at is None or first.stopped_at > second.created_at:
                yield f"{job_id}: {second.arn} started before {first.arn} had stopped"


def launches_are_counted_once(evidence: Evidence) -> Iterator[str]:
    """2: as many effective launches in the books as tasks in ECS."""
    for job_id, record in evidence.records.items():
        tasks = len(evidence.tasks_of(record))
        if tasks != record.launches and record.launches <= 20:
            yield f"{job_id}: {record.launches} launches in the books, {tasks} tasks in ECS"


def tokens_are_used_once(evidence: Evidence) -> Iterator[str]:
    """3: no launch token was sent to ECS twice."""
    for token, times in evidence.tokens_sent.items():
        if times > 1:
            yield f"launch token {token} was sent {times} times"


def only_failures_use_attempts(evidence: Evidence) -> Iterator[str]:
    """6: a job fails after exactly as many failed tasks as it allowed, never after fewer."""
    for planned in evidence.planned:
        record = evidence.records.get(planned.job.id)
        if record is None or record.cancel_requested or _vain_ends(planned, evidence):
            continue
        failed = sum(
            task.stop_code == "EssentialContainerExited" and any(task.exit_codes)
            for task in evidence.tasks_of(record)
        )
        if record.state is JobState.FAILED and failed != planned.attempts:
            yield (
                f"{planned.job.id} FAILED after {failed} failed tasks of {planned.attempts}: "
                f"{record.reason}"
            )


def jobs_end_as_their_tasks_did(evidence: Evidence) -> Iterator[str]:
    """12, 13: whatever happened on the way, a job ends as it would have without faults."""
    for planned in evidence.planned:
        record = evidence.records.get(planned.job.id)
        if record is None or not record.state.terminal:
            continue
        expected = _ends_of(planned, evidence)
        answer = evidence.cancellations.get(planned.job.id)
        if answer is not None and not isinstance(answer, AlreadyEnded):
            expected = {JobState.CANCELLED} | (expected - {JobState.FAILED})
        if record.state not in expected:
            shown = " or ".join(sorted(expected))
            yield f"{planned.job.id} is {record.state}, not {shown}: {record.reason}"


def _ends_of(planned: PlannedJob, evidence: Evidence) -> set[JobState]:
    """How a job may end that nobody cancels."""
    usual = JobState.FAILED if planned.exit_code else JobState.SUCCEEDED
    return _vain_ends(planned, evidence) or {usual}


def _vain_ends(planned: PlannedJob, evidence: Evidence) -> set[JobState]:
    """How it may end if it waited for jobs that ended otherwise than they had to."""
    ends = set()
    for each in planned.job.depends_on:
        awaited = evidence.records.get(each.job)
        if awaited is None or not awaited.state.terminal:
            continue
        succeeded = awaited.state is JobState.SUCCEEDED
        if each.type == "afterok" and not succeeded:
            ends.add(JobState.FAILED)
        if each.type == "afternotok" and succeeded:
            ends.add(JobState.CANCELLED)
    return ends


def work_is_done_once(evidence: Evidence) -> Iterator[str]:
    """2: no job, child of an array or tick of a schedule succeeds twice."""
    for job_id, record in evidence.records.items():
        done = sum(_done(task) for task in evidence.tasks_of(record))
        if done > 1:
            yield f"{job_id} was done {done} times"
        if record.state is JobState.SUCCEEDED and not done and not record.job.array_size:
            yield f"{job_id} SUCCEEDED, and no task of it did"
    for group, planned in evidence.arrays().items():
        tasks = [each for each in evidence.tasks if each.group == group]
        done, size = sum(map(_done, tasks)), planned.job.array_size or 0
        doubtful = evidence.beyond_bounds or any(map(evidence.may_be_forgotten, tasks))
        if done != size and not (doubtful and done > size):
            yield f"{group}: {done} of its {size} children were done"


def _done(task: TaskRecord) -> bool:
    return task.stop_code == "EssentialContainerExited" and not any(task.exit_codes)


def dependents_wait(evidence: Evidence) -> Iterator[str]:
    """No task of a job starts before the jobs it depends on have ended, nor in vain."""
    for planned in evidence.planned:
        record = evidence.records.get(planned.job.id)
        tasks = [] if record is None else evidence.tasks_of(record)
        if tasks and _vain_ends(planned, evidence):
            yield f"{planned.job.id} was started although it waited in vain"
        for each in planned.job.depends_on:
            awaited = evidence.records.get(each.job)
            before = [] if awaited is None else evidence.tasks_of(awaited)
            for task in tasks:
                if any((one.stopped_at or task.created_at) > task.created_at for one in before):
                    yield f"{planned.job.id} was started before {each.job} had ended"


def gangs_run_whole(evidence: Evidence) -> Iterator[str]:
    """No task of a gang runs on for longer than the bound while a member has not been started."""
    gangs: defaultdict[str, dict[JobId, list[TaskRecord]]] = defaultdict(dict)
    for job_id, record in evidence.records.items():
        if record.job.gang is not None:
            gangs[record.job.gang.id][job_id] = evidence.tasks_of(record)
    for members in gangs.values():
        for job_id, tasks in members.items():
            for task in tasks:
                until = task.created_at + GANG_HEALED_WITHIN_S
                if task.stopped_at is not None and task.stopped_at <= until:
                    continue
                for other, theirs in members.items():
                    if not any(_accompanies(each, task, until) for each in theirs):
                        yield f"{job_id}: {task.arn} ran on while {other} was not started"


def _accompanies(other: TaskRecord, task: TaskRecord, until: float) -> bool:
    """Whether it ran beside the task, or had done its work before."""
    done = other.exit_codes == (0,) or other.stopped_at is None
    return other.created_at <= until and (done or (other.stopped_at or 0) > task.created_at)


def fail_overs_are_noticed(evidence: Evidence) -> Iterator[str]:
    """2: what another server process has forgotten is looked for in ECS. Its tasks mostly end
    before they could be seen beside others of their job, so the comparison itself is asked for.
    """
    for at_s in evidence.unnoticed:
        yield f"the fail-over after {at_s:.0f} s was never noticed"


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str]:
    """Once all is over the ledger, the claims and the promises of room are empty."""
    for what, number in evidence.left_behind.items():
        if number:
            yield f"{number} {what} left behind"


def the_service_never_crashes(evidence: Evidence) -> Iterator[str]:
    """12: faults are handled; only a kill ends a service."""
    yield from evidence.crashes


def ecs_was_never_overcommitted(evidence: Evidence) -> Iterator[str]:
    """4: nor did the simulated ECS, or the event loop, find anything wrong."""
    yield from evidence.complaints


def it_converges(evidence: Evidence) -> Iterator[str]:
    """12: once faults end, everything comes to rest within the bound."""
    if evidence.timed_out:
        open_jobs = Counter(record.state.value for record in evidence.records.values())
        yield f"not at rest in time: {dict(open_jobs)}, {dict(evidence.left_behind)}"


INVARIANTS: tuple[Invariant, ...] = (
    nothing_is_lost,
    one_effective_launch,
    attempts_do_not_overlap,
    launches_are_counted_once,
    tokens_are_used_once,
    only_failures_use_attempts,
    jobs_end_as_their_tasks_did,
    work_is_done_once,
    dependents_wait,
    gangs_run_whole,
    fail_overs_are_noticed,
    nothing_is_left_behind,
    the_service_never_crashes,
    ecs_was_never_overcommitted,
    it_converges,
)

ELSEWHERE: Mapping[int, str] = {
    5: "no throttle under budget: tests/scheduler/test_shared_bucket.py, benchmarks reliability",
    7: "freed capacity wakes jobs within a pass: tests/service",
    8: "an unplaceable head blocks nobody: tests/service, tests/placement",
    9: "higher priority first within a pass: tests/placement",
    10: "preemption makes progress: there is no preemption yet",
    14: "same snapshot, seed and policy, same plan: tests/placement; same seed, same run: "
    "tests/reliability",
}


def violations(evidence: Evidence) -> tuple[str, ...]:
    """Every violation, each behind the name of its invariant."""
    return tuple(
        f"{invariant.__name__}: {what}" for invariant in INVARIANTS for what in invariant(evidence)
    )
