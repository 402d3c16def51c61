"""What commands do, what environments say, and how several containers make one task."""

from random import Random
from typing import Any

import pytest

from ecs_simulator import Behaviour, Lifecycle, SimulatedContainers

from .conftest import SMALL, MakeWorld, World


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["true"], Behaviour(0, 0)),
        (["/bin/true"], Behaviour(0, 0)),
        (["false"], Behaviour(0, 1)),
        (["sleep", "5"], Behaviour(5, 0)),
        (["sleep", "1.5m"], Behaviour(90, 0)),
        (["sleep", "1", "2"], Behaviour(3, 0)),
        (["sleep 7"], Behaviour(7, 0)),
        (["exit", "3"], Behaviour(0, 3)),
        (["sh", "-c", "sleep 5; exit 3"], Behaviour(5, 3)),
        (["/bin/bash", "-c", "sleep 1 && sleep 2"], Behaviour(3, 0)),
        (["sh", "-c", "exit 4; sleep 9"], Behaviour(0, 4)),
        (["sh", "-c", "sleep 3; false"], Behaviour(3, 1)),
        (["sh", "-c", "python train.py"], Behaviour(None, 0)),
        (["python", "train.py"], Behaviour(None, 0)),
        (["sleep", "forever"], Behaviour(None, 0)),
        ([], Behaviour(None, 0)),
    ],
)
def test_commands(command: list[str], expected: Behaviour) -> None:
    """Run time and exit code; None where the command says nothing about its time."""
    assert SimulatedContainers().behaviour(command, {}) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ECS_SIMULATOR_RUN_S": "12.5"}, Behaviour(12.5, 0)),
        ({"ECS_SIMULATOR_RUN_S": "1", "ECS_SIMULATOR_EXIT_CODE": "9"}, Behaviour(1, 9)),
        ({"ECS_SIMULATOR_EXIT_CODE": "9"}, Behaviour(None, 9)),
        ({"ECS_SIMULATOR_RUN_S": "soon"}, Behaviour(5, 0)),
        ({"ECS_SIMULATOR_RUN_S": "-1"}, Behaviour(5, 0)),
    ],
)
def test_environment_goes_before_the_command(
    environment: dict[str, str], expected: Behaviour
) -> None:
    """What is not a number counts as not said."""
    assert SimulatedContainers().behaviour(["sleep", "5"], environment) == expected


@pytest.mark.parametrize("distribution", ["exponential", "uniform", "constant"])
def test_drawn_run_times_have_the_mean_asked_for(distribution: Any) -> None:
    """Ten thousand draws average within 3 % of the mean."""
    lifecycle = Lifecycle(run_s_mean=40.0, run_s_distribution=distribution)
    rng = Random(5)
    draws = [SimulatedContainers().drawn_run_s(rng, lifecycle) for _ in range(10_000)]
    assert sum(draws) / len(draws) == pytest.approx(40.0, rel=0.03)


def pair(world: World, second: dict[str, Any]) -> str:
    (arn,) = world.add(SMALL)
    main = {"name": "main", "image": "i", "memory": 64, "command": ["sleep", "20"]}
    other = {"name": "other", "image": "j", "memory": 64, **second}
    world("RegisterTaskDefinition", family="pair", containerDefinitions=[main, other])
    return str(world.start(arn, definition="pair")["tasks"][0]["taskArn"])


def test_an_essential_container_takes_the_task_with_it(quick: World) -> None:
    """The first essential container to end decides; the other one is killed."""
    task = pair(quick, {"command": ["sh", "-c", "sleep 3; exit 2"]})
    quick.later(15)
    shape = quick.task(task)
    assert shape["lastStatus"] == "STOPPED"
    assert [one["exitCode"] for one in shape["containers"]] == [137, 2]


def test_a_container_that_is_not_essential_ends_alone(quick: World) -> None:
    """Its end shows in its exit code; the task goes on until the essential one ends."""
    task = pair(quick, {"command": ["sh", "-c", "sleep 3; exit 2"], "essential": False})
    quick.later(15)
    shape = quick.task(task)
    assert shape["lastStatus"] == "RUNNING"
    assert [one["lastStatus"] for one in shape["containers"]] == ["RUNNING", "STOPPED"]
    assert [one.get("exitCode") for one in shape["containers"]] == [None, 2]
    quick.later(15)
    assert [one["exitCode"] for one in quick.task(task)["containers"]] == [0, 2]


@pytest.mark.parametrize(
    ("stop_timeout", "code", "after"), [(None, 143, 10.0), (5, 137, 5.0), (60, 143, 10.0)]
)
def test_sigterm_then_sigkill(
    make_world: MakeWorld, stop_timeout: int | None, code: int, after: float
) -> None:
    """A process needs 10 s to end: 143 when the stop timeout allows it, 137 when it is cut off."""
    world = make_world(lifecycle=Lifecycle(sigterm_s=10.0, stopping_s=0.0))
    (arn,) = world.add(SMALL)
    limit = {} if stop_timeout is None else {"stopTimeout": stop_timeout}
    world.define(container=limit)
    task = world.start(arn)["tasks"][0]["taskArn"]
    world.later(10)
    world("StopTask", cluster="demo", task=task)
    world.later(30)
    record = world.ecs.tasks()[0]
    assert record.exit_codes == (code,)
    shape = world.ecs.call("DescribeTasks", {"cluster": "demo", "tasks": [task]})["tasks"][0]
    assert shape["executionStoppedAt"] - shape["stoppingAt"] == pytest.approx(after)


def test_agents_report_when_they_are_back(quick: World) -> None:
    """What ends while the agent is away shows as ended only after it reconnects."""
    (arn,) = quick.add(SMALL)
    quick.define(container={"command": ["sleep", "10"]})
    task = quick.start(arn)["tasks"][0]["taskArn"]
    quick.later(10)
    quick.ecs.set_agent_connected("demo", arn, connected=False)
    waiting = quick.start(arn)
    assert [one["reason"] for one in waiting["failures"]] == ["AGENT"]
    quick.later(60)
    assert quick.task(task)["lastStatus"] == "RUNNING"
    quick.ecs.set_agent_connected("demo", arn, connected=True)
    quick.later(2)
    shape = quick.task(task)
    assert shape["lastStatus"] == "STOPPED"
    assert shape["executionStoppedAt"] == pytest.approx(shape["startedAt"] + 10)
    assert shape["stoppedAt"] > shape["executionStoppedAt"] + 50
