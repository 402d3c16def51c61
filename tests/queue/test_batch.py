"""AWS Batch's SubmitJob requests as jobs."""

import re
from typing import Any

import botocore.session
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
  "timeout_s": 600, "share": "teamA", "priority": 7, "tags": {"team": "a"},
  "propagate_tags": "TASK_DEFINITION"
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


def test_several_containers_are_overridden_by_name() -> None:
    """`ecsPropertiesOverride` is what Batch has for task definitions of several containers."""
    main = {"name": "main", "command": ["run", "Ref::day"]}
    side = {"name": "side", "resourceRequirements": [{"type": "VCPU", "value": "0.25"}]}
    overrides = {"taskProperties": [{"containers": [main, side]}]}
    request = {**LEAST, "parameters": {"day": "1"}, "ecsPropertiesOverride": overrides}
    job = job_from_submit_job(request, "default", "x-0")
    found = job.overrides.model_dump(by_alias=True, exclude_defaults=True)["containerOverrides"]
    assert found == (
        {"name": "main", "command": ("run", "1")},
        {"name": "side", "cpu": 256},
    )


@pytest.mark.parametrize(
    ("depends_on", "wanted"),
    [
        ({"type": "SEQUENTIAL"}, ("", "SEQUENTIAL")),
        ({"jobId": "a", "type": "N_TO_N"}, ("a", "N_TO_N")),
        ({"jobId": "a"}, ("a", "afterok")),
    ],
)
def test_arrays_depend_as_in_batch(depends_on: dict[str, str], wanted: tuple[str, str]) -> None:
    """One after the other without a job's id, child by child, or as a whole."""
    request = {**LEAST, "arrayProperties": {"size": 3}, "dependsOn": [depends_on]}
    job = job_from_submit_job(request, "default", "x-0")
    assert (job.array_size, [(each.job, each.type) for each in job.depends_on]) == (3, [wanted])


def submit_job_members(*path: str) -> list[str]:
    """Members of SubmitJob, or of an object inside it, as AWS's own model of the API lists them."""
    model = botocore.session.get_session().get_service_model("batch")
    shape: Any = model.operation_model("SubmitJob").input_shape
    for step in path:
        shape = shape.members[step]
        shape = shape.member if shape.type_name == "list" else shape
    return sorted(shape.members)


@pytest.mark.parametrize("name", submit_job_members())
def test_every_member_of_submit_job_is_known_here(name: str) -> None:
    """It is taken, or refused with a reason; AWS's model of its own API is the list."""
    complaint = ""
    try:
        job_from_submit_job({**LEAST, name: {}}, "default", "x-0")
    except InvalidJob as error:
        complaint = str(error)
    assert "is no member of SubmitJob" not in complaint


IN_ECS = ("ecsPropertiesOverride", "taskProperties", "containers")


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        *((n, {"containerOverrides": {n: -1}}) for n in submit_job_members("containerOverrides")),
        *(
            (n, {IN_ECS[0]: {IN_ECS[1]: [{IN_ECS[2]: [{"name": "c", n: 0}]}]}})
            for n in submit_job_members(*IN_ECS)
        ),
        *((n, {"dependsOn": [{"jobId": "a", n: 0}]}) for n in submit_job_members("dependsOn")),
        *((n, {"retryStrategy": {n: {}}}) for n in submit_job_members("retryStrategy")),
        *((n, {"timeout": {n: {}}}) for n in submit_job_members("timeout")),
        *((n, {"arrayProperties": {n: {}}}) for n in submit_job_members("arrayProperties")),
    ],
)
def test_every_member_within_is_looked_at(name: str, whole: dict[str, Any]) -> None:
    """What can't be right in any of them is refused by its name, so that none is passed over."""
    with pytest.raises(InvalidJob) as caught:
        job_from_submit_job({**LEAST, **whole}, "default", "x-0")
    assert name in str(caught.value) or name == "vcpus"
    assert "unknown field" not in str(caught.value)


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
        ({"timeout": {"attemptDurationSeconds": 0}}, "timeout.attemptDurationSeconds: must be"),
        ({"shareIdentifier": "a b"}, "shareIdentifier: must have 1 to 255 letters"),
        ({"jobName": "größer"}, "jobName: must have 1 to 128 letters"),
        ({"retryStrategy": {"attempts": 11}}, "retryStrategy.attempts: must be"),
        (
            {"retryStrategy": {"evaluateOnExit": [{"action": "STOP"}]}},
            "retryStrategy.evaluateOnExit[0].action: expected",
        ),
        ({"arrayProperties": {"size": 1}, "timeout": {}}, "arrayProperties.size: must be"),
        ({"dependsOn": {"jobId": "a"}}, "dependsOn: must be a list"),
        ({"dependsOn": [{"jobId": "a", "kind": "x"}]}, "dependsOn: kind: is no member"),
        ({"propagateTags": "yes"}, "propagateTags: must be true or false"),
        ({"consumableResourcePropertiesOverride": {}}, "here each instance declares"),
        ({"ecsPropertiesOverride": {"taskProperties": [{}, {}]}}, "a list of one object"),
        (
            {"containerOverrides": {"resourceRequirements": [{"type": "MEMORY", "value": "1"}]}},
            "containerOverrides.memory: must be greater than or equal to 6",
        ),
        ({"ecsPropertiesOverride": {}, "containerOverrides": {}}, "stands in place of"),
        (
            {"containerOverrides": {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "x"}]}},
            "containerOverrides.environment: AWS_BATCH_JOB_ID: Batch keeps",
        ),
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


def test_everything_that_has_no_meaning_is_told_at_once() -> None:
    """Each by its own name: what is unknown, what is refused, and what is out of bounds."""
    request = {
        "jobName": "etl",
        "nodeOverrides": {},
        "retries": 1,
        "containerOverrides": {"privileged": True, "volumes": [], "instanceType": "m5"},
        "dependsOn": [{"jobId": "a", "kind": "x", "when": "y"}],
        "timeout": {"attemptDurationSeconds": 0, "grace": 5},
        "retryStrategy": {"attempts": 3, "backoff": 1},
        "arrayProperties": {"size": 1, "start": 0},
        "schedulingPriorityOverride": 5000,
        "shareIdentifier": "a b",
    }
    with pytest.raises(InvalidJob) as caught:
        job_from_submit_job(request, "default", "x-0")
    assert re.findall(r"(?:^|; )([A-Za-z.]+):", str(caught.value)) == [
        *("nodeOverrides", "retries", "jobDefinition", "containerOverrides.privileged"),
        *("containerOverrides.volumes", "containerOverrides.instanceType", "retryStrategy.backoff"),
        *("timeout.grace", "schedulingPriorityOverride", "arrayProperties.start"),
        *("dependsOn", "dependsOn", "shareIdentifier"),
    ]


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"timeout": {"attemptDurationSeconds": 60, "grace": 5}}, "timeout.grace"),
        ({"arrayProperties": {"size": 2, "start": 0}}, "arrayProperties.start"),
        ({"retryStrategy": {"attempts": 3, "backoff_s": 1}}, "retryStrategy.backoff_s"),
        (
            {
                "containerOverrides": {
                    "resourceRequirements": [{"type": "GPU", "value": "1", "x": 1}]
                }
            },
            "and nothing else",
        ),
    ],
)
def test_a_member_within_that_batch_does_not_have_is_refused(
    members: dict[str, Any], name: str
) -> None:
    """Beside members that are right it would be easy to pass over."""
    with pytest.raises(InvalidJob, match=name):
        job_from_submit_job({**LEAST, **members}, "default", "x-0")
