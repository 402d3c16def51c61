"""AWS Batch's SubmitJob requests as jobs."""

from typing import Any

import pytest

from ecs_queue.batch import job_from_submit_job
from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob

LEAST = {"jobName": "etl", "jobDefinition": "etl-job:3", "jobQueue": "high"}

WHOLE: dict[str, Any] = {
    **LEAST,
    "jobDefinition": "arn:aws:batch:eu-west-1:123456789012:job-definition/etl-job:3",
    "parameters": {"day": "2026-11-23"},
    "containerOverrides": {
        "command": ["run", "Ref::day", "Ref::other"],
        "environment": [{"name": "MODE", "value": "full"}],
        "resourceRequirements": [
            {"type": "VCPU", "value": "0.5"},
            {"type": "MEMORY", "value": "2048"},
            {"type": "GPU", "value": "1"},
        ],
    },
    "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"onExitCode": "1", "action": "exit"}]},
    "timeout": {"attemptDurationSeconds": 600},
    "shareIdentifier": "teamA",
    "schedulingPriorityOverride": 7,
    "tags": {"team": "a"},
    "propagateTags": True,
}

WANTED = """{
  "id": "etl/x-0",
  "task_definition": "etl-job:3",
  "overrides": {"containerOverrides": [{
    "name": "default",
    "command": ["run", "2026-11-23", "Ref::other"],
    "environment": [{"name": "MODE", "value": "full"}],
    "cpu": 512, "memory": 2048,
    "resourceRequirements": [{"type": "GPU", "value": "1"}]
  }]},
  "retry": {"attempts": 3, "evaluate_on_exit": [{"onExitCode": "1", "action": "EXIT"}]},
  "timeout_s": 600, "share": "teamA", "priority": 7, "tags": {"team": "a"}
}"""


def test_a_whole_request_becomes_a_job() -> None:
    """Every member has its field; parameters are put into the command as Batch does."""
    assert job_from_submit_job(WHOLE, "default", "x-0") == parse_job(WANTED)


def test_the_least_request_becomes_a_job() -> None:
    """A name and a definition; nothing is overridden."""
    job = job_from_submit_job(LEAST, "default", "x-0")
    assert job == parse_job('{"id": "etl/x-0", "task_definition": "etl-job:3"}')


def test_a_request_may_name_its_own_id() -> None:
    """So that others of the same file can depend on it."""
    assert job_from_submit_job({**LEAST, "jobId": "first"}, "default", "x-0").id == "first"


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"jobName": ""}, "jobName: a text is required"),
        ({"nodeOverrides": {}}, "nodeOverrides: multi-node parallel jobs"),
        ({"eksPropertiesOverride": {}}, "eksPropertiesOverride: jobs run on ECS"),
        ({"retries": 3}, "retries: is no member of SubmitJob"),
        ({"schedulingPriorityOverride": 9999}, "schedulingPriorityOverride: 9999 is more than"),
        ({"containerOverrides": {"instanceType": "x"}}, "containerOverrides.instanceType: "),
        ({"parameters": {"a": "b"}}, "parameters: are put into containerOverrides.command"),
        ({"timeout": 5}, "timeout: must be an object"),
        ({"timeout": {"attemptDurationSeconds": 0}}, "timeout_s: "),
        ({"dependsOn": [{}]}, "dependsOn: jobId: required"),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "two"}]}},
            "VCPU: must be a number",
        ),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "DISK", "value": "2"}]}},
            "a type VCPU, MEMORY or GPU",
        ),
    ],
)
def test_what_has_no_meaning_here_is_refused(members: dict[str, Any], complaint: str) -> None:
    """By Batch's own name for it."""
    with pytest.raises(InvalidJob) as caught:
        job_from_submit_job({**LEAST, **members}, "default", "x-0")
    assert complaint in str(caught.value)
