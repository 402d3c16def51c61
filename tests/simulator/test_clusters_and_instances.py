"""Stories of clusters and container instances, told directly, in process and over HTTP."""

import pytest

from ecs_simulator import EcsError, InstanceGroup, Options, SimulatedEcs

from .conftest import SMALL, MakeWorld, ManualClock, World


def test_cluster_lives_and_is_deleted(world: World) -> None:
    """A cluster is ACTIVE from creation to deletion, and unknown ones are MISSING."""
    created = world("CreateCluster", clusterName="other")["cluster"]
    assert (created["clusterName"], created["status"]) == ("other", "ACTIVE")
    described = world("DescribeClusters", clusters=["other", "nowhere"])
    assert [one["clusterArn"] for one in described["clusters"]] == [created["clusterArn"]]
    assert described["failures"] == [
        {"arn": created["clusterArn"].replace("other", "nowhere"), "reason": "MISSING"}
    ]
    assert len(world("ListClusters")["clusterArns"]) == 2
    assert world("DeleteCluster", cluster="other")["cluster"]["status"] == "INACTIVE"
    assert world.refused("ListTasks", cluster="other").code == "ClusterNotFoundException"


def test_unknown_cluster_is_refused_with_aws_words(world: World) -> None:
    """Every operation inside a cluster names the same exception for an unknown one."""
    refusal = world.refused("ListContainerInstances", cluster="nowhere")
    assert (refusal.code, refusal.message, refusal.status) == (
        "ClusterNotFoundException",
        "Cluster not found.",
        400,
    )


def test_cluster_with_instances_cannot_be_deleted(world: World) -> None:
    """Instances and running tasks keep a cluster alive."""
    (arn,) = world.add(SMALL)
    refusal = world.refused("DeleteCluster", cluster="demo")
    assert refusal.code == "ClusterContainsContainerInstancesException"
    world("DeregisterContainerInstance", cluster="demo", containerInstance=arn)
    assert world("DeleteCluster", cluster="demo")["cluster"]["status"] == "INACTIVE"


def test_instance_registers_with_the_size_it_says(world: World) -> None:
    """RegisterContainerInstance takes any size, GPUs by id, and attributes."""
    registered = world(
        "RegisterContainerInstance",
        cluster="demo",
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": 3000},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 5000},
        ],
        attributes=[{"name": "stack", "value": "batch"}],
        platformDevices=[{"id": "GPU-1", "type": "GPU"}, {"id": "GPU-2", "type": "GPU"}],
    )["containerInstance"]
    assert (registered["status"], registered["agentConnected"]) == ("ACTIVE", True)
    assert {"name": "stack", "value": "batch"} in registered["attributes"]
    assert world.remaining(registered["containerInstanceArn"]) == {
        "CPU": 3000,
        "MEMORY": 5000,
        "PORTS": ["22", "2375", "2376", "51678", "51679", "51680"],
        "PORTS_UDP": [],
        "GPU": ["GPU-1", "GPU-2"],
    }


def test_instance_type_decides_size_and_built_in_attributes(world: World) -> None:
    """A fleet's instance comes with its type's resources and ECS's built-in attributes."""
    (arn,) = world.add(InstanceGroup(instance_type="m5.xlarge", availability_zone="us-east-1b"))
    instance = world.instance(arn)
    attributes = {item["name"]: item.get("value") for item in instance["attributes"]}
    assert world.remaining(arn)["CPU"] == 4096
    assert world.remaining(arn)["MEMORY"] == 16384 * 7985 // 8192
    assert attributes["ecs.instance-type"] == "m5.xlarge"
    assert attributes["ecs.availability-zone"] == "us-east-1b"
    assert attributes["ecs.os-type"] == "linux"
    assert attributes["ecs.cpu-architecture"] == "x86_64"
    assert "ecs.capability.task-eni" in attributes


