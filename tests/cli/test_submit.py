"""Submitting one job from flags."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.job import JobId


def test_a_submitted_job_is_in_the_queue(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """The flags become the job's document, and its id is all that goes to standard output."""
    flags = "--id a --container main --env A=1 --env B=x=y --cpu 256 --memory 512 --gpus 1"
    more = "--priority 7 --attempts 3 --group g --tag team=red --share red"
    answer = cli("submit", "etl:3", *flags.split(), *more.split(), "--", "run", "--all")

    assert (answer.code, answer.out, answer.err) == (0, "a\n", "accepted\n")
    job = on_queue(lambda queue: queue.job(JobId("a"))).job
    assert job.model_dump(by_alias=True, exclude_defaults=True, mode="json") == {
        "id": "a",
        "task_definition": "etl:3",
        "overrides": {
            "containerOverrides": [
                {
                    "name": "main",
                    "command": ["run", "--all"],
                    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}],
                    "cpu": 256,
                    "memory": 512,
                    "resourceRequirements": [{"type": "GPU", "value": "1"}],
                }
            ]
        },
        "group": "g",
        "priority": 7,
        "share": "red",
        "retry": {"attempts": 3},
        "tags": {"team": "red"},
    }


def test_sizes_without_a_container_are_the_tasks(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """--cpu and --memory alone override the whole task, as strings, as ECS wants them."""
    assert cli("submit", "etl", "--id", "a", "--cpu", "256", "--memory", "512").code == 0
    overrides = on_queue(lambda queue: queue.job(JobId("a"))).job.overrides
    assert (overrides.cpu, overrides.memory) == ("256", "512")


def test_network_and_fallback_are_passed_on(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """Subnets and the fallback end in the document's own fields."""
    flags = "--subnet s-1 --subnet s-2 --security-group g-1"
    fallback = "--fallback-after-s 60 --fallback-launch-type FARGATE"
    assert cli("submit", "etl", "--id", "a", *flags.split(), *fallback.split()).code == 0
    job = on_queue(lambda queue: queue.job(JobId("a"))).job
    vpc = job.network_configuration.awsvpc_configuration
    assert (vpc.subnets, vpc.security_groups) == (("s-1", "s-2"), ("g-1",))
    assert (job.fallback.after_s, job.fallback.launch_type) == (60, "FARGATE")


def test_a_command_may_be_one_string(cli: Callable[..., Any], on_queue: Callable[..., Any]) -> None:
    """--command is split as a shell would split it."""
    cli("submit", "etl", "--id", "a", "--container", "c", "--command", "echo 'two words'")
    job = on_queue(lambda queue: queue.job(JobId("a"))).job
    assert job.overrides.container_overrides[0].command == ("echo", "two words")


def test_submitting_again_changes_nothing(cli: Callable[..., Any], queue_name: str) -> None:
    """The same job under the same id is a duplicate; another one is refused with exit code 1."""
    assert cli("submit", "etl", "--id", "a").err == "accepted\n"
    assert cli("submit", "etl", "--id", "a").err == "duplicate\n"
    refused = cli("submit", "etl", "--id", "a", "--priority", "1")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        "ecs-scheduler: --id: another job was submitted as 'a' before; nothing changed. "
        "Choose another id\n"
    )


def test_without_an_id_each_submission_is_a_new_job(
    cli: Callable[..., Any], queue_name: str
) -> None:
    """Ids are made up, and differ."""
    assert cli("submit", "etl").out != cli("submit", "etl").out
    assert "in all: 2 RUNNABLE" in cli("jobs").err


def test_json_output_names_id_and_outcome(cli: Callable[..., Any], queue_name: str) -> None:
    """With -o json standard output is one JSON object."""
    answer = cli("submit", "etl", "--id", "a", "-o", "json")
    assert json.loads(answer.out) == {"id": "a", "outcome": "accepted"}


BAD = {
    "nothing": ([], "submit: name a TASK_DEFINITION, or a file of jobs with --file"),
    "no-container": (
        ["etl", "--", "run"],
        "--container: is missing; ECS overrides command, environment and GPUs per container",
    ),
    "env-without-value": (
        ["etl", "--container", "c", "--env", "A"],
        "--env: should look like NAME=VALUE; it is 'A'",
    ),
    "tag-without-name": (["etl", "--tag", "=x"], "--tag: should look like NAME=VALUE; it is '=x'"),
    "two-commands": (
        ["etl", "--container", "c", "--command", "a", "--", "b"],
        "--command: give it either here or behind --, not both",
    ),
    "unclosed-quote": (
        ["etl", "--container", "c", "--command", "echo 'x"],
        "--command: No closing quotation: echo 'x",
    ),
    "priority-too-high": (["etl", "--priority", "1001"], "priority: must be less than or equal to"),
    "priority-no-number": (["etl", "--priority", "x"], "Invalid value for --priority"),
    "bad-id": (["etl", "--id", "a b"], "not a job: id: "),
    "too-many-attempts": (["etl", "--attempts", "11"], "retry.attempts: must be less than"),
    "no-memory": (["etl", "--container", "c", "--memory", "1"], "memory: must be greater than"),
    "unknown-flag": (["etl", "--prio", "1"], "Unknown option: --prio"),
    "unknown-launch-type": (
        ["etl", "--fallback-after-s", "1", "--fallback-launch-type", "SPOT"],
        "fallback.launch_type: expected 'EC2', 'FARGATE' or 'EXTERNAL', got \"SPOT\"",
    ),
    "fallback-without-time": (
        ["etl", "--fallback-launch-type", "EC2"],
        "--fallback-after-s: is missing beside --fallback-launch-type",
    ),
    "misspelled-dependency": (
        ["etl", "--depends-on", "AfterAnny:x"],
        "--depends-on: there is no type 'AfterAnny'; did you mean afterany? "
        "For the job 'AfterAnny:x' itself write afterok:AfterAnny:x",
    ),
    "dependency-on-nobody": (
        ["etl", "--depends-on", "afterok:"],
        "--depends-on: should look like afterok:ID; it is 'afterok:'",
    ),
    "sequence-of-a-job": (
        ["etl", "--depends-on", "SEQUENTIAL:x"],
        "--depends-on: should look like SEQUENTIAL alone; it is 'SEQUENTIAL:x'",
    ),
    "file-and-flags": (
        ["--file", "x", "--priority", "1"],
        "--file: the file says everything about its jobs; leave out --priority",
    ),
    "file-and-definition": (
        ["etl", "--file", "x"],
        "--file: the file says everything about its jobs; leave out a TASK_DEFINITION",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_flags_are_said_plainly(
    cli: Callable[..., Any], queue_name: str, arguments: list[str], message: str
) -> None:
    """Bad input is usage (2), names the flag or field, and submits nothing."""
    answer = cli("submit", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert cli("jobs").err == "in all: no jobs\n"


def test_a_dependency_may_be_any_id(cli: Callable[..., Any], on_queue: Callable[..., Any]) -> None:
    """Ids hold colons too, as children of arrays do; a type in front makes any id clear."""
    given = {"film:7": ("film:7", "afterok"), "afterok:after:x": ("after:x", "afterok")}
    flags = [word for each in given for word in ("--depends-on", each)]
    assert cli("submit", "etl", "--id", "a", *flags).code == 0
    job = on_queue(lambda queue: queue.job(JobId("a"))).job
    assert [(each.job, each.type) for each in job.depends_on] == list(given.values())
