"""Stories of StartTask: what it starts, what it hands back as failures, what it refuses."""

from typing import Literal

import pytest

from ecs_simulator import InstanceGroup, Undocumented

from .conftest import SMALL, MakeWorld, World

GPU_BOX = InstanceGroup(instance_type="g5.12xlarge")


def reasons(answer: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(one["arn"], one["reason"]) for one in answer["failures"]]


def test_one_task_on_each_named_instance(world: World) -> None:
    """The answer shows each task, PENDING and wanted RUNNING, on the instance asked for."""
    arns = world.add(InstanceGroup(count=3))
    world.define()
    answer = world.start(*arns, startedBy="token-1", group="batch:7")
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == arns
    assert answer["failures"] == []
    task = answer["tasks"][0]
    assert (task["lastStatus"], task["desiredStatus"]) == ("PENDING", "RUNNING")
    assert (task["startedBy"], task["group"], task["launchType"]) == ("token-1", "batch:7", "EC2")
    assert (task["cpu"], task["memory"]) == ("256", "512")
    assert task["overrides"]["containerOverrides"] == [{"name": "main"}]


def test_partial_success(world: World) -> None:
    """What does not fit is a failure naming instance and resource; the rest starts."""
    arns = world.add(
        SMALL,
        InstanceGroup(cpu_units=128, memory_mib=4096),
        InstanceGroup(cpu_units=2048, memory_mib=256),
    )
    world.define()
    answer = world.start(*arns, "0" * 32)
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [arns[0]]
    missing = arns[0].rpartition("/")[0] + "/" + "0" * 32
    assert reasons(answer) == [
        (arns[1], "RESOURCE:CPU"),
        (arns[2], "RESOURCE:MEMORY"),
        (missing, "MISSING"),
    ]


def test_a_full_instance_refuses_and_has_room_again_after_the_end(world: World) -> None:
    """Eight tasks of 256 CPU units fill 2,048; the ninth has to wait for their end."""
    (arn,) = world.add(SMALL)
    world.define()
    for _ in range(8):
        assert world.start(arn)["failures"] == []
    assert world.remaining(arn)["CPU"] == 0
    assert reasons(world.start(arn)) == [(arn, "RESOURCE:CPU")]
    world.later(70)
    assert world.remaining(arn)["CPU"] == 2048
    assert world.start(arn)["failures"] == []


def test_host_ports_are_exclusive_and_protocols_apart(world: World) -> None:
    """A static host port is taken once for each protocol; dynamic ports never collide."""
    (arn,) = world.add(SMALL)
    world.define("tcp", container={"portMappings": [{"containerPort": 80, "hostPort": 8080}]})
    udp = [{"containerPort": 80, "hostPort": 8080, "protocol": "udp"}]
    world.define("udp", container={"portMappings": udp})
    world.define("dynamic", container={"portMappings": [{"containerPort": 80}]})
    first = world.start(arn, definition="tcp")["tasks"][0]["taskArn"]
    assert reasons(world.start(arn, definition="tcp")) == [(arn, "RESOURCE:PORTS")]
    assert world.start(arn, definition="udp")["failures"] == []
    assert "8080" in world.remaining(arn)["PORTS"]
    assert world.remaining(arn)["PORTS_UDP"] == ["8080"]
    dynamic = [world.start(arn, definition="dynamic")["tasks"][0]["taskArn"] for _ in range(2)]
    world.later(10)
    bindings = [world.task(one)["containers"][0]["networkBindings"] for one in (first, *dynamic)]
    ports = [binding[0]["hostPort"] for binding in bindings]
    assert ports[0] == 8080
    assert len({*ports}) == 3
    assert min(ports[1:]) >= 32768


def test_reserved_ports_of_the_agent(world: World) -> None:
    """Port 22 and the agent's ports are never free."""
    (arn,) = world.add(SMALL)
    world.define("ssh", container={"portMappings": [{"containerPort": 22, "hostPort": 22}]})
    assert reasons(world.start(arn, definition="ssh")) == [(arn, "RESOURCE:PORTS")]


def test_gpus_are_handed_out_by_id(world: World) -> None:
    """Each task gets GPUs of its own; what is left shows in remainingResources."""
    (arn,) = world.add(GPU_BOX)
    needs = [{"type": "GPU", "value": "3"}]
    world.define("train", container={"resourceRequirements": needs})
    all_ids = world.remaining(arn)["GPU"]
    task = world.start(arn, definition="train")["tasks"][0]
    mine = world.task(task["taskArn"])["containers"][0]["gpuIds"]
    assert len(mine) == 3
    assert sorted([*mine, *world.remaining(arn)["GPU"]]) == sorted(all_ids)
    assert reasons(world.start(arn, definition="train")) == [(arn, "RESOURCE:GPU")]


