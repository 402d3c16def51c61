"""Stories of task definitions: revisions, what they require, what is refused."""

import pytest

from .conftest import World

CONTAINER = {"name": "main", "image": "busybox", "memory": 64}


def test_revisions_count_up_and_can_be_retired(world: World) -> None:
    """Each registration is a new revision; DescribeTaskDefinition finds retired ones by number."""
    first, second = world.define(), world.define()
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")
    latest = world("DescribeTaskDefinition", taskDefinition="work")["taskDefinition"]
    assert (latest["taskDefinitionArn"], latest["status"]) == (second, "ACTIVE")
    retired = world("DeregisterTaskDefinition", taskDefinition="work:2")["taskDefinition"]
    assert retired["status"] == "INACTIVE"
    for name, revision in (("work", 1), ("work:2", 2), (second, 2)):
        found = world("DescribeTaskDefinition", taskDefinition=name)["taskDefinition"]
        assert found["revision"] == revision
    assert world("ListTaskDefinitions")["taskDefinitionArns"] == [first]
    retired_ones = world("ListTaskDefinitions", status="INACTIVE")["taskDefinitionArns"]
    assert retired_ones == [second]
    assert world("ListTaskDefinitionFamilies")["families"] == ["work"]


def test_task_definitions_are_listed_in_pages_and_either_order(world: World) -> None:
    """Sorted by family, then revision."""
    arns = [world.define(family) for family in ("b", "a", "b")]
    assert world("ListTaskDefinitions")["taskDefinitionArns"] == [arns[1], arns[0], arns[2]]
    backwards = world("ListTaskDefinitions", sort="DESC", maxResults=2)
    assert backwards["taskDefinitionArns"] == [arns[2], arns[0]]
    rest = world("ListTaskDefinitions", sort="DESC", nextToken=backwards["nextToken"])
    assert rest["taskDefinitionArns"] == [arns[1]]
    assert world("ListTaskDefinitions", familyPrefix="a")["taskDefinitionArns"] == [arns[1]]


def test_required_attributes_follow_from_the_definition(world: World) -> None:
    """ECS computes which capabilities an instance needs."""
    world.define(
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        taskRoleArn="arn:aws:iam::123456789012:role/r",
        container={"logConfiguration": {"logDriver": "awslogs"}, "privileged": True},
    )
    answer = world("DescribeTaskDefinition", taskDefinition="work")["taskDefinition"]
    assert {item["name"] for item in answer["requiresAttributes"]} == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "com.amazonaws.ecs.capability.docker-remote-api.1.19",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "com.amazonaws.ecs.capability.privileged-container",
        "com.amazonaws.ecs.capability.task-iam-role",
        "ecs.capability.task-cpu-mem-limit",
        "ecs.capability.task-eni",
    }
    assert answer["compatibilities"] == ["EC2", "FARGATE"]


def test_sizes_are_normalised_to_integers(world: World) -> None:
    """`1 vCPU` and `0.5GB` are CPU units and MiB afterwards."""
    world.define(cpu="1 vCPU", memory="0.5GB")
    answer = world("DescribeTaskDefinition", taskDefinition="work")["taskDefinition"]
    assert (answer["cpu"], answer["memory"]) == ("1024", "512")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"family": "no/slash"}, "Family contains invalid characters."),
        ({"containerDefinitions": []}, "Container list cannot be empty."),
        ({"containerDefinitions": [{"image": "i", "memory": 9}]}, "Container.name should not"),
        ({"containerDefinitions": [{"name": "n", "memory": 9}]}, "Container.image should not"),
        (
            {"containerDefinitions": [{"name": "n", "image": "i"}]},
            "At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        ({"containerDefinitions": [{**CONTAINER, "memory": 5}]}, "at least 6 MiB"),
        (
            {"containerDefinitions": [{**CONTAINER, "memoryReservation": 128}]},
            "'memoryReservation' must be less than 'memory'.",
        ),
        ({"containerDefinitions": [CONTAINER] * 2}, "must be unique"),
        ({"containerDefinitions": [CONTAINER] * 11}, "at most 10"),
        ({"containerDefinitions": [{**CONTAINER, "essential": False}]}, "essential"),
        ({"cpu": "lots"}, "Invalid 'cpu' setting"),
        ({"cpu": "64"}, "between 128 and 196608"),
    ],
)
def test_what_makes_no_sense_is_refused(
    quick: World, request_: dict[str, object], words: str
) -> None:
    """The message says what is wrong with the definition."""
    request = {"family": "work", "containerDefinitions": [CONTAINER], **request_}
    refusal = quick.refused("RegisterTaskDefinition", **request)
    assert refusal.code in ("ClientException", "InvalidParameterException")
    assert words in refusal.message


def test_unknown_task_definition(world: World) -> None:
    """DescribeTaskDefinition answers in AWS's words."""
    refusal = world.refused("DescribeTaskDefinition", taskDefinition="nothing:1")
    assert (refusal.code, refusal.message) == (
        "ClientException",
        "Unable to describe task definition.",
    )
    refusal = world.refused("DeregisterTaskDefinition", taskDefinition="work")
    assert refusal.message == "Revision is missing."


def test_a_definition_has_at_most_64_kib(quick: World) -> None:
    """A definition beyond 65,536 bytes is refused."""
    environment = [{"name": f"n{number}", "value": "x" * 1000} for number in range(70)]
    refusal = quick.refused(
        "RegisterTaskDefinition",
        family="work",
        containerDefinitions=[{**CONTAINER, "environment": environment}],
    )
    assert "Max allowed length is '65536' bytes." in refusal.message
