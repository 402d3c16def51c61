"""The books: every way in which queue and simulated ECS may disagree is noticed, and only those."""

from collections.abc import Iterable

import pytest

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.demo.account import Asked, Books, Ran, Times, Told, problems, times

A, B = JobId("a"), JobId("b")


def told(
    job_id: JobId, *tasks: str, state: JobState = JobState.SUCCEEDED, reason: str = ""
) -> Told:
    return Told(
        job_id=job_id,
        state=state,
        reason=reason,
        tasks=tasks,
        submitted_at_ms=1_000,
        starting_at_ms=3_500,
        ended_at_ms=9_000,
    )


def books(asked: Iterable[Asked], jobs: Iterable[Told], ran: Iterable[Ran]) -> Books:
    return Books(
        asked=tuple(asked),
        told={each.job_id: each for each in jobs},
        ran={each.task_arn: each for each in ran},
    )


def test_matching_books_have_no_problems() -> None:
    """One job that succeeded, one that was made to fail, one retried until it worked."""
    kept = books(
        [Asked(A), Asked(B, exit_code=3), Asked(JobId("c"), attempts=2)],
        [
            told(A, "t1"),
            told(B, "t2", state=JobState.FAILED),
            told(JobId("c"), "t3", "t4"),
        ],
        [Ran("t1"), Ran("t2", exit_code=3), Ran("t3", exit_code=1), Ran("t4")],
    )
    assert list(problems(kept)) == []


def test_tasks_that_never_started_or_were_stopped_are_no_second_run() -> None:
    """A launch that came to nothing (an instance died, say) may be repeated."""
    kept = books(
        [Asked(A)],
        [told(A, "t1", "t2", "t3")],
        [Ran("t1", started=False, exit_code=None), Ran("t2", exit_code=None), Ran("t3")],
    )
    assert list(problems(kept)) == []


BROKEN = {
    "lost": (
        books([Asked(A)], [], []),
        "a is lost: the queue does not know it",
    ),
    "open": (
        books([Asked(A)], [told(A, state=JobState.RUNNABLE, reason="RESOURCE:GPU")], []),
        "a is still RUNNABLE: RESOURCE:GPU",
    ),
    "made up": (
        books([], [told(A, "t1")], [Ran("t1")]),
        "a is in the queue, and nobody submitted it",
    ),
    "ran twice": (
        books([Asked(A)], [told(A, "t1", "t2")], [Ran("t1"), Ran("t2")]),
        "a ran 2 times, with exit codes [0, 0]",
    ),
    "ran too often": (
        books(
            [Asked(A, exit_code=1)],
            [told(A, "t1", "t2", state=JobState.FAILED)],
            [Ran("t1", exit_code=1), Ran("t2", exit_code=1)],
        ),
        "a ran 2 times, with exit codes [1, 1]",
    ),
    "unknown to the queue": (
        books([Asked(A)], [told(A, "t1")], [Ran("t1"), Ran("t2")]),
        "t2 ran, and no job knows of it",
    ),
    "unknown to ECS": (
        books([Asked(A)], [told(A, "t1", "t2")], [Ran("t1")]),
        "t2 is named by a job, and ECS does not know it",
    ),
    "shared": (
        books([Asked(A), Asked(B)], [told(A, "t1"), told(B, "t1")], [Ran("t1")]),
        "t1 is named by 2 jobs",
    ),
    "made up success": (
        books([Asked(A)], [told(A, "t1")], [Ran("t1", exit_code=None)]),
        "a SUCCEEDED, and none of its tasks did",
    ),
    "wrong ending": (
        books(
            [Asked(A)], [told(A, "t1", state=JobState.FAILED, reason="exit code 0")], [Ran("t1")]
        ),
        "a should have SUCCEEDED (exit code 0) and is FAILED: exit code 0",
    ),
}


@pytest.mark.parametrize(("kept", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_promise_is_noticed(kept: Books, problem: str) -> None:
    """Exactly this problem is reported."""
    assert list(problems(kept)) == [problem]


def test_times_are_taken_from_the_records() -> None:
    """Makespan from the first submission to the last end; waiting until the launch."""
    assert times([told(A, "t1"), told(B, "t2")]) == Times(
        makespan_s=8.0, waiting_median_s=2.5, waiting_p95_s=2.5
    )
    assert times([]) is None