def test_network_interfaces_limit_awsvpc_tasks(world: World) -> None:
    """An m5.large takes 2 awsvpc tasks, and 10 with trunking."""
    plain, trunked = world.add(
        InstanceGroup(instance_type="m5.large"),
        InstanceGroup(instance_type="m5.large", trunking=True),
    )
    world.define("tiny", networkMode="awsvpc", container={"cpu": 1, "memory": 6})
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    started = {plain: 0, trunked: 0}
    for arn in started:
        for _ in range(11):
            answer = world.start(arn, definition="tiny", networkConfiguration=network)
            started[arn] += len(answer["tasks"])
        assert reasons(answer) == [(arn, "RESOURCE:ENI")]
    assert started == {plain: 2, trunked: 10}


def test_awsvpc_needs_a_network_and_others_must_not_have_one(world: World) -> None:
    """networkConfiguration belongs to awsvpc, and to nothing else."""
    (arn,) = world.add(SMALL)
    world.define()
    world.define("vpc", networkMode="awsvpc")
    request = {"cluster": "demo", "containerInstances": [arn]}
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    without = world.refused("StartTask", taskDefinition="vpc", **request)
    assert "must be provided when networkMode 'awsvpc'" in without.message
    needless = world.refused(
        "StartTask", taskDefinition="work", networkConfiguration=network, **request
    )
    assert "not valid for the given networkMode" in needless.message


def test_subnets_pin_the_zone(make_world: MakeWorld) -> None:
    """An instance outside of the subnets' zones is refused with LOCATION; unknown subnets
    altogether."""
    world = make_world(subnets={"subnet-a": "us-east-1a"})
    here, there = world.add(
        InstanceGroup(availability_zone="us-east-1a"), InstanceGroup(availability_zone="us-east-1b")
    )
    world.define("vpc", networkMode="awsvpc")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
    answer = world.start(here, there, definition="vpc", networkConfiguration=network)
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [here]
    assert reasons(answer) == [(there, "LOCATION")]
    unknown = {"awsvpcConfiguration": {"subnets": ["subnet-z"]}}
    refusal = world.refused(
        "StartTask",
        cluster="demo",
        taskDefinition="vpc",
        containerInstances=[here],
        networkConfiguration=unknown,
    )
    assert "does not exist" in refusal.message


def test_agent_and_attributes_decide(world: World) -> None:
    """A disconnected agent, a missing capability and a foreign architecture are failures of their
    own."""
    away, arm = world.add(
        InstanceGroup(agent_connected=False), InstanceGroup(instance_type="m6g.xlarge")
    )
    world.define("x86", runtimePlatform={"cpuArchitecture": "X86_64"})
    world.define("log", container={"logConfiguration": {"logDriver": "splunk"}})
    assert reasons(world.start(away, arm, definition="x86")) == [
        (away, "AGENT"),
        (arm, "ATTRIBUTE"),
    ]
    assert reasons(world.start(arm, definition="log")) == [(arm, "ATTRIBUTE")]


def test_deregistered_instance_is_inactive(world: World) -> None:
    """An instance that was deregistered is a failure, INACTIVE."""
    (arn,) = world.add(SMALL)
    world.define()
    world("DeregisterContainerInstance", cluster="demo", containerInstance=arn)
    assert reasons(world.start(arn)) == [(arn, "INACTIVE")]


def test_limits_are_refused_in_aws_words(world: World) -> None:
    """Ten instances, 36 characters of startedBy, 8,192 of overrides."""
    arns = world.add(InstanceGroup(count=11))
    world.define()
    request = {"cluster": "demo", "taskDefinition": "work", "containerInstances": arns[:1]}

    def why(**more: object) -> str:
        refusal = world.refused("StartTask", **{**request, **more})
        assert refusal.code == "InvalidParameterException"
        return refusal.message

    assert why(containerInstances=arns) == "instanceIds can have at most 10 items"
    assert why(containerInstances=[]) == "Container Instances cannot be empty."
    assert why(startedBy="x" * 37) == "startedBy longer than 36."
    assert why(startedBy="a.b") == "startedBy contains invalid characters."
    environment = [{"name": "A", "value": "x" * 8192}]
    long = {"containerOverrides": [{"name": "main", "environment": environment}]}
    assert why(overrides=long) == "Container Overrides length must be at most 8192"
    unknown = {"containerOverrides": [{"name": "other"}]}
    assert "other is not a container in the TaskDefinition" in why(overrides=unknown)
    assert why(group="g" * 256) == "group longer than 255."
    reserved = [{"key": "aws:x", "value": "v"}]
    assert why(tags=reserved) == "Tag keys that begin with aws: are reserved."
    assert "limit of 50" in why(tags=[{"key": str(n), "value": ""} for n in range(51)])
    world.define("vpc", networkMode="awsvpc")
    wrong: list[tuple[dict[str, list[str]], str]] = [
        ({"subnets": ["s"], "securityGroups": ["g"] * 6}, "securityGroups can have at most 5"),
        ({"subnets": ["s"] * 17}, "subnets can have at most 16 items."),
        ({"subnets": []}, "subnets can not be empty."),
    ]
    for members, words in wrong:
        network = {"awsvpcConfiguration": members}
        assert words in why(taskDefinition="vpc", networkConfiguration=network)
    assert world.start(arns[0], startedBy="x" * 36)["failures"] == []


