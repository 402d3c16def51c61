"""The states of a job (AWS Batch's names) and what the queue's operations take and answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NewType

from pydantic import JsonValue

from ecs_queue.job import Job, JobId
from ecs_queue.stored import AnyJob

QueueName = NewType("QueueName", str)
DEFAULT_QUEUE = QueueName("default")
OwnerId = NewType("OwnerId", str)
LaunchToken = NewType("LaunchToken", str)
TaskArn = NewType("TaskArn", str)
InstanceArn = NewType("InstanceArn", str)


class JobState(StrEnum):
    """Where a job is in its life; the last three are terminal."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether no transition leads out of this state."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def state_of(value: bytes) -> JobState:
    """A state as the scripts name it."""
    return JobState(value.decode())


# Claims and launches ------------------------------------------------------------------------------


class Claim(NamedTuple):
    """A RUNNABLE job held by one owner under one fencing epoch.

    A tuple, since it is made in a third of the time of a frozen dataclass, a hundred a claim.
    `order` is the submission sequence; `priority` is the document's unless it was changed since;
    `launches` counts effective launches so far.
    `runnable_at_ms` is when it became RUNNABLE: at submission, or when its last task ended. A
    refused launch does not move it, so that the wait for a fallback goes on.
    `together`: how many are claimed with it as one gang, itself included; 0 for a job that starts
    by itself. `overdue` marks the rest of a gang of which others were started already.
    """

    job: AnyJob
    epoch: int
    priority: int
    order: int
    launches: int
    runnable_at_ms: int
    together: int = 0
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """Give a claimed job back, to wait `delay_ms` at least, with the reason why it waits."""

    job_id: JobId
    epoch: int
    reason: str
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Why a claimed job still waits; it stays claimed, and no event is written."""

    job_id: JobId
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A claimed job that can't be launched at all: FAILED with this reason."""

    job_id: JobId
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Intent:
    """One claimed job inside a launch; `instance_arn` is None for RunTask, where ECS chooses."""

    job_id: JobId
    epoch: int
    instance_arn: InstanceArn | None


@dataclass(frozen=True, slots=True)
class Started:
    """ECS acknowledged the launch."""

    job_id: JobId
    task_arn: TaskArn
    instance_arn: InstanceArn | None


@dataclass(frozen=True, slots=True)
class Refused:
    """ECS certainly did not start it: RUNNABLE again after `delay_ms`, no attempt used up."""

    job_id: JobId
    reason: str
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """ECS certainly did not start it, and never would: the job is FAILED with this reason."""

    job_id: JobId
    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """ECS shows no task of it long after the call: RUNNABLE again, no attempt used up.

    Its token stays doubted for a while, since nothing but time speaks against a late arrival.
    """

    job_id: JobId
    reason: str


LaunchOutcome = Started | Refused | Absent | Rejected
"""What settles an intent.

An unknown outcome settles nothing: the intent stands until the reconciler is certain.
"""


@dataclass(frozen=True, slots=True)
class PendingLaunch:
    """An unsettled ledger entry; `jobs` maps each unsettled job to its intended instance.

    `age_ms` is by the clock that set `created_at_ms`.
    """

    token: LaunchToken
    api: str
    created_at_ms: int
    age_ms: int
    jobs: Mapping[JobId, InstanceArn | None]


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task that ECS acknowledged and that has not been seen STOPPED."""

    task_arn: TaskArn
    job_id: JobId


@dataclass(frozen=True, slots=True)
class Sighting:
    """A task seen RUNNING at a time, on an instance where ECS names one."""

    task_arn: TaskArn
    at_ms: int
    instance_arn: InstanceArn | None = None


# Cancelling --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job is CANCELLED, now or by an earlier request."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The job is STARTING or RUNNING; it ends CANCELLED once its task has stopped."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """The job had SUCCEEDED or FAILED before; nothing changed."""

    job_id: JobId
    state: JobState


@dataclass(frozen=True, slots=True)
class NoSuchJob:
    """No job of this id is in the queue, or it still lies unread in the inbox."""

    job_id: JobId


Cancellation = Cancelled | CancelRequested | AlreadyEnded | NoSuchJob


@dataclass(frozen=True, slots=True)
class PendingCancellation:
    """A STARTING or RUNNING job to be stopped, on request or because it ran into its timeout.

    `task_arn` is None until ECS acknowledged a task.
    """

    job_id: JobId
    task_arn: TaskArn | None
    reason: str


# How a task ended ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Every essential container exited with 0."""

    exit_code: int | None = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task itself failed: uses up one of the user's attempts.

    The job's retry rules are shown `container_reason` and `status_reason`.
    """

    reason: str
    exit_code: int | None = None
    container_reason: str = ""
    status_reason: str = ""


@dataclass(frozen=True, slots=True)
class FailedForGood:
    """The task itself failed, and a retry rule says that it shall not be run again."""

    reason: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class InfrastructureFailed:
    """What failed lay around the task (instance lost, Spot reclaimed): uses up no attempt.

    The job is RUNNABLE again until its infrastructure budget is spent.
    """

    reason: str


Verdict = Succeeded | TaskFailed | FailedForGood | InfrastructureFailed


@dataclass(frozen=True, slots=True)
class Attempt:
    """One past launch of a job: when it was launched, seen RUNNING, and seen STOPPED."""

    task_arn: TaskArn | None
    instance_arn: InstanceArn | None
    started_at_ms: int | None
    ended_at_ms: int
    exit_code: int | None
    reason: str
    launched_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """The children of an array: `waiting` ones are not handed out yet, `alive` ones have not ended.

    The five numbers add up to `size`.
    """

    size: int
    waiting: int
    alive: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running task said last of how far it is."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What the queue knows of one job; times in ms since the epoch, None where not reached.

    `priority` is the document's unless it was changed since; `failures` counts used-up attempts;
    `result` is what the task reported, and is left out where many jobs are listed.
    `forgotten`: a child of an array that ended, whose attempts and times are kept no longer.
    """

    job: Job
    state: JobState
    reason: str
    priority: int
    order: int
    launches: int
    failures: int
    infrastructure_failures: int
    cancel_requested: bool
    submitted_at_ms: int
    runnable_at_ms: int
    starting_at_ms: int | None
    running_at_ms: int | None
    ended_at_ms: int | None
    launch_token: LaunchToken | None
    task_arn: TaskArn | None
    instance_arn: InstanceArn | None
    exit_code: int | None
    attempts: tuple[Attempt, ...]
    array: ArraySummary | None = None
    progress: Progress | None = None
    result: JsonValue = None
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One transition of one job."""

    entry_id: str
    job_id: JobId
    state: JobState
    reason: str
    at_ms: int
