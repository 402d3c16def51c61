"""More stories told to moto's server: what AWS refuses, counts and shows, and moto does not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .moto_sides import Row, Side, Story, both_sides

SPLUNK = {"logDriver": "splunk", "options": {"splunk-token": "t", "splunk-url": "u"}}


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Callable[[], Side]]]:
    """Makes a Side of either server."""
    with both_sides() as made:
        yield made


def outcome(answer: Any) -> Any:
    """The exception's name, or how many tasks were started and why others were not."""
    if isinstance(answer, str):
        return answer
    return len(answer["tasks"]), sorted(one["reason"] for one in answer["failures"])


def missing_attribute(side: Side) -> Any:
    instances = side.add()
    side.define(logConfiguration=SPLUNK)
    return outcome(side.start(instances))


def override_of_an_unknown_container(side: Side) -> Any:
    instances = side.add()
    side.define()
    return outcome(side.start(instances, overrides={"containerOverrides": [{"name": "other"}]}))


def overrides_too_long(side: Side) -> Any:
    instances = side.add()
    side.define()
    override = {"name": "main", "command": ["x" * 8200]}
    return outcome(side.start(instances, overrides={"containerOverrides": [override]}))


def started_by_with_a_colon(side: Side) -> Any:
    instances = side.add()
    side.define()
    return outcome(side.start(instances, startedBy="a:b"))


def same_host_port(side: Side) -> Any:
    instances = side.add()
    side.define(portMappings=[{"containerPort": 80, "hostPort": 8080}])
    side.start(instances)
    return outcome(side.start(instances))


def udp_port(side: Side) -> Any:
    instances = side.add()
    side.define(portMappings=[{"containerPort": 53, "hostPort": 5353, "protocol": "udp"}])
    side.start(instances)
    shown = remaining(side, instances)
    return [item["name"] for item in shown if "5353" in item.get("stringSetValue", [])]


def remaining(side: Side, instances: list[str]) -> Any:
    """What is left of the first instance."""
    request = {"cluster": side.cluster, "containerInstances": instances}
    answer = side.call("DescribeContainerInstances", **request)
    return answer["containerInstances"][0]["remainingResources"]


def gpu_on_none(side: Side) -> Any:
    instances = side.add()
    side.define(resourceRequirements=[{"type": "GPU", "value": "1"}])
    return outcome(side.start(instances))


def task_level_cpu(side: Side) -> Any:
    instances = side.add()
    side.call(
        "RegisterTaskDefinition",
        family=side.cluster,
        cpu="512",
        memory="512",
        containerDefinitions=[{"name": "main", "image": "i", "cpu": 10, "memory": 100}],
    )
    side.start(instances)
    return 4096 - side.cpu(instances[0])


def stop_code(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]["taskArn"]
    return side.call("StopTask", cluster=side.cluster, task=task)["task"].get("stopCode")


def two_containers(side: Side) -> Any:
    instances = side.add()
    containers = [{"name": name, "image": "i", "cpu": 1, "memory": 10} for name in ("a", "b")]
    side.call("RegisterTaskDefinition", family=side.cluster, containerDefinitions=containers)
    return len(side.start(instances)["tasks"][0]["containers"])


def counts_after_a_start(side: Side) -> Any:
    instances = side.add()
    side.define()
    side.start(instances)
    (shape,) = side.call("DescribeClusters", clusters=[side.cluster])["clusters"]
    return shape["runningTasksCount"] + shape["pendingTasksCount"]


def looking_five_times(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]["taskArn"]
    request = {"cluster": side.cluster, "tasks": [task]}
    return [side.call("DescribeTasks", **request)["tasks"][0]["lastStatus"] for _ in range(5)][-1]


def exit_code_of_a_stopped_task(side: Side) -> Any:
    instances = side.add()
    side.define(command=["sleep", "60"])
    task = side.start(instances)["tasks"][0]["taskArn"]
    side.call("StopTask", cluster=side.cluster, task=task)
    (shape,) = side.call("DescribeTasks", cluster=side.cluster, tasks=[task])["tasks"]
    return shape["containers"][0].get("exitCode")  # it never came to run


