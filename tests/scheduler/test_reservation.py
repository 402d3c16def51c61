"""What a task reserves, by the agent's rule; each docstring carries the arithmetic."""

from typing import Any

import pytest

from ecs_placement.request import Shape
from ecs_queue.job import TaskOverride
from ecs_scheduler.ecs.reservation import essential_containers, shape_of
from ecs_scheduler.errors import InvalidReservation

NO_OVERRIDES = TaskOverride()


def container(name: str = "main", **members: Any) -> Any:
    return {"name": name, **members}


def definition(*containers: Any, **members: Any) -> Any:
    return {"containerDefinitions": list(containers), **members}


def test_the_task_level_comes_before_the_containers() -> None:
    """Task level 512/1024 stands, whatever the containers say (2 × 999)."""
    document = definition(
        container("a", cpu=999, memory=999),
        container("b", cpu=999, memory=999),
        cpu="512",
        memory="1024",
    )
    assert shape_of(document, NO_OVERRIDES) == Shape(cpu_units=512, memory_mib=1024)


def test_without_a_task_level_the_containers_are_summed() -> None:
    """100 + 200 CPU units; memory 300 + 400 MiB."""
    document = definition(container("a", cpu=100, memory=300), container("b", cpu=200, memory=400))
    assert shape_of(document, NO_OVERRIDES) == Shape(cpu_units=300, memory_mib=700)


def test_the_soft_limit_is_what_is_reserved() -> None:
    """memoryReservation 100 counts before memory 1000; the other has only a hard limit, 50: 150."""
    document = definition(
        container("a", memory=1000, memoryReservation=100), container("b", memory=50)
    )
    assert shape_of(document, NO_OVERRIDES).memory_mib == 150


def test_each_level_falls_back_on_its_own() -> None:
    """Task-level memory 2048 with no task-level CPU: the containers' CPU (256) counts."""
    document = definition(container(cpu=256, memory=64), memory="2048")
    assert shape_of(document, NO_OVERRIDES) == Shape(cpu_units=256, memory_mib=2048)


@pytest.mark.parametrize(
    ("cpu", "units"), [("1024", 1024), ("1 vCPU", 1024), ("0.5 vcpu", 512), (None, 0)]
)
def test_cpu_texts_are_read_as_ecs_reads_them(cpu: str | None, units: int) -> None:
    """A vCPU is 1024 units."""
    assert shape_of(definition(container(), cpu=cpu), NO_OVERRIDES).cpu_units == units


@pytest.mark.parametrize(("memory", "mib"), [("2048", 2048), ("2GB", 2048), ("0.5 GB", 512)])
def test_memory_texts_are_read_as_ecs_reads_them(memory: str, mib: int) -> None:
    """A GB is 1024 MiB."""
    assert shape_of(definition(container(), memory=memory), NO_OVERRIDES).memory_mib == mib


def test_container_overrides_replace_what_they_name() -> None:
    """CPU 100 becomes 700; memory stays 300; one GPU instead of none."""
    overrides = TaskOverride.model_validate(
        {
            "containerOverrides": [
                {
                    "name": "main",
                    "cpu": 700,
                    "resourceRequirements": [{"type": "GPU", "value": "1"}],
                }
            ]
        }
    )
    document = definition(container(cpu=100, memory=300))
    assert shape_of(document, overrides) == Shape(cpu_units=700, memory_mib=300, gpus=1)


def test_task_overrides_come_before_everything() -> None:
    """cpu "2048" from the override, not 256 from the task or 100 from the container."""
    document = definition(container(cpu=100, memory=10), cpu="256", memory="512")
    overrides = TaskOverride(cpu="2048")
    assert shape_of(document, overrides) == Shape(cpu_units=2048, memory_mib=512)


def test_only_static_host_ports_are_reserved() -> None:
    """8080/tcp and 53/udp are static; 0 and a missing host port are dynamic."""
    document = definition(
        container(
            portMappings=[
                {"containerPort": 80, "hostPort": 8080},
                {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
                {"containerPort": 81, "hostPort": 0},
                {"containerPort": 82},
            ]
        )
    )
    shape = shape_of(document, NO_OVERRIDES)
    assert (set(shape.ports_tcp), set(shape.ports_udp)) == ({8080}, {53})


def test_a_task_with_its_own_interface_reserves_it_and_no_ports() -> None:
    """awsvpc: one network interface; its ports are its own."""
    document = definition(
        container(portMappings=[{"containerPort": 80, "hostPort": 80}]), networkMode="awsvpc"
    )
    shape = shape_of(document, NO_OVERRIDES)
    assert (shape.enis, shape.ports_tcp) == (1, frozenset())


def test_attributes_and_platform_are_required() -> None:
    """requiresAttributes as ECS computed them, plus the architecture and the kind of system."""
    document = definition(
        container(),
        requiresAttributes=[{"name": "ecs.capability.task-eni"}],
        runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    )
    assert shape_of(document, NO_OVERRIDES).required_attributes == {
        ("ecs.capability.task-eni", None),
        ("ecs.cpu-architecture", "arm64"),
        ("ecs.os-type", "linux"),
    }


def test_an_override_for_a_container_that_does_not_exist_is_named() -> None:
    """The message names both the container asked for and those that exist."""
    overrides = TaskOverride.model_validate({"containerOverrides": [{"name": "mian"}]})
    with pytest.raises(InvalidReservation, match=r"'mian'.*has 'main'"):
        shape_of(definition(container("main")), overrides)


def test_gpus_that_are_not_a_number_are_refused() -> None:
    """ALL can't be counted before an instance is chosen."""
    document = definition(container(resourceRequirements=[{"type": "GPU", "value": "ALL"}]))
    with pytest.raises(InvalidReservation, match="'ALL' GPUs"):
        shape_of(document, NO_OVERRIDES)


def test_containers_are_essential_unless_they_say_otherwise() -> None:
    """Only an explicit false takes a container out of the verdict."""
    document = definition(
        container("a"), container("b", essential=False), container("c", essential=True)
    )
    assert essential_containers(document) == {"a", "c"}


def test_windows_asks_for_windows() -> None:
    """Every operating system family but LINUX is one of Windows."""
    platform = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}
    shape = shape_of(definition(container(), runtimePlatform=platform), NO_OVERRIDES)
    assert shape.required_attributes == {("ecs.os-type", "windows")}


@pytest.mark.parametrize(
    "members",
    [
        {"cpu": "9" * 400},
        {"memory": "9" * 12},
        {"cpu": "٣"},
        {"containerDefinitions": [container(memory=2**40)]},
        {
            "containerDefinitions": [
                container(resourceRequirements=[{"type": "GPU", "value": "9" * 5000}])
            ]
        },
    ],
    ids=["digits without end", "petabytes", "digits of another script", "a container", "GPUs"],
)
def test_absurd_amounts_are_refused_and_never_placed(members: dict[str, Any]) -> None:
    """Placement counts in 64 bits and would refuse the whole batch for one of them."""
    with pytest.raises(InvalidReservation):
        shape_of(definition(container()) | members, NO_OVERRIDES)
