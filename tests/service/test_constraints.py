"""Placement constraints, end to end: ECS checks none of them for StartTask, so we must."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

from tests.service.transports import answered, mute

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]

MIXED = (
    InstanceGroup(count=2, instance_type="m5.xlarge"),
    InstanceGroup(count=1, instance_type="c5.xlarge", attributes={"disk": "fast"}),
)


def sleeping(seconds: int) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": ["sleep", str(seconds)]}]}


def test_jobs_run_only_where_their_expression_holds(world: Run) -> None:
    """Three jobs for one instance of three, though the others are empty."""

    async def story(w: Any) -> None:
        fast = [{"type": "memberOf", "expression": "attribute:disk == fast"}]
        jobs = ({"id": f"j{i}", "placement_constraints": fast} for i in range(3))
        await w.submit(*jobs)
        for i in range(3):
            assert (await w.until(f"j{i}")).state is JobState.SUCCEEDED
        assert len({task.instance_arn for task in w.sim.tasks()}) == 1

    world(story, fleet=MIXED)


def test_what_no_instance_satisfies_is_said_by_its_expression(world: Run) -> None:
    """The job waits, and names what is asked for."""

    async def story(w: Any) -> None:
        slow = [{"type": "memberOf", "expression": "attribute:disk == slow"}]
        await w.submit({"id": "a", "placement_constraints": slow})
        waiting = await w.until_noted("a")
        assert "attribute:disk == slow" in waiting.reason

    world(story, fleet=MIXED)


def test_distinct_instance_holds_across_passes(world: Run) -> None:
    """Four jobs of a group on three instances: three at once, the fourth when one has ended."""

    async def story(w: Any) -> None:
        distinct = [{"type": "distinctInstance"}]
        for i in range(4):
            await w.submit(
                {
                    "id": f"j{i}",
                    "group": "g",
                    "overrides": sleeping(60),
                    "placement_constraints": distinct,
                }
            )
            if i < 3:
                await w.until(f"j{i}", JobState.RUNNING)
        assert (await w.until_noted("j3")).state is JobState.RUNNABLE
        first_three = [task.instance_arn for task in w.sim.tasks()]
        assert len(set(first_three)) == 3
        assert (await w.until("j3")).state is JobState.SUCCEEDED

    world(story, fleet=MIXED)


def test_distinct_instance_holds_across_schedulers(world: Run) -> None:
    """The second scheduler, which takes over from one that was killed, asks what runs where of
    which group before it starts another of one.
    """

    async def story(w: Any) -> None:
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.submit(*({"id": f"j{i}", "overrides": sleeping(60), **distinct} for i in range(6)))
        for i in range(3):
            await w.until(f"j{i}", JobState.RUNNING)
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(30)
            assert len(w.sim.tasks()) == 3
            assert (await w.until("j5")).state is JobState.SUCCEEDED

    world(story, fleet=MIXED)


def test_only_what_may_not_run_beside_others_waits_for_a_look_at_them(world: Run) -> None:
    """The successor of a scheduler that was killed does not hear for a minute what runs where. A
    job that may run beside anything starts at once; another says what it waits for.
    """

    class Slow:
        slow: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            if Slow.slow and request.headers["X-Amz-Target"].endswith(b"DescribeTasks"):
                await asyncio.sleep(60)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.submit(*({"id": f"j{i}", "overrides": sleeping(120), **distinct} for i in range(4)))
        for i in range(3):
            await w.until(f"j{i}", JobState.RUNNING)
        await w.kill()
        Slow.slow = True
        async with w.another_service():
            await w.submit({"id": "any", "overrides": sleeping(5)})
            await w.until("any", JobState.STARTING, timeout_s=10)
            await asyncio.sleep(10)
            waiting = await w.queue.job(JobId("j3"))
            assert waiting.reason == (
                "may not run beside certain tasks; what ran before this scheduler led is looked at"
                " first"
            )
            assert len(w.sim.tasks()) == 4
            Slow.slow = False
            assert (await w.until("j3")).state is JobState.SUCCEEDED

    world(story, fleet=MIXED, faults=Slow, lease_s=5.0)


def test_a_task_that_ecs_forgot_keeps_no_group_away(world: Run) -> None:
    """ECS says for five minutes that it does not know the task; then it counts as ended, and as
    gone from its instance.
    """

    class Forgetful:
        forgets: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            if Forgetful.forgets and request.headers["X-Amz-Target"].endswith(b"DescribeTasks"):
                arns = json.loads(request.body)["tasks"]
                missing = [{"arn": arn, "reason": "MISSING"} for arn in arns]
                return answered(request, 200, {"tasks": [], "failures": missing})
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.submit({"id": "a", "overrides": sleeping(200), **distinct})
        await w.until("a", JobState.RUNNING)
        Forgetful.forgets = True
        await w.until("a")
        Forgetful.forgets = False
        await w.submit({"id": "b", "overrides": sleeping(5), **distinct})
        assert (await w.until("b", timeout_s=60)).state is JobState.SUCCEEDED

    fleet = (InstanceGroup(count=1, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, faults=Forgetful)


def test_what_runs_is_looked_at_once_before_others_may_run_beside_it(world: Run) -> None:
    """Three hundred tasks run when the scheduler is killed, and ECS takes ten seconds to describe a
    hundred. After twenty all were asked for, from both ends, and a job that must be alone starts.
    """

    class Slow:
        seconds: ClassVar[float] = 0

        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"DescribeTasks"):
                await asyncio.sleep(Slow.seconds)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        small = {"name": "main", "command": ["sleep", "600"], "cpu": 32, "memory": 32}
        overrides = {"containerOverrides": [small]}
        await w.submit(*({"id": f"j{i}", "overrides": overrides} for i in range(300)))
        for i in range(300):
            await w.until(f"j{i}", JobState.RUNNING)
        await w.kill()
        Slow.seconds = 10
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.submit({"id": "alone", "overrides": overrides, **distinct})
        async with w.another_service():
            await w.until_ready()
            await w.until("alone", JobState.STARTING, timeout_s=24)

    world(story, fleet=MIXED, faults=Slow)


def test_distinct_instance_holds_for_a_launch_that_was_not_answered(world: Run) -> None:
    """Two tasks were started by the call in which the first scheduler was killed; the second asks
    what became of it before it starts a third, though it looks at tasks once a minute only.
    """

    async def story(w: Any) -> None:
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.submit(*({"id": f"j{i}", "overrides": sleeping(90), **distinct} for i in range(3)))
        await asyncio.sleep(3)
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(60)
            assert len(w.sim.tasks()) == 2
            assert (await w.until("j2")).state is JobState.SUCCEEDED

    fleet = (InstanceGroup(count=2, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, faults=mute(), track_interval_s=60)


def test_a_task_that_ended_under_another_scheduler_keeps_no_group_away(world: Run) -> None:
    """The first is cut off from Redis while the task runs, and leads again when it has ended and
    the second scheduler has stopped.
    """

    async def story(w: Any) -> None:
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        await w.until_ready()
        first = w.service
        w.connect_anew()
        async with w.another_service() as second:
            await w.submit({"id": "a", "overrides": sleeping(20), **distinct})
            await w.until("a", JobState.RUNNING)
            w.redis.cut = True
            await asyncio.sleep(10)
            assert second.status().leading
            w.redis.cut = False
            await w.until("a")
        await asyncio.sleep(5)
        assert first.status().leading
        await w.submit({"id": "b", "overrides": sleeping(5), **distinct})
        assert (await w.until("b", timeout_s=60)).state is JobState.SUCCEEDED

    world(story, fleet=(InstanceGroup(count=1, instance_type="m5.xlarge"),))


def test_a_broken_expression_fails_its_job(world: Run) -> None:
    """With the column and what was expected there."""

    async def story(w: Any) -> None:
        broken = [{"type": "memberOf", "expression": "attribute:disk = fast"}]
        await w.submit({"id": "a", "placement_constraints": broken})
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.FAILED, 0)
        assert "column" in record.reason

    world(story, fleet=MIXED)


def test_tasks_are_drawn_to_a_group_and_kept_away_from_it(world: Run) -> None:
    """Readers go where the cache is, though it came earlier; the loud one goes anywhere else."""

    async def story(w: Any) -> None:
        near = [{"type": "memberOf", "expression": "task:group == cache"}]
        away = [{"type": "memberOf", "expression": "not(task:group == cache)"}]
        cache = {"group": "cache", "overrides": sleeping(120)}
        distinct = [{"type": "distinctInstance"}]
        await w.submit({"id": "cache", **cache, "placement_constraints": distinct})
        home = (await w.until("cache", JobState.RUNNING)).instance_arn
        await w.submit(
            *({"id": f"r{i}", "group": "r", "placement_constraints": near} for i in range(2)),
            {"id": "loud", "placement_constraints": away, "overrides": sleeping(30)},
        )
        assert (await w.until("loud", JobState.RUNNING)).instance_arn != home
        for i in range(2):
            await w.until(f"r{i}")
        places = {t.group: t.instance_arn for t in w.sim.tasks() if t.group == "r"}
        assert places == {"r": home}

    world(story, fleet=MIXED)


def test_a_platform_is_matched_by_the_instance_s_architecture(world: Run) -> None:
    """The task definition is for ARM64; of three instances one is."""

    async def story(w: Any) -> None:
        definition = {
            "family": "arm",
            "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            "containerDefinitions": [{"name": "main", "image": "busybox", "cpu": 8, "memory": 64}],
        }
        w.sim.call("RegisterTaskDefinition", definition)
        await w.submit({"id": "a", "task_definition": "arm"})
        await w.until("a", JobState.RUNNING, timeout_s=60)
        (task,) = w.sim.tasks()
        described = w.sim.call(
            "DescribeContainerInstances", {"containerInstances": [task.instance_arn]}
        )
        (instance,) = described["containerInstances"]
        found = {each["name"]: each.get("value") for each in instance["attributes"]}
        assert found["ecs.cpu-architecture"] == "arm64"

    arm = InstanceGroup(count=1, instance_type="m6g.xlarge")
    world(story, fleet=(*MIXED, arm))
