"""What a task reserves on its instance: the rule of the agent's ToHostResources, case by case."""

from typing import Any

import pytest

from ecs_simulator import InstanceGroup

from .conftest import World

BIG = InstanceGroup(cpu_units=8192, memory_mib=16384)


def reserved(world: World, definition: dict[str, Any], overrides: dict[str, Any]) -> dict[str, int]:
    """CPU units and MiB that one task takes."""
    (arn,) = world.add(BIG)
    before = world.remaining(arn)
    world("RegisterTaskDefinition", family="work", **definition)
    assert world.start(arn, overrides=overrides)["failures"] == []
    after = world.remaining(arn)
    return {name: before[name] - after[name] for name in ("CPU", "MEMORY")}


def container(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", **more}


def changed(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"containerOverrides": [{"name": name, **more}]}


@pytest.mark.parametrize(
    ("definition", "overrides", "expected"),
    [
        pytest.param(
            {"containerDefinitions": [container(cpu=100, memory=300)]},
            {},
            (100, 300),
            id="container figures",
        ),
        pytest.param(
            {"containerDefinitions": [container(cpu=100, memory=300, memoryReservation=200)]},
            {},
            (100, 200),
            id="memoryReservation goes before memory",
        ),
        pytest.param(
            {
                "containerDefinitions": [
                    container("a", cpu=100, memory=300),
                    container("b", memoryReservation=50),
                ]
            },
            {},
            (100, 350),
            id="containers add up, each by its own rule",
        ),
        pytest.param(
            {
                "cpu": "512",
                "memory": "1024",
                "containerDefinitions": [container(cpu=100, memory=300)],
            },
            {},
            (512, 1024),
            id="task level goes before containers",
        ),
        pytest.param(
            {"cpu": ".5 vCPU", "containerDefinitions": [container(cpu=100, memory=300)]},
            {},
            (512, 300),
            id="task-level cpu, container memory",
        ),
        pytest.param(
            {"memory": "1GB", "containerDefinitions": [container(cpu=100)]},
            {},
            (100, 1024),
            id="task-level memory, container cpu",
        ),
        pytest.param(
            {"containerDefinitions": [container(cpu=100, memory=300)]},
            changed(cpu=200, memory=400),
            (200, 400),
            id="container overrides",
        ),
        pytest.param(
            {"containerDefinitions": [container(cpu=100, memory=300)]},
            changed(memoryReservation=64),
            (100, 64),
            id="an overriding reservation counts",
        ),
        pytest.param(
            {"containerDefinitions": [container(cpu=100, memory=300, memoryReservation=200)]},
            changed(memory=900),
            (100, 200),
            id="the defined reservation still goes before an overriding memory",
        ),
        pytest.param(
            {"cpu": "512", "memory": "1024", "containerDefinitions": [container(memory=64)]},
            {"cpu": "1024", "memory": "2 GB"},
            (1024, 2048),
            id="task overrides",
        ),
        pytest.param(
            {"cpu": "512", "memory": "1024", "containerDefinitions": [container(memory=64)]},
            changed(cpu=2000, memory=2000),
            (512, 1024),
            id="container overrides do not beat the task level",
        ),
        pytest.param(
            {"containerDefinitions": [container(memory=6)]},
            {},
            (0, 6),
            id="no cpu at all",
        ),
    ],
)
def test_reservation(
    quick: World, definition: dict[str, Any], overrides: dict[str, Any], expected: tuple[int, int]
) -> None:
    """CPU units and MiB taken from remainingResources, and what the task says of itself."""
    assert tuple(reserved(quick, definition, overrides).values()) == expected
    task = quick.task(quick.ecs.tasks()[0].arn)
    assert (task["cpu"], task["memory"]) == tuple(str(amount) for amount in expected)


def test_gpu_overrides_and_all(quick: World) -> None:
    """A GPU override replaces the definition's; ALL takes every GPU, and only an idle
    instance's."""
    (arn,) = quick.add(InstanceGroup(instance_type="g5.12xlarge"))

    def gpus(value: str) -> dict[str, Any]:
        return {"resourceRequirements": [{"type": "GPU", "value": value}]}

    quick.define("train", container=gpus("1"))
    two = quick.start(arn, definition="train", overrides=changed("main", **gpus("2")))
    assert len(quick.task(two["tasks"][0]["taskArn"])["containers"][0]["gpuIds"]) == 2
    everything = changed("main", **gpus("ALL"))
    refused = quick.start(arn, definition="train", overrides=everything)
    assert refused["failures"] == [{"arn": arn, "reason": "RESOURCE:GPU"}]
    quick.later(100)
    task = quick.start(arn, definition="train", overrides=everything)["tasks"][0]
    assert len(task["containers"][0]["gpuIds"]) == 4
    refusal = quick.refused(
        "StartTask",
        cluster="demo",
        taskDefinition="train",
        containerInstances=[arn],
        overrides=changed("main", **gpus("some")),
    )
    assert "GPU" in refusal.message


def test_awsvpc_tasks_take_no_host_ports(quick: World) -> None:
    """Their ports are on their own interface."""
    (arn,) = quick.add(InstanceGroup(instance_type="m5.2xlarge"))
    ports = [{"containerPort": 80, "hostPort": 80}]
    quick.define(networkMode="awsvpc", container={"portMappings": ports})
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    for _ in range(2):
        assert quick.start(arn, networkConfiguration=network)["failures"] == []
    assert "80" not in quick.remaining(arn)["PORTS"]


def test_a_stopping_task_keeps_its_place_on_the_host(quick: World) -> None:
    """ECS counts a stopping task's resources as free; the next task waits for its real end."""
    (arn,) = quick.add(InstanceGroup(cpu_units=256, memory_mib=512))
    quick.define(container={"command": ["sleep", "1000"]})
    first = quick.start(arn)["tasks"][0]["taskArn"]
    quick.later(20)
    quick("StopTask", cluster="demo", task=first)
    answer = quick.start(arn)
    assert answer["failures"] == []
    second = answer["tasks"][0]["taskArn"]
    quick.later(0.9)
    assert quick.task(first)["lastStatus"] == "RUNNING"
    assert "pullStartedAt" not in quick.task(second)
    quick.later(10)
    assert quick.task(first)["lastStatus"] == "STOPPED"
    assert quick.task(second)["lastStatus"] == "RUNNING"