def test_instances_are_listed_in_pages(make_world: MakeWorld) -> None:
    """Pages of at most 100; the token leads on without loss or repetition."""
    world = make_world((InstanceGroup(count=230),))
    first = world("ListContainerInstances", cluster="demo")
    second = world("ListContainerInstances", cluster="demo", nextToken=first["nextToken"])
    third = world("ListContainerInstances", cluster="demo", nextToken=second["nextToken"])
    pages = [one["containerInstanceArns"] for one in (first, second, third)]
    assert [len(page) for page in pages] == [100, 100, 30]
    assert "nextToken" not in third
    assert len({arn for page in pages for arn in page}) == 230
    small = world("ListContainerInstances", cluster="demo", maxResults=7)
    assert small["containerInstanceArns"] == pages[0][:7]


@pytest.mark.parametrize("many", [0, 101])
def test_page_size_is_between_1_and_100(world: World, many: int) -> None:
    """maxResults outside of 1 to 100 is refused."""
    refusal = world.refused("ListContainerInstances", cluster="demo", maxResults=many)
    assert refusal.code == "InvalidParameterException"


def test_bad_token_is_refused(world: World) -> None:
    """A token that we did not make is refused."""
    refusal = world.refused("ListContainerInstances", cluster="demo", nextToken="garbage")
    assert refusal.code == "InvalidParameterException"


def test_describe_takes_a_hundred(make_world: MakeWorld) -> None:
    """More than 100 ids are refused in AWS's words; unknown ones are failures."""
    world = make_world((InstanceGroup(count=101),))
    arns = world("ListContainerInstances", cluster="demo")["containerInstanceArns"]
    answer = world("DescribeContainerInstances", cluster="demo", containerInstances=arns)
    assert [one["containerInstanceArn"] for one in answer["containerInstances"]] == arns
    refusal = world.refused(
        "DescribeContainerInstances", cluster="demo", containerInstances=[*arns, arns[0]]
    )
    assert (refusal.code, refusal.message) == (
        "InvalidParameterException",
        "instanceIds can have at most 100 items",
    )
    unknown = world("DescribeContainerInstances", cluster="demo", containerInstances=["nope"])
    assert unknown["containerInstances"] == []
    assert [(one["arn"].endswith("/demo/nope"), one["reason"]) for one in unknown["failures"]] == [
        (True, "MISSING")
    ]


def test_draining_and_back(world: World) -> None:
    """UpdateContainerInstancesState drains and reactivates, ten at a time, and bumps the
    version."""
    arns = world.add(InstanceGroup(count=11))
    before = world.instance(arns[0])["version"]
    answer = world(
        "UpdateContainerInstancesState",
        cluster="demo",
        containerInstances=[arns[0], "nope"],
        status="DRAINING",
    )
    assert [one["status"] for one in answer["containerInstances"]] == ["DRAINING"]
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    assert world.instance(arns[0])["version"] == before + 1
    draining = world("ListContainerInstances", cluster="demo", status="DRAINING")
    assert draining["containerInstanceArns"] == [arns[0]]
    refusal = world.refused(
        "UpdateContainerInstancesState", cluster="demo", containerInstances=arns, status="ACTIVE"
    )
    assert refusal.message == "instanceIds can have at most 10 items"
    refusal = world.refused(
        "UpdateContainerInstancesState",
        cluster="demo",
        containerInstances=arns[:1],
        status="INACTIVE",
    )
    assert refusal.code == "InvalidParameterException"


def test_inactive_instances_are_not_listed(world: World) -> None:
    """A deregistered instance leaves the list, and can still be described."""
    (arn,) = world.add(SMALL)
    world("DeregisterContainerInstance", cluster="demo", containerInstance=arn)
    assert world("ListContainerInstances", cluster="demo")["containerInstanceArns"] == []
    assert world.instance(arn)["status"] == "INACTIVE"


def test_deregistering_a_busy_instance_needs_force(world: World) -> None:
    """Without force a busy instance stays; with force its tasks are orphaned."""
    (arn,) = world.add(SMALL)
    world.define()
    task = world.start(arn)["tasks"][0]["taskArn"]
    refusal = world.refused("DeregisterContainerInstance", cluster="demo", containerInstance=arn)
    assert refusal.code == "InvalidParameterException"
    world("DeregisterContainerInstance", cluster="demo", containerInstance=arn, force=True)
    orphan = world.task(task)
    assert orphan["lastStatus"] == "STOPPED"
    assert orphan["stoppedReason"] == "Container instance deregistration forced by user"
    world.later(0)


