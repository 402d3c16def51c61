"""What the end of a task means for its job."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ecs_queue.states import InfrastructureFailed, Succeeded, TaskFailed
from ecs_scheduler.ecs.tasks import INTERRUPTED, Task, parse_task, verdict, was_interrupted

ESSENTIAL = frozenset({"main"})


def stopped(
    *containers: tuple[str, int | None],
    stop_code: str = "EssentialContainerExited",
    reason: str = "",
) -> Task:
    raw: Any = {
        "taskArn": "arn:task/1",
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": reason,
        "containers": [
            {"name": name, **({} if code is None else {"exitCode": code})}
            for name, code in containers
        ],
    }
    return parse_task(raw)


def test_success_is_exit_zero_of_every_essential_container() -> None:
    """A side container's exit code is nobody's business."""
    assert isinstance(verdict(stopped(("main", 0), ("side", 137)), ESSENTIAL), Succeeded)


def test_a_non_zero_exit_is_the_tasks_own_failure() -> None:
    """The exit code and the container's name reach the job."""
    assert verdict(stopped(("main", 3)), ESSENTIAL) == TaskFailed(
        reason="container main exited with 3", exit_code=3
    )


def test_a_missing_exit_code_is_never_a_success() -> None:
    """A container that never started has none."""
    task = stopped(
        ("main", None), stop_code="TaskFailedToStart", reason="CannotPullContainerError: no"
    )
    assert verdict(task, ESSENTIAL) == TaskFailed(
        reason="TaskFailedToStart: CannotPullContainerError: no",
        exit_code=None,
        status_reason="CannotPullContainerError: no",
    )


def test_a_task_without_containers_reaches_a_verdict() -> None:
    """ECS has answered STOPPED with an empty list of containers."""
    task = stopped(stop_code="TaskFailedToStart")
    assert verdict(task, ESSENTIAL) == TaskFailed(reason="TaskFailedToStart")


@pytest.mark.parametrize(
    ("stop_code", "reason"),
    [
        ("SpotInterruption", "Your Spot Task was interrupted."),
        ("TerminationNotice", ""),
        ("InfrastructureHealth", ""),
        ("TaskFailedToStart", "RESOURCE:MEMORY"),
        ("TaskFailedToStart", "AGENT"),
        ("", "Host EC2 (instance i-0abc) terminated."),
        ("EssentialContainerExited", "Host EC2 (instance i-0abc) stopped/terminated."),
    ],
)
def test_what_happens_to_the_place_is_not_the_tasks_fault(stop_code: str, reason: str) -> None:
    """Lost capacity uses up none of the user's attempts."""
    task = stopped(("main", 137), stop_code=stop_code, reason=reason)
    assert isinstance(verdict(task, ESSENTIAL), InfrastructureFailed)


def test_a_task_stopped_by_a_person_failed_even_with_exit_zero() -> None:
    """Its work was cut short."""
    task = stopped(("main", 0), stop_code="UserInitiated", reason="bye")
    assert verdict(task, ESSENTIAL) == TaskFailed(reason="UserInitiated: bye", status_reason="bye")


def test_unknown_essential_containers_mean_all_of_them() -> None:
    """When the task definition can't be read any more, every container counts."""
    assert isinstance(verdict(stopped(("main", 0), ("side", 1)), frozenset()), TaskFailed)


def test_times_and_interfaces_are_read() -> None:
    """startedAt becomes ms since the epoch; only network interfaces count among attachments."""
    task = parse_task(
        {
            "taskArn": "arn:task/1",
            "startedAt": datetime(2026, 1, 1, tzinfo=UTC),
            "attachments": [{"type": "ElasticNetworkInterface"}, {"type": "other"}],
        }
    )
    assert (task.started_at_ms, task.interfaces, task.has_run) == (1_767_225_600_000, 1, True)


def test_a_task_that_we_interrupted_has_not_succeeded() -> None:
    """It ended with 0 on SIGTERM, whatever it had left to do; its job runs again, at once."""
    task = stopped(("main", 0), stop_code="UserInitiated", reason=f"{INTERRUPTED} (draining)")
    assert isinstance(verdict(task, ESSENTIAL), InfrastructureFailed)
    assert was_interrupted(task)
    ended_before = stopped(("main", 0), reason=f"{INTERRUPTED} (draining)")
    assert isinstance(verdict(ended_before, ESSENTIAL), Succeeded)
