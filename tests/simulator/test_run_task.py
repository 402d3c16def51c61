"""Stories of RunTask: constraints, strategies, client tokens, capacity providers, Fargate."""

from collections import Counter

import pytest

from ecs_simulator import InstanceGroup, Lifecycle

from .conftest import SMALL, MakeWorld, World

GROUP_ARN = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/g"


def run(world: World, count: int = 1, **more: object) -> dict[str, list[dict[str, str]]]:
    return world("RunTask", cluster="demo", taskDefinition="work", count=count, **more)


def homes(answer: dict[str, list[dict[str, str]]]) -> Counter[str]:
    return Counter(task["containerInstanceArn"] for task in answer["tasks"])


def test_run_task_finds_instances_itself(world: World) -> None:
    """Up to ten tasks a call, each on an instance with room."""
    world.add(SMALL, SMALL)
    world.define()
    assert sum(homes(run(world, 10)).values()) == 10
    refusal = world.refused("RunTask", cluster="demo", taskDefinition="work", count=11)
    assert refusal.code == "InvalidParameterException"


def test_shortage_is_a_failure_for_each_instance(world: World) -> None:
    """Two tasks fit, the third comes back as the instances' failures."""
    (arn,) = world.add(InstanceGroup(cpu_units=512, memory_mib=4096))
    world.define()
    answer = run(world, 3)
    assert len(answer["tasks"]) == 2
    assert answer["failures"] == [{"arn": arn, "reason": "RESOURCE:CPU"}]


def test_a_cluster_without_instances_is_refused(world: World) -> None:
    """AWS refuses the call as a whole."""
    world.define()
    refusal = world.refused("RunTask", cluster="demo", taskDefinition="work")
    assert refusal.message == "No Container Instances were found in your cluster."


def test_binpack_takes_the_fullest_that_fits(world: World) -> None:
    """The instance with the least of the resource left, as long as the task fits."""
    arns = world.add(*(InstanceGroup(cpu_units=units, memory_mib=4096) for units in (512, 300, 64)))
    world.define()
    strategy = [{"type": "binpack", "field": "cpu"}]
    answers = [homes(run(world, placementStrategy=strategy)) for _ in range(3)]
    assert answers == [{arns[1]: 1}, {arns[0]: 1}, {arns[0]: 1}]


def test_spread_over_zones_then_binpack(world: World) -> None:
    """Strategies apply in order: first the emptiest zone, within it the fullest instance."""
    zones = ("us-east-1a", "us-east-1a", "us-east-1b")
    arns = world.add(*(InstanceGroup(availability_zone=zone) for zone in zones))
    world.define()
    strategy = [
        {"type": "spread", "field": "attribute:ecs.availability-zone"},
        {"type": "binpack", "field": "memory"},
    ]
    placed = homes(run(world, 6, placementStrategy=strategy))
    assert placed[arns[2]] == 3
    assert sorted((placed[arns[0]], placed[arns[1]])) == [0, 3]


def test_distinct_instance(world: World) -> None:
    """Each task of a group on an instance of its own; a stopping task no longer counts."""
    world.add(SMALL, SMALL)
    world.define()
    constraint = [{"type": "distinctInstance"}]
    answer = run(world, 3, placementConstraints=constraint, group="g")
    assert sorted(homes(answer).values()) == [1, 1]
    assert len(answer["failures"]) == 2
    assert len(run(world, placementConstraints=constraint, group="other")["tasks"]) == 1
    world("StopTask", cluster="demo", task=answer["tasks"][0]["taskArn"])
    assert len(run(world, placementConstraints=constraint, group="g")["tasks"]) == 1


def test_member_of_binds(world: World) -> None:
    """memberOf of the request and of the task definition both have to hold."""
    arns = world.add(
        InstanceGroup(attributes={"stack": "batch", "disk": "ssd"}),
        InstanceGroup(attributes={"stack": "batch"}),
        InstanceGroup(attributes={"stack": "web", "disk": "ssd"}),
    )
    own = [{"type": "memberOf", "expression": "attribute:stack == batch"}]
    world.define(placementConstraints=own)
    asked = [{"type": "memberOf", "expression": "attribute:disk == ssd"}]
    assert homes(run(world, 2, placementConstraints=asked)) == {arns[0]: 2}
    none = [{"type": "memberOf", "expression": "attribute:disk == tape"}]
    answer = run(world, placementConstraints=none)
    assert {one["reason"] for one in answer["failures"]} == {
        "MemberOf placement constraint unsatisfied."
    }


