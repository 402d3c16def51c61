"""Stories of Auto Scaling groups: tasks wait in PROVISIONING, instances come, and go when idle."""

from collections import Counter
from typing import Any

import pytest

from ecs_simulator import AutoScalingGroup, FleetError, InstanceGroup

from .conftest import World

TEMPLATE = InstanceGroup(cpu_units=1024, memory_mib=2048)
GROUP = AutoScalingGroup(name="g", template=TEMPLATE, max_size=5)
ARN = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/g"


def provide(world: World, group: AutoScalingGroup = GROUP, **scaling: Any) -> None:
    """A capacity provider with managed scaling over the group, as the cluster's default."""
    managed = {"status": "ENABLED", **scaling}
    world(
        "CreateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={"autoScalingGroupArn": ARN, "managedScaling": managed},
    )
    world(
        "PutClusterCapacityProviders",
        cluster="demo",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp"}],
    )
    world.define()
    world.ecs.add_auto_scaling_group(group)


def statuses(world: World) -> Counter[str]:
    return Counter(record.last_status for record in world.ecs.tasks())


def present(world: World) -> int:
    return len(world("ListContainerInstances", cluster="demo")["containerInstanceArns"])


def test_waiting_tasks_bring_instances_and_idle_ones_leave(world: World) -> None:
    """Ten tasks of a quarter instance need three instances; fifteen minutes later they are gone."""
    provide(world)
    world("RunTask", cluster="demo", taskDefinition="work", count=10)
    world.later(30)
    assert (statuses(world), present(world)) == ({"PROVISIONING": 10}, 0)
    world.later(60)
    world.later(90)
    assert present(world) == 3
    assert statuses(world) == {"RUNNING": 10}
    shape = world.task(world.ecs.tasks()[0].arn)
    assert shape["capacityProviderName"] == "cp"
    assert world.instance(shape["containerInstanceArn"])["capacityProviderName"] == "cp"
    for _ in range(20):
        world.later(60)
    assert (statuses(world), present(world)) == ({"STOPPED": 10}, 0)


def test_a_group_grows_no_further_than_its_size_and_steps(quick: World) -> None:
    """One instance a minute at most, three in all, however many tasks wait."""
    group = AutoScalingGroup(name="g", template=TEMPLATE, max_size=3, launch_s=10)
    provide(quick, group, maximumScalingStepSize=1)
    for _ in range(4):
        quick("RunTask", cluster="demo", taskDefinition="work", count=10)
    counts = []
    for _ in range(6):
        counts.append(present(quick))
        quick.later(60)
    assert counts == [0, 0, 1, 2, 3, 3]


def test_spare_capacity_and_minimum_size(quick: World) -> None:
    """A target of 50 % keeps as much again; the minimum size is there from the start."""
    group = AutoScalingGroup(name="g", template=TEMPLATE, max_size=9, min_size=1, launch_s=10)
    provide(quick, group, targetCapacity=50)
    quick.later(70)
    assert present(quick) == 1
    quick("RunTask", cluster="demo", taskDefinition="work", count=8)
    for _ in range(3):
        quick.later(60)
    assert present(quick) == 4


def test_a_task_that_never_fits_brings_nothing(quick: World) -> None:
    """It waits until PROVISIONING times out; no instance is launched for it."""
    provide(quick)
    big = {"containerOverrides": [{"name": "main", "cpu": 5000}]}
    quick("RunTask", cluster="demo", taskDefinition="work", overrides=big)
    for _ in range(40):
        quick.later(60)
    assert present(quick) == 0
    assert quick.ecs.tasks()[0].stop_code == "TaskFailedToStart"


def test_without_managed_scaling_nothing_grows(quick: World) -> None:
    """Managed scaling DISABLED: tasks wait in vain."""
    provide(quick, status="DISABLED")
    quick("RunTask", cluster="demo", taskDefinition="work")
    quick.later(300)
    assert (statuses(quick), present(quick)) == ({"PROVISIONING": 1}, 0)


def test_sizes_that_cannot_be() -> None:
    """max_size below min_size names the field."""
    with pytest.raises(FleetError, match="max_size: 1 is less than min_size 2"):
        AutoScalingGroup(name="g", template=TEMPLATE, max_size=1, min_size=2)
