"""Tasks that ended a short while ago: should Redis forget that they ever began, we still know."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecs_queue.job import JobId
    from ecs_queue.states import TaskArn


class Lately:
    """The jobs of tasks that ended in the last `kept_s`; times are of one monotonic clock."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._ended: OrderedDict[TaskArn, tuple[JobId, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, arn: TaskArn, job_id: JobId, now: float) -> None:
        """This task ended; what ended too long ago goes."""
        self._ended[arn] = job_id, now
        self._ended.move_to_end(arn)
        self._forget(now)

    def jobs(self, now: float) -> dict[TaskArn, JobId]:
        """The jobs by their tasks."""
        self._forget(now)
        return {arn: job_id for arn, (job_id, _) in self._ended.items()}

    def _forget(self, now: float) -> None:
        while self._ended and next(iter(self._ended.values()))[1] < now - self._kept_s:
            self._ended.popitem(last=False)
