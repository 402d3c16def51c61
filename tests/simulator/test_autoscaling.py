"""Stories of Auto Scaling groups: tasks wait in PROVISIONING, instances come, and go when idle."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator import AutoScalingGroup, FleetError, InstanceGroup, load_fleet
from ecs_simulator.autoscaling import load_auto_scaling_groups

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


FLEET = """\
[[auto_scaling_groups]]
name = "g"
max_size = 4
launch_s = 30
cpu_units = 1024
memory_mib = 2048
spot = true
"""


def test_groups_from_a_fleet_file(tmp_path: Path, quick: World) -> None:
    """A TOML file may hold groups beside instances, or alone."""
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET)
    (group,) = load_auto_scaling_groups(file)
    template = InstanceGroup(cpu_units=1024, memory_mib=2048, spot=True)
    assert group == AutoScalingGroup(name="g", max_size=4, launch_s=30, template=template)
    assert load_fleet(file, may_be_empty=True) == ()
    provide(quick, group)
    quick("RunTask", cluster="demo", taskDefinition="work", count=10)
    quick.later(120)
    assert present(quick) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "g"', "f.toml:1: max_size: is missing"),
        ("max_size = 4", "f.toml:1: name: is missing"),
        ('name = "g"\nmax_size = "4"', "f.toml:3: max_size: expected int, got '4'"),
        ('name = "g"\nmax_size = 1\nmin_size = 2', "f.toml:3: max_size: 1 is less than min"),
        ('name = "g"\nmax_size = 1\nmin_size = -1', "f.toml:4: min_size: expected a number from"),
        ('name = "g"\nmax_size = 1\nlaunch_s = nan', "f.toml:4: launch_s: expected a number from"),
        ('name = "g"\nmax_size = 1000000', "f.toml:3: max_size: 1000000 is more than 100000"),
        (
            'name = "g"\nmax_size = 1\n[[auto_scaling_groups]]\nmax_size = 1\nname = "g"',
            "f.toml:6: name: there is a group 'g' already",
        ),
        ('name = "g"\nmax_size = 1\n\ngpu = 1', "f.toml:5: gpu: unknown field"),
        ('name = "g"\nmax_size = 1\nlaunch_s = true', "f.toml:4: launch_s: expected int or fl"),
    ],
)
def test_wrong_groups_name_line_and_field(tmp_path: Path, text: str, words: str) -> None:
    """As wrong instances do."""
    file = tmp_path / "f.toml"
    file.write_text(f"[[auto_scaling_groups]]\n{text}")
    with pytest.raises(FleetError, match=words):
        load_auto_scaling_groups(file)


def test_sizes_that_cannot_be() -> None:
    """max_size below min_size names the field."""
    with pytest.raises(FleetError, match="max_size: 1 is less than min_size 2"):
        AutoScalingGroup(name="g", template=TEMPLATE, max_size=1, min_size=2)
