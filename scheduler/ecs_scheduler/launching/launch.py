"""One launch as a value: the jobs of one call, and how the answer of ECS maps back onto them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecs_scheduler.ecs.launch_answer import LaunchAnswer, LaunchFailure, RunTarget
from ecs_scheduler.ecs.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Collection

    from ecs_queue.job import JobId
    from ecs_queue.states import InstanceArn
    from ecs_scheduler.launching.launch_signature import LaunchSignature
    from ecs_scheduler.passes.window import Held


@dataclass(frozen=True, slots=True)
class Slot:
    """One job in a launch; `instance` is None for RunTask, where ECS chooses. `detail` says why
    this instance, for people.
    """

    held: Held
    instance: InstanceArn | None
    detail: str = ""

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.held.job_id


@dataclass(frozen=True, slots=True)
class Launch:
    """The jobs of one call. They share the signature; with StartTask their instances are all
    different.

    `target` is set for RunTask only. `detail` says why this way, for people.
    """

    signature: LaunchSignature
    slots: tuple[Slot, ...]
    target: RunTarget | None = None
    detail: str = ""

    @property
    def api(self) -> str:
        """The ECS operation."""
        return "StartTask" if self.target is None else "RunTask"

    @property
    def gang(self) -> str:
        """The gang whose members these are; empty where each starts by itself."""
        return self.slots[0].held.gang

    def only(self, job_ids: Collection[JobId]) -> Launch:
        """The same launch without the jobs that are not among these."""
        return replace(self, slots=tuple(slot for slot in self.slots if slot.job_id in job_ids))


def match(launch: Launch, answer: LaunchAnswer) -> list[tuple[Slot, Task | LaunchFailure]]:
    """Which task or failure belongs to which job; a job that the answer leaves out is in no pair:
    its outcome is unknown.

    StartTask answers name the instance, which is unique within the call. RunTask answers don't say
    which of the interchangeable jobs they mean, so tasks go to the first jobs and failures to the
    rest.
    """
    if launch.target is not None:
        both: list[Task | LaunchFailure] = [*answer.tasks, *answer.failures]
        return list(zip(launch.slots, both, strict=False))
    by_instance = {_short(slot.instance or ""): slot for slot in launch.slots}
    pairs: list[tuple[Slot, Task | LaunchFailure]] = []
    for task in answer.tasks:
        slot = by_instance.pop(_short(task.instance_arn or ""), None)
        if slot is not None:
            pairs.append((slot, task))
    for failure in answer.failures:
        slot = by_instance.pop(_short(failure.arn), None)
        if slot is not None:
            pairs.append((slot, failure))
    return pairs


def _short(arn: str) -> str:
    """The id at the end: `failures[].arn` has been seen both as an ARN and as a bare id."""
    return arn.rpartition("/")[2]
