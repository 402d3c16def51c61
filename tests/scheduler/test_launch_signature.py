"""Which launches share a call, and how calls are dealt."""

from collections import Counter
from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ecs_queue.job import Job
from ecs_scheduler.launching.launch_signature import batches, launch_signature

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/batch:1"


def job(job_id: str = "a", **members: Any) -> Job:
    return Job.model_validate({"id": job_id, "task_definition": "batch", **members})


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def test_id_priority_and_retries_leave_the_signature_alone() -> None:
    """Only what reaches ECS counts."""
    one = job("one", priority=7, retry={"attempts": 3}, share="a")
    assert launch_signature(one, ARN) == launch_signature(job("two"), ARN)


def test_another_command_is_another_signature() -> None:
    """StartTask takes one set of overrides a call."""
    signatures = {launch_signature(job(overrides=command(w)), ARN) for w in ("x", "y")}
    assert len(signatures) == 2


def test_parameters_are_in_the_spelling_of_ecs_and_leave_defaults_out() -> None:
    """What was not asked for is not sent."""
    full = job(overrides=command("run"), group="g", tags={"b": "2", "a": "1"})
    assert launch_signature(job(), ARN).parameters() == {"taskDefinition": ARN}
    assert launch_signature(full, ARN).parameters() == {
        "taskDefinition": ARN,
        "overrides": command("run"),
        "group": "g",
        "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
    }


def test_the_child_of_an_array_finds_its_index_in_the_environment() -> None:
    """In every container, beside what its own overrides say; so no two children share a call."""
    environment = [{"name": "A", "value": "1"}]
    overrides = {"containerOverrides": [{"name": "main", "environment": environment}]}
    one, two = (
        launch_signature(
            job(overrides=overrides, array_size=9).model_copy(update={"array_index": index}),
            ARN,
            ("main", "side"),
        )
        for index in (7, 8)
    )
    assert one != two
    told = [
        {"name": "AWS_BATCH_JOB_ARRAY_INDEX", "value": "7"},
        {"name": "ECS_SCHEDULER_ARRAY_INDEX", "value": "7"},
    ]
    assert one.parameters()["overrides"]["containerOverrides"] == [
        {"name": "main", "environment": environment + told},
        {"name": "side", "environment": told},
    ]


@given(st.lists(st.integers(0, 15).map(str), max_size=80))
def test_batches_never_repeat_an_instance_and_never_waste_a_call(instances: list[str]) -> None:
    """max(largest pile, ⌈n / 10⌉) calls; each job in exactly one."""
    placed = list(enumerate(instances))
    calls = batches(placed, lambda each: each[1])
    assert sorted(each for call in calls for each in call) == placed
    assert all(len({instance for _, instance in call}) == len(call) <= 10 for call in calls)
    largest = max(Counter(instances).values(), default=0)
    assert len(calls) == max(largest, ceil(len(placed) / 10))
