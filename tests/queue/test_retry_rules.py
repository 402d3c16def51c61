"""Retry rules as Batch writes them, and the waits between attempts."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_queue.document import canonical, parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import JobId
from ecs_queue.retrying import Exit, ExitRule, Retry, backoff_ms
from ecs_queue.states import FailedForGood, JobState

if TYPE_CHECKING:
    from tests.queue.conftest import Story

FROM_BATCH = {
    "attempts": 5,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onExitCode": "13*", "action": "retry"},
        {"onReason": "OutOfMemoryError*", "action": "exit"},
        {"onReason": "*", "action": "EXIT"},
    ],
}


def document(**members: Any) -> str:
    return json.dumps({"id": "a", "task_definition": "t", **members})


def test_the_strategy_of_batch_is_taken_as_it_is() -> None:
    """retryStrategy with evaluateOnExit, its actions in any case, comes to our own retry."""
    job = parse_job(document(retryStrategy=FROM_BATCH))
    own = {"attempts": 5, "evaluate_on_exit": FROM_BATCH["evaluateOnExit"]}
    assert job == parse_job(document(retry=own))
    assert [rule.action for rule in job.retry.evaluate_on_exit] == ["RETRY", "RETRY", *2 * ["EXIT"]]
    assert b'"retry":{"attempts":5,"evaluate_on_exit":[{"onStatusReason":"Host EC2*"' in canonical(
        job
    )


@pytest.mark.parametrize(
    ("exit_", "place"),
    [
        (Exit(1, "", "Host EC2 (instance i-1) terminated."), 0),
        (Exit(137, "OutOfMemoryError: killed", "Essential container in task exited"), 1),
        (Exit(1, "OutOfMemoryError: killed", "Essential container in task exited"), 2),
        (Exit(None, "CannotPullContainerError", ""), 3),
        (Exit(1, "", ""), 3),
    ],
)
def test_the_first_rule_that_holds_decides(exit_: Exit, place: int) -> None:
    """In the order in which they are written."""
    assert Retry.model_validate(FROM_BATCH).first_rule(exit_) == place


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"onExitCode": "1"}, False),
        ({"onExitCode": "13"}, True),
        ({"onExitCode": "1*"}, True),
        ({"onReason": "a"}, False),
        ({"onReason": "a b"}, True),
        ({"onExitCode": "1*", "onReason": "b*"}, False),
        ({}, True),
    ],
)
def test_a_condition_is_a_whole_text_or_its_beginning(rule: dict[str, str], holds: bool) -> None:
    """Only a trailing star is a wildcard, and all conditions have to be met."""
    found = ExitRule.model_validate({**rule, "action": "EXIT"}).holds(Exit(13, "a b", "c"))
    assert found is holds


def test_no_exit_code_is_matched_by_no_pattern() -> None:
    """A container that never started has none, not even for a star."""
    assert not ExitRule.model_validate({"onExitCode": "*", "action": "EXIT"}).holds(
        Exit(None, "", "")
    )


@pytest.mark.parametrize(
    ("retry", "complaint"),
    [
        ({"evaluate_on_exit": 6 * [{"action": "EXIT"}]}, "at most 5 items"),
        ({"evaluate_on_exit": [{"onExitCode": "1-5", "action": "EXIT"}]}, "onExitCode: "),
        ({"evaluate_on_exit": [{"onReason": "*x", "action": "EXIT"}]}, "onReason: "),
        ({"evaluate_on_exit": [{"onReason": "x"}]}, "action: required, but missing"),
        ({"evaluate_on_exit": [{"onExit": "1", "action": "EXIT"}]}, "did you mean onExitCode?"),
        ({"attempts": 11}, "retry.attempts"),
    ],
)
def test_what_batch_refuses_is_refused(retry: dict[str, Any], complaint: str) -> None:
    """Each complaint names the rule."""
    with pytest.raises(InvalidJob) as caught:
        parse_job(document(retry=retry))
    assert complaint in str(caught.value)


def test_the_first_waits_are_what_the_documentation_says() -> None:
    """1, 2, 4, 8 seconds at most, half of it at least, and never more than the bound."""
    assert [backoff_ms(1, 300, n, 1.0) for n in (1, 2, 3, 4)] == [1000, 2000, 4000, 8000]
    assert [backoff_ms(1, 300, n, 0.0) for n in (1, 2, 3, 4)] == [500, 1000, 2000, 4000]
    assert backoff_ms(1, 300, 100, 1.0) == 300_000


@given(st.integers(0, 3600), st.integers(0, 86_400), st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_never_leaves_its_bounds(first: int, most: int, failures: int, u: float) -> None:
    """Not above the bound, not below half of it once it is reached."""
    wait = backoff_ms(first, most, failures, u)
    full_ms = 1000 * min(first << min(failures - 1, 30), most)
    assert full_ms // 2 <= wait <= full_ms


async def test_failed_for_good_leaves_attempts_unused(story: "Story") -> None:
    """A rule said EXIT: FAILED after the first of five attempts, told twice or once."""
    await story.submit("a", attempts=5)
    task = await story.run("a")
    verdict = FailedForGood("exit code 2 (not retried)", 2)
    assert await story.queue.finish(task, verdict) is JobState.FAILED
    record = await story.queue.job(JobId("a"))
    assert (record.reason, record.exit_code, record.failures) == (verdict.reason, 2, 1)
