"""Stories of the cluster query language, as ListContainerInstances filters with it."""

import pytest

from ecs_simulator import EcsError, InstanceGroup
from ecs_simulator.query import parse_query

from .conftest import World

FLEET = (
    InstanceGroup(instance_type="t2.small", availability_zone="us-east-1a"),
    InstanceGroup(
        instance_type="g5.xlarge",
        availability_zone="us-east-1b",
        attributes={"stack": "prod", "score": "7"},
    ),
    InstanceGroup(
        instance_type="m5.large",
        availability_zone="us-east-1d",
        attributes={"stack": "test", "score": "11"},
        agent_connected=False,
    ),
)


def matching(world: World, expression: str) -> list[int]:
    arns = world("ListContainerInstances", cluster="demo")["containerInstanceArns"]
    found = world("ListContainerInstances", cluster="demo", filter=expression)
    return [arns.index(arn) for arn in found["containerInstanceArns"]]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("attribute:ecs.instance-type == t2.small", [0]),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", [0, 1]),
        ("attribute:ecs.instance-type =~ g5.* and attribute:stack != test", [1]),
        ("attribute:ecs.instance-type =~ (t2|m5).*", [0, 2]),
        ("(attribute:ecs.instance-type =~ t2.*) or (attribute:stack == test)", [0, 2]),
        ("attribute:ecs.instance-type !~ t2.*", [1, 2]),
        ("attribute:stack != prod", [2]),  # absence is no match
        ("not(attribute:stack == prod)", [0, 2]),
        ("!(attribute:stack == prod) && attribute:stack exists", [2]),
        ("attribute:stack not_exists", [0]),
        ("attribute:stack !exists || attribute:score >= 8", [0, 2]),
        ("attribute:score < 8", [1]),
        ("agentConnected == true", [0, 1]),
        ("agentConnected != true", [2]),
        ("agentVersion < 1.14.5", []),
        ("agentVersion greater_than_equal 1.14.5", [0, 1, 2]),
        ("runningTasksCount == 1", [0]),
        ("runningTasksCount < 1", [1, 2]),
        ("task:group == service:production", [0]),
        ("not(task:group == service:production)", [1, 2]),
        ("task:group != service:production", [1, 2]),
        ("task:group exists", [0]),
        ("registeredAt < 2018-02-13", []),
        ("registeredAt > 2018-06-18T22:28:28+00:00", [0, 1, 2]),
        ("registeredAt > 2018-06-18T22:28:28Z and runningTasksCount equals 0", [1, 2]),
        # `and` binds closer than `or`
        ("attribute:stack == prod or attribute:stack == test and agentConnected == true", [1]),
        ("attribute:stack == 'prod' or attribute:stack == \"test\"", [1, 2]),
        ("attribute:stack not_in [prod, other]", [2]),
    ],
)
def test_expressions(quick: World, expression: str, expected: list[int]) -> None:
    """Which of the three instances an expression picks."""
    arns = quick.add(*FLEET)
    quick.define(container={"memory": 64})
    quick.start(arns[0], group="service:production")
    assert matching(quick, expression) == expected


def test_instances_by_ec2_id(world: World) -> None:
    """ec2InstanceId with a quoted list, over every way to call."""
    arns = world.add(*FLEET)
    ids = [world.instance(arn)["ec2InstanceId"] for arn in arns]
    assert matching(world, f"ec2InstanceId in ['{ids[0]}', '{ids[2]}']") == [0, 2]
    assert matching(world, f"ec2InstanceId != {ids[0]}") == [1, 2]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "attribute:a",
        "attribute:a ==",
        "attribute:a == b c",
        "(attribute:a == b",
        "attribute:a == b)",
        "colour == red",
        "agentVersion =~ 1.*",
        "ec2InstanceId > i-1",
        "runningTasksCount == many",
        "agentVersion > one",
        "registeredAt > yesterday",
        "attribute:a in b",
        "attribute:a in [b",
        "attribute:a =~ [",
        "and attribute:a == b",
        "attribute:a == b and",
        "attribute:a == 'b",
        "attribute:a > tall",
        f"attribute:a == {'x' * 2000}",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    """InvalidParameterException says what was unexpected; never anything else."""
    with pytest.raises(EcsError, match="InvalidParameterException: Invalid expression"):
        parse_query(expression)
