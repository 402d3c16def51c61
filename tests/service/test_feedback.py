"""What ECS refuses, and why, decides where the next task goes."""

from collections.abc import Callable
from typing import Any

from ecs_queue.states import JobState
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options

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