@pytest.mark.parametrize(
    "request_",
    [
        {"placementConstraints": [{"type": "sometimes"}]},
        {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a =="}]},
        {"placementConstraints": [{"type": "distinctInstance"}] * 11},
        {"placementStrategy": [{"type": "binpack", "field": "disk"}]},
        {"placementStrategy": [{"type": "spread", "field": "zone"}]},
        {"placementStrategy": [{"type": "guess"}]},
        {"placementStrategy": [{"type": "random"}] * 6},
        {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
        {"launchType": "MOON"},
        {"startedBy": "x" * 129},
        {"clientToken": "with space"},
        {"group": "g" * 256},
    ],
)
def test_what_makes_no_sense_is_refused(quick: World, request_: dict[str, object]) -> None:
    """InvalidParameterException, and nothing is started."""
    quick.add(SMALL)
    quick.define()
    refusal = quick.refused("RunTask", cluster="demo", taskDefinition="work", **request_)
    assert refusal.code == "InvalidParameterException"
    assert quick.ecs.tasks() == ()


def test_draining_instances_are_left_alone(world: World) -> None:
    """RunTask never places on a DRAINING instance."""
    one, two = world.add(SMALL, SMALL)
    world.define()
    world(
        "UpdateContainerInstancesState",
        cluster="demo",
        containerInstances=[one],
        status="DRAINING",
    )
    assert homes(run(world, 5)) == {two: 5}


def test_client_token_answers_the_same_again(world: World) -> None:
    """Same token and request: the same tasks. Another request under the token:
    ConflictException."""
    world.add(SMALL)
    world.define()
    first = run(world, 2, clientToken="abc")
    again = run(world, 2, clientToken="abc")
    arns = [task["taskArn"] for task in first["tasks"]]
    assert [task["taskArn"] for task in again["tasks"]] == arns
    assert len(world.ecs.tasks()) == 2
    refusal = world.refused(
        "RunTask", cluster="demo", taskDefinition="work", count=1, clientToken="abc"
    )
    assert refusal.code == "ConflictException"
    assert refusal.fields["resourceIds"] == arns


def test_client_token_repeats_failures_too(world: World) -> None:
    """The original answer includes the original failures, even when there is room by now."""
    (arn,) = world.add(InstanceGroup(cpu_units=256, memory_mib=4096))
    world.define()
    first = run(world, 2, clientToken="abc")
    world.later(80)
    again = run(world, 2, clientToken="abc")
    assert first["failures"] == again["failures"] == [{"arn": arn, "reason": "RESOURCE:CPU"}]
    assert again["tasks"] == [
        {
            "taskArn": first["tasks"][0]["taskArn"],
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            **{key: again["tasks"][0][key] for key in again["tasks"][0] if key not in SHOWN},
        }
    ]


def test_failures_of_an_hour_ago_are_only_counted(world: World) -> None:
    """A repeated RunTask no longer says which instances refused, only how many did."""
    long = {"name": "main", "image": "busybox", "command": ["sleep", "90000"]}
    container = {**long, "cpu": 200, "memory": 100}
    world.add(InstanceGroup(cpu_units=256, memory_mib=4096), InstanceGroup(cpu_units=100))
    world("RegisterTaskDefinition", family="work", containerDefinitions=[container])
    first = run(world, 2, clientToken="abc")
    assert len(first["failures"]) == 2
    world.later(3600)
    assert run(world, 2, clientToken="abc")["failures"] == first["failures"]
    world.later(1)
    again = run(world, 2, clientToken="abc")
    assert again["failures"] == [{"reason": "FAILURES", "detail": "2"}]
    assert [task["taskArn"] for task in again["tasks"]] == [first["tasks"][0]["taskArn"]]


SHOWN = ("taskArn", "lastStatus", "desiredStatus")


def test_client_token_is_forgotten_an_hour_after_the_end(world: World) -> None:
    """Then the same token starts anew."""
    world.add(SMALL)
    world.define()
    first = run(world, clientToken="abc")
    world.later(80 + 3600)
    assert run(world, clientToken="abc")["tasks"] != first["tasks"]
    assert len(world.ecs.tasks()) == 2


def test_client_token_lives_for_a_day_at_most(quick: World) -> None:
    """Also when nothing was started: then the next call is a new one."""
    quick.add(InstanceGroup(cpu_units=100, memory_mib=4096))
    quick.define()
    assert run(quick, clientToken="abc")["tasks"] == []
    quick.add(SMALL)
    assert run(quick, clientToken="abc")["tasks"] == []
    quick.later(24 * 3600)
    assert len(run(quick, clientToken="abc")["tasks"]) == 1


def test_fargate_needs_no_instance(world: World) -> None:
    """A Fargate task runs without a container instance; other definitions are incompatible."""
    world.define()
    refusal = world.refused("RunTask", cluster="demo", taskDefinition="work", launchType="FARGATE")
    assert refusal.code == "PlatformTaskDefinitionIncompatibilityException"
    world.define(networkMode="awsvpc", cpu="256", memory="512")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    answer = run(world, launchType="FARGATE", networkConfiguration=network)
    task = answer["tasks"][0]
    assert (task["launchType"], "containerInstanceArn" in task) == ("FARGATE", False)
    world.later(100)
    assert world.task(task["taskArn"])["stopCode"] == "EssentialContainerExited"


def provider(world: World, name: str = "spot") -> None:
    group = {"autoScalingGroupArn": GROUP_ARN}
    world("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)
    world(
        "PutClusterCapacityProviders",
        cluster="demo",
        capacityProviders=[name],
        defaultCapacityProviderStrategy=[],
    )


def test_tasks_wait_in_provisioning_for_their_provider(world: World) -> None:
    """Without room a capacity provider's task waits; it runs once an instance has come."""
    provider(world)
    world.define()
    strategy = [{"capacityProvider": "spot"}]
    answer = run(world, capacityProviderStrategy=strategy)
    assert answer["failures"] == []
    task = answer["tasks"][0]
    assert (task["lastStatus"], task["capacityProviderName"]) == ("PROVISIONING", "spot")
    world.later(60)
    assert world.task(task["taskArn"])["lastStatus"] == "PROVISIONING"
    (arn,) = world.add(InstanceGroup(capacity_provider="spot"))
    world.later(20)
    shape = world.task(task["taskArn"])
    assert (shape["lastStatus"], shape["containerInstanceArn"]) == ("RUNNING", arn)


def test_provisioning_ends_with_a_quota_and_a_timeout(make_world: MakeWorld) -> None:
    """A full PROVISIONING quota is a ClientException; who waits too long fails to start."""
    patience = Lifecycle(provisioning_timeout_s=600.0)
    world = make_world(provisioning_quota=1, lifecycle=patience)
    provider(world)
    world.define()
    strategy = [{"capacityProvider": "spot"}]
    task = run(world, capacityProviderStrategy=strategy)["tasks"][0]["taskArn"]
    refusal = world.refused(
        "RunTask", cluster="demo", taskDefinition="work", capacityProviderStrategy=strategy
    )
    assert refusal.code == "ClientException"
    world.later(700)
    shape = world.task(task)
    assert (shape["lastStatus"], shape["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert shape["stoppedReason"] == "TaskFailedToStart: EMPTY CAPACITY PROVIDER"


def test_a_waiting_task_can_be_stopped(world: World) -> None:
    """StopTask on a PROVISIONING task ends it; it never gets an instance."""
    provider(world)
    world.define()
    strategy = [{"capacityProvider": "spot"}]
    task = run(world, capacityProviderStrategy=strategy)["tasks"][0]["taskArn"]
    world("StopTask", cluster="demo", task=task)
    world.add(InstanceGroup(capacity_provider="spot"))
    world.later(60)
    shape = world.task(task)
    assert (shape["lastStatus"], "containerInstanceArn" in shape) == ("STOPPED", False)


def test_shares_of_a_strategy(quick: World) -> None:
    """Bases first, then weights: base 2 for one, the rest 1 to 3."""
    for name in ("one", "two"):
        group = {"autoScalingGroupArn": GROUP_ARN}
        quick("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)
    quick(
        "PutClusterCapacityProviders",
        cluster="demo",
        capacityProviders=["one", "two"],
        defaultCapacityProviderStrategy=[],
    )
    quick.add(InstanceGroup(capacity_provider="one"), InstanceGroup(capacity_provider="two"))
    quick.define()
    strategy = [
        {"capacityProvider": "one", "base": 2, "weight": 1},
        {"capacityProvider": "two", "weight": 3},
    ]
    answer = run(quick, 10, capacityProviderStrategy=strategy)
    assert Counter(task["capacityProviderName"] for task in answer["tasks"]) == {"one": 4, "two": 6}
    for item, words in (
        ({"base": -5}, "base must be between 0 and 100000."),
        ({"base": 100_001}, "base must be between 0 and 100000."),
        ({"weight": -1}, "weight must be between 0 and 1000."),
        ({"weight": 1001}, "weight must be between 0 and 1000."),
        ({"base": 1}, "Only one capacity provider in a strategy can have a base defined."),
    ):
        wrong = [strategy[0], {**strategy[1], **item}]
        request = {"cluster": "demo", "taskDefinition": "work", "capacityProviderStrategy": wrong}
        assert quick.refused("RunTask", **request).message == words


def test_capacity_providers_are_described_in_pages_of_ten(world: World) -> None:
    """FARGATE and FARGATE_SPOT are always there; pages hold ten."""
    for number in range(10):
        group = {"autoScalingGroupArn": GROUP_ARN}
        world("CreateCapacityProvider", name=f"p{number}", autoScalingGroupProvider=group)
    first = world("DescribeCapacityProviders")
    rest = world("DescribeCapacityProviders", nextToken=first["nextToken"])
    assert len(first["capacityProviders"]) == 10
    assert [one["name"] for one in rest["capacityProviders"]] == ["p8", "p9"]
    named = world("DescribeCapacityProviders", capacityProviders=["p3", "nope"])
    assert [one["name"] for one in named["capacityProviders"]] == ["p3"]
    assert [one["reason"] for one in named["failures"]] == ["MISSING"]