def describing_101(side: Side) -> Any:
    side.add()
    tasks = [f"{number:032x}" for number in range(101)]
    answer = side.call("DescribeTasks", cluster=side.cluster, tasks=tasks)
    return answer if isinstance(answer, str) else "accepted"


def unknown_include(side: Side) -> Any:
    side.add()
    answer = side.call("DescribeClusters", clusters=[side.cluster], include=["STARS"])
    return answer if isinstance(answer, str) else "accepted"


def draining_eleven(side: Side) -> Any:
    instances = side.add() * 11
    answer = side.call(
        "UpdateContainerInstancesState",
        cluster=side.cluster,
        containerInstances=instances,
        status="DRAINING",
    )
    return answer if isinstance(answer, str) else "accepted"


def required_attributes(side: Side) -> Any:
    side.define(logConfiguration=SPLUNK)
    answer = side.call("DescribeTaskDefinition", taskDefinition=side.cluster)
    shown = answer["taskDefinition"].get("requiresAttributes", [])
    return any(one["name"].endswith("logging-driver.splunk") for one in shown)


def size_at_registration(side: Side) -> Any:
    side.add(0)
    sizes = [{"name": name, "type": "INTEGER", "integerValue": 2048} for name in ("CPU", "MEMORY")]
    return side.cpu(side.register(side.cluster, totalResources=sizes))


def attributes_at_registration(side: Side) -> Any:
    side.add(0)
    sizes = [{"name": name, "type": "INTEGER", "integerValue": 2048} for name in ("CPU", "MEMORY")]
    rack = [{"name": "rack", "value": "7"}]
    instance = side.register(side.cluster, totalResources=sizes, attributes=rack)
    request = {"cluster": side.cluster, "containerInstances": [instance]}
    (shape,) = side.call("DescribeContainerInstances", **request)["containerInstances"]
    return "rack" in [one["name"] for one in shape["attributes"]]


def unknown_operation(side: Side) -> Any:
    return side.raw("AmazonEC2ContainerServiceV20141113.MakeCoffee", b"{}")


def broken_json(side: Side) -> Any:
    return side.raw("AmazonEC2ContainerServiceV20141113.ListTasks", b"{")


def deregistering_a_busy_instance(side: Side) -> Any:
    instances = side.add()
    side.define()
    side.start(instances)
    request = {"cluster": side.cluster, "containerInstance": instances[0]}
    answer = side.call("DeregisterContainerInstance", **request)
    return answer if isinstance(answer, str) else "accepted"


def stopping_an_orphan(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]["taskArn"]
    request = {"cluster": side.cluster, "containerInstance": instances[0], "force": True}
    side.call("DeregisterContainerInstance", **request)
    answer = side.call("StopTask", cluster=side.cluster, task=task)
    return answer if isinstance(answer, str) else "accepted"


def token_with_other_parameters(side: Side) -> Any:
    side.add()
    side.define()
    side.run(clientToken="t")
    return outcome(side.run(clientToken="t", startedBy="other"))


def spread_over_instances(side: Side) -> Any:
    side.add(2)
    side.define()
    strategy = [{"type": "spread", "field": "instanceId"}]
    answer = side.run(count=2, placementStrategy=strategy)
    return len({task["containerInstanceArn"] for task in answer["tasks"]})


def member_of_nowhere(side: Side) -> Any:
    side.add()
    side.define()
    nowhere = [{"type": "memberOf", "expression": "attribute:rack == 7"}]
    return outcome(side.run(placementConstraints=nowhere))


def run_task_without_room(side: Side) -> Any:
    side.add()
    side.define()
    return outcome(side.run(count=6))


