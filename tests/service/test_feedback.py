"""What ECS refuses, and why, decides where the next task goes."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from tests.service.transports import answered

from ecs_queue.job import JobId
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


def refusing(reason: str) -> Any:
    """A transport on which StartTask refuses some instances for this reason, whatever Describe says
    of them; `asked` is when each was asked.
    """

    class Refusing:
        instances: ClassVar[set[str]] = set()
        asked: ClassVar[list[float]] = []

        async def send(self, request: Any) -> Any:
            document = json.loads(request.body)
            wanted = document.get("containerInstances", ())
            bad = [arn for arn in wanted if arn in Refusing.instances]
            if not request.headers["X-Amz-Target"].endswith(b"StartTask") or not bad:
                return await super().send(request)  # type: ignore[misc]
            Refusing.asked.append(asyncio.get_running_loop().time())
            document["containerInstances"] = [arn for arn in wanted if arn not in bad]
            answer: dict[str, Any] = {"tasks": [], "failures": []}
            if document["containerInstances"]:
                request.body = json.dumps(document).encode()
                served = await super().send(request)  # type: ignore[misc]
                answer = json.loads(await served.content)
            answer["failures"] += [{"arn": arn, "reason": reason} for arn in bad]
            return answered(request, 200, answer)

    return Refusing


def sleeping(job_id: str, seconds: int) -> dict[str, Any]:
    container = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [container]}}


@pytest.mark.parametrize(
    ("reason", "again_after_s", "known"),
    [
        ("RESOURCE:MEMORY", 5, 3),
        ("AGENT", 30, 3),
        ("ATTRIBUTE", 600, 3),
        ("MISSING", 120, 2),
        ("INACTIVE", 120, 2),
    ],
)
def test_the_reason_says_how_long_an_instance_is_left_alone(
    world: Run, reason: str, again_after_s: float, known: int
) -> None:
    """Of twelve jobs on three instances the eight that have room on the other two start at once,
    and those that wait use up no attempt. Describe shows the instance as ever: for RESOURCE that is
    believed at the next look; AGENT waits half a minute, MISSING and INACTIVE until the next sweep,
    and an attribute ten minutes.
    """
    transport = refusing(reason)

    async def story(w: Any) -> None:
        await w.until_ready()
        arns = w.sim.call("ListContainerInstances", {"cluster": "default"})["containerInstanceArns"]
        transport.instances.add(min(arns))
        await w.submit(*(sleeping(f"j{number}", 60) for number in range(12)))
        await asyncio.sleep(2)
        records = [await w.queue.job(JobId(f"j{number}")) for number in range(12)]
        assert sum(record.launches for record in records) == 8
        assert w.service.status().instances == known
        await asyncio.sleep(50)
        times = [*transport.asked, w.clock.monotonic()]
        longest_s = max(later - earlier for earlier, later in itertools.pairwise(times))
        assert min(again_after_s, 50) - 1 <= longest_s < min(again_after_s, 50) + 3
        transport.instances.clear()
        for number in range(12):
            record = await w.until(f"j{number}")
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
            assert (record.failures, record.infrastructure_failures) == (0, 0)

    world(story, faults=transport, sweep_interval_s=120.0)


def test_an_instance_that_refuses_again_and_again_is_avoided_and_shown(world: Run) -> None:
    """ECS says that there is room, and refuses. After five times within minutes the other nine are
    filled first, and the operator sees which one it is.
    """
    transport = refusing("RESOURCE:MEMORY")

    async def story(w: Any) -> None:
        await w.until_ready()
        arns = w.sim.call("ListContainerInstances", {"cluster": "default"})["containerInstanceArns"]
        transport.instances.add(min(arns))
        await w.submit(*(sleeping(f"j{number}", 40) for number in range(40)))
        await asyncio.sleep(35)
        assert list(w.service.status().avoided) == [min(arns).rpartition("/")[2]]
        asked = len(transport.asked)
        await w.submit(*(sleeping(f"k{number}", 40) for number in range(40)))
        await asyncio.sleep(60)
        assert len(transport.asked) == asked

    world(story, faults=transport, fleet=(InstanceGroup(count=10, instance_type="m5.xlarge"),))


@pytest.mark.slow
def test_tasks_that_pile_up_in_pending_are_noticed_and_avoided(world: Run) -> None:
    """The host of one of five instances is dead, and ECS does not know for a quarter of an hour:
    its tasks stay in PENDING. Three minutes later nothing more goes there.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        arns = w.sim.call("ListContainerInstances", {"cluster": "default"})["containerInstanceArns"]
        dead = min(arns)
        w.sim.kill_instance("default", dead, noticed_after_s=900.0)
        await w.submit(*(sleeping(f"j{number}", 30) for number in range(20)))
        await asyncio.sleep(200)
        assert list(w.service.status().avoided) == [dead.rpartition("/")[2]]
        await w.submit(*(sleeping(f"k{number}", 5) for number in range(30)))
        used = {(await w.until(f"k{number}")).instance_arn for number in range(30)}
        assert dead not in used
        for number in range(20):
            record = await w.until(f"j{number}", timeout_s=1200)
            assert (record.state, record.failures) == (JobState.SUCCEEDED, 0)

    fleet = (InstanceGroup(count=5, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, pass_interval_s=1.0, track_interval_s=5.0)
