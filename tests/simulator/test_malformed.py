"""Requests with something wrong somewhere: a proper refusal or an answer, never a traceback."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from ecs_simulator import AutoScalingGroup, InstanceGroup, Options, SimulatedEcs
from ecs_simulator.wire import TARGET_PREFIX, answer

from .conftest import ManualClock

TAGS = [{"key": "a", "value": "b"}]
SCALING = {"status": "ENABLED", "targetCapacity": 80, "maximumScalingStepSize": 2}
CONTAINER = {
    "name": "main",
    "image": "i",
    "memory": 64,
    "memoryReservation": 32,
    "cpu": 10,
    "essential": True,
    "command": ["sleep", "60"],
    "entryPoint": ["sh"],
    "environment": [{"name": "A", "value": "b"}],
    "portMappings": [{"containerPort": 80, "hostPort": 81, "protocol": "tcp"}],
    "resourceRequirements": [{"type": "GPU", "value": "1"}],
    "stopTimeout": 5,
    "logConfiguration": {"logDriver": "awslogs"},
    "secrets": [{"name": "s", "valueFrom": "x"}],
}
OVERRIDE = {"name": "main", "command": ["sleep", "1"], "cpu": 1, "memory": 32, "environment": []}
QUERY = "attribute:ecs.instance-type =~ m5.* and not(runningTasksCount >= 3)"
DEFINITION = {
    "family": "f",
    "networkMode": "bridge",
    "cpu": "256",
    "memory": "512",
    "tags": TAGS,
    "runtimePlatform": {"cpuArchitecture": "X86_64"},
    "placementConstraints": [{"type": "memberOf", "expression": QUERY}],
    "containerDefinitions": [CONTAINER],
}


def proper(instances: list[str], task: str) -> list[tuple[str, dict[str, Any]]]:
    """Operations and requests with nothing wrong in them."""
    return [*launching(instances, task), *keeping(instances)]


def launching(instances: list[str], task: str) -> list[tuple[str, dict[str, Any]]]:
    """What has to do with tasks."""
    here: dict[str, Any] = {"cluster": "demo"}
    work = {**here, "taskDefinition": "work"}
    spread = {"type": "spread", "field": "attribute:ecs.availability-zone"}
    return [
        (
            "StartTask",
            {
                **work,
                "containerInstances": instances[:2],
                "startedBy": "me",
                "tags": TAGS,
                "overrides": {"cpu": "128", "containerOverrides": [OVERRIDE]},
            },
        ),
        (
            "RunTask",
            {
                **work,
                "count": 2,
                "clientToken": "t",
                "placementStrategy": [spread, {"type": "binpack", "field": "memory"}],
                "placementConstraints": [{"type": "distinctInstance"}],
            },
        ),
        (
            "RunTask",
            {**work, "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}]},
        ),
        ("StopTask", {**here, "task": task, "reason": "r"}),
        ("DescribeTasks", {**here, "tasks": [task], "include": ["TAGS"]}),
        ("ListTasks", {**here, "family": "work", "desiredStatus": "RUNNING", "maxResults": 2}),
        ("ListTasks", {**here, "startedBy": "me", "nextToken": "eyJhZnRlciI6IDF9"}),
    ]


def keeping(instances: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """What has to do with everything else."""
    here: dict[str, Any] = {"cluster": "demo"}
    attribute = {"name": "a", "value": "b", "targetType": "container-instance"}
    sizes = [{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")]
    group = {"autoScalingGroupArn": "g", "managedScaling": SCALING}
    return [
        ("RegisterTaskDefinition", DEFINITION),
        ("ListContainerInstances", {**here, "filter": QUERY, "status": "ACTIVE"}),
        ("DescribeContainerInstances", {**here, "containerInstances": instances}),
        (
            "UpdateContainerInstancesState",
            {**here, "containerInstances": instances[:1], "status": "ACTIVE"},
        ),
        (
            "RegisterContainerInstance",
            {
                **here,
                "totalResources": sizes,
                "attributes": [{"name": "a", "value": "b"}],
                "platformDevices": [{"id": "gpu0", "type": "GPU"}],
                "instanceIdentityDocument": '{"instanceId": "i-1", "instanceType": "m5.large"}',
            },
        ),
        ("PutAttributes", {**here, "attributes": [{**attribute, "targetId": instances[0]}]}),
        ("ListAttributes", {**here, "targetType": "container-instance", "attributeName": "a"}),
        ("CreateCapacityProvider", {"name": "c", "autoScalingGroupProvider": group, "tags": TAGS}),
        (
            "UpdateCapacityProvider",
            {"name": "cp", "autoScalingGroupProvider": {"managedScaling": SCALING}},
        ),
        ("CreateCluster", {"clusterName": "c", "settings": [{"name": "x", "value": "y"}]}),
        (
            "PutClusterCapacityProviders",
            {
                **here,
                "capacityProviders": ["cp"],
                "defaultCapacityProviderStrategy": [{"capacityProvider": "cp", "base": 1}],
            },
        ),
        ("TagResource", {"resourceArn": instances[0], "tags": TAGS}),
        ("ListTaskDefinitions", {"familyPrefix": "work", "sort": "DESC", "maxResults": 1}),
        ("DescribeTaskDefinition", {"taskDefinition": "work:1", "include": ["TAGS"]}),
        ("DescribeCapacityProviders", {"capacityProviders": ["cp"], "maxResults": 2}),
    ]


JUNK: list[Any] = [
    *(None, "", " ", [], {}, 0, -1, 1, True, 1.5, 65_536, 2**31, 2**63, 10**30, "x" * 300),
    *("é\x00", "\ud800", "[", "not", "a and", "( ( (", "attribute:x =~ [", "\\" * 9, "2020"),
    *("arn:aws:ecs:::", "a:b", "work:0", "work:" + "9" * 20, "-1", "1.5", "ALL", "1 vCPU"),
    *([None], [[]], [{}], {"a": 1}, ["a"] * 200, [{"name": "x"}], ["sleep", "1e999"]),
    *(float("inf"), float("nan"), "sh -c 'sleep 1", ["sh", "-c", "sleep 1; exit 999999"]),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything within a request."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


def spoilt(request: dict[str, Any], rng: Random) -> dict[str, Any]:
    """The request with junk in one or two places."""
    request = copy.deepcopy(request)
    for _ in range(rng.choice((1, 1, 2))):
        *path, last = rng.choice(list(places(request)) or [("more",)])
        target: Any = request
        for key in path:
            target = target[key]
        target[last] = copy.deepcopy(rng.choice(JUNK))
    return request


@pytest.mark.parametrize(
    ("seed", "requests"), [(1, 1500), pytest.param(2, 25_000, marks=pytest.mark.slow)]
)
def test_junk_never_shakes_the_simulator(seed: int, requests: int) -> None:
    """Each request is answered with 200 or refused with 400 and a name, and the books still add up;
    a good part of them is well-formed enough to be worked off."""
    rng, clock = Random(seed), ManualClock()
    ecs = SimulatedEcs(Options(throttled=False), clock, seed)
    fleet = (InstanceGroup(count=2), InstanceGroup(instance_type="g4dn.xlarge"))
    instances = [str(arn) for arn in ecs.add_instances("demo", fleet)]
    ecs.add_auto_scaling_group(AutoScalingGroup(name="g", template=InstanceGroup(), max_size=2))
    group = {"autoScalingGroupArn": "g", "managedScaling": SCALING}
    ecs.call("CreateCapacityProvider", {"name": "cp", "autoScalingGroupProvider": group})
    container = {"name": "main", "image": "i", "memory": 64, "command": ["sleep", "60"]}
    definition = {"family": "work", "containerDefinitions": [container]}
    ecs.call("RegisterTaskDefinition", definition)
    statuses: Counter[tuple[str, int]] = Counter()
    for number in range(requests):
        task = ecs.region.tasks_ever[-1].arn if ecs.region.tasks_ever else "none"
        operation, request = rng.choice(proper(instances, task))
        body = json.dumps(spoilt(request, rng)).encode()
        given = answer(ecs, TARGET_PREFIX + operation, body)
        told = json.loads(given.body)
        assert given.status in (200, 400), (operation, body, told)
        assert given.status == 200 or told["__type"].isidentifier()
        statuses[operation, given.status] += 1
        if number % 50 == 0:
            clock.seconds += rng.random() * 60
            ecs.advance()
            ecs.verify()
    answered = {operation for operation, status in statuses if status == 200}
    refused = {operation for operation, status in statuses if status == 400}
    assert len(answered) > 15
    assert len(refused) > 15


def test_members_of_the_wrong_type_are_named() -> None:
    """With their path, before anything is kept of the request."""
    ecs = SimulatedEcs(Options(), ManualClock())
    for request, words in (
        ({"logConfiguration": "awslogs"}, "[0].logConfiguration: expected structure, got str"),
        ({"secrets": [1]}, "[0].secrets[0]: expected structure, got int"),
        ({"memory": True}, "[0].memory: expected integer, got bool"),
        ({"cpu": 2**31}, "[0].cpu: 2147483648 is out of the range of integer"),
        ({"dockerLabels": {"a": 1}}, "[0].dockerLabels.a: expected string, got int"),
    ):
        document = {"family": "f", "containerDefinitions": [{**CONTAINER, **request}]}
        body = json.dumps(document).encode()
        given = json.loads(answer(ecs, f"{TARGET_PREFIX}RegisterTaskDefinition", body).body)
        assert given["__type"] == "SerializationException"
        assert given["message"] == f"RegisterTaskDefinition.containerDefinitions{words}"
    managed = {"managedScaling": {"targetCapacity": 101}}
    group = {"autoScalingGroupArn": "g", **managed}
    body = json.dumps({"name": "c", "autoScalingGroupProvider": group}).encode()
    given = json.loads(answer(ecs, f"{TARGET_PREFIX}CreateCapacityProvider", body).body)
    assert given["__type"] == "InvalidParameterException"
    assert given["message"].endswith("targetCapacity must be between 1 and 100.")
