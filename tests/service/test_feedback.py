"""What ECS refuses, and why, decides where the next task goes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobState
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Lifecycle, Options

Run = Callable[..., None]
ZONES = tuple(
    InstanceGroup(count=1, instance_type="m5.xlarge", availability_zone=f"us-east-1{zone}")
    for zone in "abc"
)
OWN_INTERFACE = {
    "family": "own-interface",
    "networkMode": "awsvpc",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 256, "memory": 256, "command": ["sleep", "5"]}
    ],
}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-c"]}}


def test_a_zone_that_refuses_one_task_definition_serves_the_others(world: Run) -> None:
    """Only zone c has the subnet. The job gets there after two refusals; plain jobs still go to a
    and b.
    """

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", OWN_INTERFACE)
        job = {"task_definition": "own-interface", "network_configuration": NETWORK}
        await w.submit({"id": "first", **job})
        first = await w.until("first")
        assert first.state is JobState.SUCCEEDED
        launches = w.sim.statistics.calls["StartTask"]
        await w.submit({"id": "second", **job})
        assert (await w.until("second")).state is JobState.SUCCEEDED
        assert w.sim.statistics.calls["StartTask"] == launches + 1
        await w.submit(*({"id": f"plain-{n}"} for n in range(12)))
        used = {(await w.until(f"plain-{n}")).instance_arn for n in range(12)}
        assert len(used) == 3

    subnets = {"subnet-c": "us-east-1c"}
    world(story, fleet=ZONES, options=Options(agent_capabilities=FEW_CAPABILITIES, subnets=subnets))


@pytest.mark.slow
def test_an_instance_whose_tasks_do_not_stop_is_left_alone_until_they_do(world: Run) -> None:
    """ECS counts the room as free while SIGTERM is ignored. Of five instances this one gets nothing
    from two and a half minutes on; when the task has ended at last, it is used again.
    """
    patient: dict[str, Any] = {
        "family": "stubborn",
        "containerDefinitions": [
            {
                "name": "main",
                "image": "busybox",
                "cpu": 3072,
                "memory": 512,
                "stopTimeout": 400,
                "command": ["sleep", "1000"],
            }
        ],
    }

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", patient)
        await w.submit({"id": "a", "task_definition": "stubborn"})
        there = (await w.until("a", JobState.RUNNING)).instance_arn
        await w.queue.cancel(["a"], "not needed")
        await asyncio.sleep(170)
        assert list(w.service.status().avoided) == [there.rpartition("/")[2]]
        await w.submit(*({"id": f"b{n}"} for n in range(20)))
        started = [await w.until(f"b{n}", JobState.RUNNING, JobState.SUCCEEDED) for n in range(14)]
        assert there not in {record.instance_arn for record in started}
        await w.until("a", JobState.CANCELLED)
        await asyncio.sleep(15)
        assert w.service.status().avoided == {}

    options = Options(agent_capabilities=FEW_CAPABILITIES, lifecycle=Lifecycle(sigterm_s=250.0))
    fleet = (InstanceGroup(count=5, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, options=options, pass_interval_s=1.0, track_interval_s=5.0)