def test_custom_attributes(world: World) -> None:
    """PutAttributes adds and replaces, at most ten; DeleteAttributes removes only custom ones."""
    (arn,) = world.add(SMALL)
    target = {"targetType": "container-instance", "targetId": arn}
    world("PutAttributes", cluster="demo", attributes=[{"name": "stack", "value": "a", **target}])
    world("PutAttributes", cluster="demo", attributes=[{"name": "stack", "value": "b", **target}])
    listed = world(
        "ListAttributes",
        cluster="demo",
        targetType="container-instance",
        attributeName="stack",
    )
    assert listed["attributes"] == [{"name": "stack", "value": "b", **target}]
    many = [{"name": f"n{number}", **target} for number in range(10)]
    refusal = world.refused("PutAttributes", cluster="demo", attributes=many)
    assert refusal.code == "AttributeLimitExceededException"
    unknown = {"name": "x", "targetType": "container-instance", "targetId": "nope"}
    refusal = world.refused("PutAttributes", cluster="demo", attributes=[unknown])
    assert refusal.code == "TargetNotFoundException"
    world(
        "DeleteAttributes",
        cluster="demo",
        attributes=[{"name": "stack", **target}, {"name": "ecs.os-type", **target}],
    )
    names = {item["name"] for item in world.instance(arn)["attributes"]}
    assert "stack" not in names
    assert "ecs.os-type" in names


def test_tags_of_every_resource(world: World) -> None:
    """Clusters, instances, task definitions and tasks can be tagged and untagged."""
    (arn,) = world.add(SMALL)
    definition = world.define()
    task = world.start(arn)["tasks"][0]["taskArn"]
    cluster = world("DescribeClusters", clusters=["demo"])["clusters"][0]["clusterArn"]
    for resource in (cluster, arn, definition, task):
        tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
        world("TagResource", resourceArn=resource, tags=tags)
        world("TagResource", resourceArn=resource, tags=[{"key": "b", "value": "3"}])
        world("UntagResource", resourceArn=resource, tagKeys=["a"])
        assert world("ListTagsForResource", resourceArn=resource)["tags"] == [
            {"key": "b", "value": "3"}
        ]


def test_a_cluster_has_a_quota_of_instances() -> None:
    """RegisterContainerInstance is refused at the quota; a deregistered instance makes room."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(container_instances_quota=2), clock)
    world = World(ecs, clock, ecs.call, "direct")
    one, _ = world.add(SMALL, SMALL)
    sizes = [{"name": name, "integerValue": 1024} for name in ("CPU", "MEMORY")]
    with pytest.raises(EcsError, match=r"ClientException.*2 container instances"):
        world("RegisterContainerInstance", cluster="demo", totalResources=sizes)
    world("DeregisterContainerInstance", cluster="demo", containerInstance=one)
    world("RegisterContainerInstance", cluster="demo", totalResources=sizes)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DescribeClusters", {"clusters": ["demo"]}),
        ("DescribeContainerInstances", {"cluster": "demo", "containerInstances": ["x"]}),
        ("DescribeTasks", {"cluster": "demo", "tasks": ["x"]}),
        ("DescribeTaskDefinition", {"taskDefinition": "work"}),
        ("DescribeCapacityProviders", {}),
    ],
)
def test_include_takes_only_what_it_knows(
    world: World, operation: str, request_: dict[str, object]
) -> None:
    """InvalidParameterException for another name; TAGS is known everywhere."""
    world.add(SMALL)
    world.define()
    world(operation, **request_, include=["TAGS"])
    refusal = world.refused(operation, **request_, include=["TAGS", "STARS"])
    assert (refusal.code, refusal.status) == ("InvalidParameterException", 400)