def test_an_instance_reserves_a_hundred_host_ports_at_most(world: World) -> None:
    """The agent's six count; dynamic ports do not."""
    (arn,) = world.add(InstanceGroup())
    for name, ports in (("many", 90), ("few", 4), ("one", 1)):
        start = {"many": 1000, "few": 2000, "one": 3000}[name]
        mappings = [{"containerPort": n, "hostPort": n} for n in range(start, start + ports)]
        world.define(name, container={"portMappings": mappings})
    world.define("dynamic", container={"portMappings": [{"containerPort": 80}]})
    assert world.start(arn, definition="many")["failures"] == []
    assert world.start(arn, definition="few")["failures"] == []
    assert reasons(world.start(arn, definition="one")) == [(arn, "RESOURCE:PORTS")]
    assert world.start(arn, definition="dynamic")["failures"] == []


def test_unknown_and_inactive_task_definitions(world: World) -> None:
    """Launching needs an ACTIVE revision; a bare family means its latest."""
    (arn,) = world.add(SMALL)
    request = {"cluster": "demo", "containerInstances": [arn]}
    refusal = world.refused("StartTask", taskDefinition="work", **request)
    assert (refusal.code, refusal.message) == ("ClientException", "TaskDefinition not found.")
    first, second = world.define(), world.define()
    assert world.start(arn)["tasks"][0]["taskDefinitionArn"] == second
    world("DeregisterTaskDefinition", taskDefinition=second)
    assert world.start(arn)["tasks"][0]["taskDefinitionArn"] == first
    refusal = world.refused("StartTask", taskDefinition="work:2", **request)
    assert refusal.message == "TaskDefinition is inactive"


@pytest.mark.parametrize("setting", ["two tasks", "refused"])
def test_naming_an_instance_twice_is_a_switch(
    make_world: MakeWorld, setting: Literal["two tasks", "refused"]
) -> None:
    """AWS does not say what StartTask does with a repeated instance: two tasks, or a refusal."""
    world = make_world((SMALL,), undocumented=Undocumented(duplicate_instances=setting))
    (arn,) = world("ListContainerInstances", cluster="demo")["containerInstanceArns"]
    world.define()
    if setting == "two tasks":
        assert len(world.start(arn, arn)["tasks"]) == 2
    else:
        request = {"taskDefinition": "work", "containerInstances": [arn, arn]}
        refusal = world.refused("StartTask", cluster="demo", **request)
        assert refusal.code == "InvalidParameterException"


@pytest.mark.parametrize("setting", ["accepted", "refused"])
def test_starting_on_a_draining_instance_is_a_switch(
    make_world: MakeWorld, setting: Literal["accepted", "refused"]
) -> None:
    """AWS does not say whether StartTask refuses DRAINING instances."""
    world = make_world(undocumented=Undocumented(start_on_draining=setting))
    (arn,) = world.add(SMALL)
    world.define()
    world(
        "UpdateContainerInstancesState",
        cluster="demo",
        containerInstances=[arn],
        status="DRAINING",
    )
    answer = world.start(arn)
    assert (len(answer["tasks"]), len(answer["failures"])) == (
        (1, 0) if setting == "accepted" else (0, 1)
    )


@pytest.mark.parametrize("checked", [False, True])
def test_member_of_at_start_task_is_a_switch(make_world: MakeWorld, checked: bool) -> None:
    """AWS does not say whether StartTask enforces the task definition's constraints."""
    world = make_world(undocumented=Undocumented(start_checks_member_of=checked))
    (arn,) = world.add(SMALL)
    constraint = {"type": "memberOf", "expression": "attribute:stack == batch"}
    world.define(placementConstraints=[constraint])
    answer = world.start(arn)
    assert len(answer["tasks"]) == (0 if checked else 1)


@pytest.mark.parametrize("setting", ["free ids", "all ids"])
def test_remaining_gpus_are_a_switch(
    make_world: MakeWorld, setting: Literal["free ids", "all ids"]
) -> None:
    """AWS does not say which GPU ids remainingResources lists."""
    world = make_world(undocumented=Undocumented(remaining_gpus=setting))
    (arn,) = world.add(GPU_BOX)
    world.define("train", container={"resourceRequirements": [{"type": "GPU", "value": "1"}]})
    world.start(arn, definition="train")
    assert len(world.remaining(arn)["GPU"]) == (3 if setting == "free ids" else 4)
