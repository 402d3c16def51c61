"""What follows on the end of a task: the job's retry rules are applied, and the wait before the
next launch is chosen. No I/O.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ecs_queue.retrying import (
    INFRASTRUCTURE_BACKOFF_MAX_S,
    INFRASTRUCTURE_BACKOFF_S,
    Exit,
    backoff_ms,
)
from ecs_queue.states import FailedForGood, InfrastructureFailed, TaskFailed

if TYPE_CHECKING:
    from ecs_queue.states import JobRecord, TaskArn, Verdict


def jitter_of(task: TaskArn) -> float:
    """Evenly spread over 0 to 1, and the same whenever the same end is told again."""
    return zlib.crc32(task.encode()) / 0xFFFF_FFFF


def next_step(verdict: Verdict, record: JobRecord, jitter: float) -> tuple[Verdict, int]:
    """The verdict after the job's own rules, and the wait in ms if it is launched again.

    Rules see failures of the task alone: what the infrastructure did is retried in any case, on a
    budget of its own.
    """
    match verdict:
        case TaskFailed():
            return _after_failure(verdict, record, jitter)
        case InfrastructureFailed():
            failures = record.infrastructure_failures + 1
            return verdict, backoff_ms(
                INFRASTRUCTURE_BACKOFF_S, INFRASTRUCTURE_BACKOFF_MAX_S, failures, jitter
            )
        case _:
            return verdict, 0


def _after_failure(failed: TaskFailed, record: JobRecord, jitter: float) -> tuple[Verdict, int]:
    retry = record.job.retry
    place = retry.first_rule(Exit(failed.exit_code, failed.container_reason, failed.status_reason))
    if place is not None and retry.evaluate_on_exit[place].action == "EXIT":
        reason = f"{failed.reason} (not retried: evaluate_on_exit[{place}] says EXIT)"
        return FailedForGood(reason, failed.exit_code), 0
    wait_ms = backoff_ms(retry.backoff_s, retry.backoff_max_s, record.failures + 1, jitter)
    return failed, wait_ms
