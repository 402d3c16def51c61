"""What may be made twice is: each attempt with its token, and what ECS refuses is learnt from."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ecs_queue.states import LaunchToken, TaskArn
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.ecs.launch_answer import RunTarget
from ecs_scheduler.errors import CallUnknown, Throttled
from ecs_scheduler.launching.launch_signature import LaunchSignature
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    http_session_class,
    run_virtual,
)
from ecs_simulator.faults import Fault, FaultOptions

SIGNATURE = LaunchSignature("nothing", "{}", None, None, "[]", (), None, False)
NOBODY = [TaskArn("arn:aws:ecs:us-east-1:123456789012:task/default/0")]
TEN = (InstanceGroup(count=10, instance_type="m5.4xlarge"),)
UNTHROTTLED = Options(throttled=False, agent_capabilities=FEW_CAPABILITIES)

Story = Callable[[Any, SimulatedEcs], Awaitable[None]]


def on_ecs(story: Story, **faults: Any) -> None:
    """Run a story on a simulated ECS that does this with calls."""

    async def play(clock: VirtualClock) -> None:
        sim = SimulatedEcs(UNTHROTTLED, clock.now, seed=1)
        sim.add_instances("default", TEN)
        service_clock = LoopClock(round(clock.start * 1000))
        session = http_session_class(sim)
        async with ecs.connect(Config(), service_clock, http_session_cls=session) as client:
            sim.set_faults(FaultOptions(**faults))
            await story(client, sim)

    run_virtual(play)


def test_a_read_that_ecs_throttles_slows_the_bucket_at_its_first_refusal() -> None:
    """The second attempt is answered, so the caller sees nothing; the bucket does."""

    async def story(client: Any, sim: SimulatedEcs) -> None:
        found, missing = await client.describe_tasks(NOBODY)
        assert (found, missing) == ([], NOBODY)
        read = client.budget.read.status()
        assert (read.throttled, read.calls) == (1, 2)
        assert read.rate_per_s < 15
        assert client.calls["DescribeTasks", "Throttled"] == 1
        assert client.calls["DescribeTasks", "ok"] == 1

    on_ecs(story, throttled=Fault(probability=1.0, until_s=0.04))


def test_every_attempt_is_paid_for_and_every_throttle_counts() -> None:
    """Three refusals: three tokens, three lessons, and the caller is told."""

    async def story(client: Any, sim: SimulatedEcs) -> None:
        for call, bucket in (
            (client.describe_tasks(NOBODY), client.budget.read),
            (client.list_running_tasks(), client.budget.read),
            (client.stop_task(NOBODY[0], "no more"), client.budget.modify),
        ):
            before = bucket.status()
            with pytest.raises(Throttled):
                await call
            after = bucket.status()
            assert after.calls - before.calls == after.throttled - before.throttled == 3
        assert sum(sim.statistics.calls.values()) == 9

    on_ecs(story, throttled=Fault(probability=1.0))


def test_a_page_that_is_lost_is_asked_for_again() -> None:
    """250 tasks on three pages, a quarter of the answers lost: none is missing, none twice."""

    async def story(client: Any, sim: SimulatedEcs) -> None:
        sim.set_faults(FaultOptions())
        container = {"name": "main", "image": "busybox", "memory": 64, "command": ["sleep", "999"]}
        sim.call("RegisterTaskDefinition", {"family": "f", "containerDefinitions": [container]})
        where = sim.call("ListContainerInstances", {})["containerInstanceArns"]
        for _ in range(25):
            sim.call("StartTask", {"taskDefinition": "f", "containerInstances": where})
        sim.set_faults(FaultOptions(lost_reply=Fault(probability=0.25)))
        read = 0
        for _ in range(20):
            try:
                arns = await client.list_running_tasks()
            except CallUnknown:
                continue
            assert len(arns) == len(set(arns)) == 250
            read += 1
        assert read > 15

    on_ecs(story)


@pytest.mark.parametrize("operation", ["StartTask", "RunTask"])
@pytest.mark.parametrize("fault", ["lost_reply", "error_before", "throttled"])
def test_a_launch_is_never_repeated(operation: str, fault: str) -> None:
    """Whatever became of it: nobody but the ledger may say that it is to be made again."""

    async def story(client: Any, sim: SimulatedEcs) -> None:
        token = LaunchToken("token")
        start = client.start_task(SIGNATURE, ["i"], token)
        run = client.run_task(SIGNATURE, 1, RunTarget(), token)
        call, other = (start, run) if operation == "StartTask" else (run, start)
        other.close()
        with pytest.raises((CallUnknown, Throttled)):
            await call
        assert sim.statistics.calls[operation] == 1

    on_ecs(story, **{fault: Fault(probability=1.0)})