def waiting_for_capacity(side: Side) -> Any:
    side.call("CreateCluster", clusterName=side.cluster)
    side.define()
    name = f"cp-{side.cluster}"
    group = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:1:x/g"}
    side.call("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)
    side.call(
        "PutClusterCapacityProviders",
        cluster=side.cluster,
        capacityProviders=[name],
        defaultCapacityProviderStrategy=[],
    )
    answer = side.run(capacityProviderStrategy=[{"capacityProvider": name}])
    if isinstance(answer, str):
        return answer
    return [task["lastStatus"] for task in answer["tasks"]]


def attributes_and_tags(side: Side) -> Any:
    instances = side.add()
    rack = {"name": "rack", "value": "7", "targetId": instances[0]}
    side.call("PutAttributes", cluster=side.cluster, attributes=[rack])
    listed = side.call(
        "ListAttributes",
        cluster=side.cluster,
        targetType="container-instance",
        attributeName="rack",
    )
    (shape,) = side.call("DescribeClusters", clusters=[side.cluster])["clusters"]
    arn = shape["clusterArn"]
    side.call("TagResource", resourceArn=arn, tags=[{"key": "k", "value": "v"}])
    tags = side.call("ListTagsForResource", resourceArn=arn)["tags"]
    return [one["value"] for one in listed["attributes"]], [tag["value"] for tag in tags]


ROWS: list[Row] = [
    (missing_attribute, (0, ["ATTRIBUTE"]), (1, [])),
    (override_of_an_unknown_container, "InvalidParameterException", (1, [])),
    (overrides_too_long, "InvalidParameterException", (1, [])),
    (started_by_with_a_colon, "InvalidParameterException", (1, [])),
    (same_host_port, (0, ["RESOURCE:PORTS"]), (1, [])),
    (udp_port, ["PORTS_UDP"], ["PORTS"]),
    (gpu_on_none, (0, ["RESOURCE:GPU"]), (1, [])),
    (task_level_cpu, 512, 10),
    (stop_code, "UserInitiated", None),
    (two_containers, 2, 1),
    (counts_after_a_start, 1, 0),
    (looking_five_times, "PENDING", "STOPPED"),
    (exit_code_of_a_stopped_task, None, 0),
    (describing_101, "InvalidParameterException", "accepted"),
    (unknown_include, "InvalidParameterException", "accepted"),
    (draining_eleven, "InvalidParameterException", "accepted"),
    (required_attributes, True, False),
    (size_at_registration, 2048, 4096),
    (attributes_at_registration, True, False),
    (unknown_operation, (400, "InvalidAction"), (500, None)),
    (broken_json, (400, "SerializationException"), (500, None)),
    (deregistering_a_busy_instance, "InvalidParameterException", "InvalidParameterException"),
    (stopping_an_orphan, "accepted", "500"),
    (token_with_other_parameters, "ConflictException", (1, [])),
    (spread_over_instances, 2, 1),
    (member_of_nowhere, (0, ["MemberOf placement constraint unsatisfied."]), (1, [])),
    (run_task_without_room, (4, ["RESOURCE:CPU"]), (4, [])),
    (waiting_for_capacity, ["PROVISIONING"], "500"),
    (attributes_and_tags, (["7"], ["v"]), ([], ["v"])),
]


@pytest.mark.parametrize(
    ("story", "ours", "theirs"), [pytest.param(*row, id=row[0].__name__) for row in ROWS]
)
def test_our_refusal_and_motos(
    sides: dict[str, Callable[[], Side]], story: Story, ours: Any, theirs: Any
) -> None:
    """Both servers answer as the table in docs/simulator.md says."""
    assert (story(sides["ours"]()), story(sides["moto"]())) == (ours, theirs)


def test_moto_throttles_nobody(sides: dict[str, Callable[[], Side]]) -> None:
    """A hundred and twenty calls in a row: on AWS, and with us, the bucket holds fifty."""
    theirs = sides["moto"]()
    answers = [theirs.call("ListClusters") for _ in range(120)]
    assert "ThrottlingException" not in answers
