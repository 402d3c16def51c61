"""Resources that users define, end to end: ECS counts none of them, so we must."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

from botocore.exceptions import ConnectionClosedError
from tests.service.transports import answered, mute

from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]

LICENSED = (
    InstanceGroup(count=1, instance_type="m5.xlarge"),
    InstanceGroup(
        count=1, instance_type="m5.xlarge", attributes={"ecs-scheduler.resource.licence": "2"}
    ),
)
ONE_EACH = (
    InstanceGroup(
        count=2, instance_type="m5.xlarge", attributes={"ecs-scheduler.resource.licence": "1"}
    ),
)
FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "8192",
    "memory": "16384",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "600"]}],
}
NETWORK = {"network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}}


def job(name: str, seconds: int = 30, **members: Any) -> dict[str, Any]:
    sleep = {"name": "main", "command": ["sleep", str(seconds)], "cpu": 64, "memory": 64}
    return {"id": name, "overrides": {"containerOverrides": [sleep]}, **members}


def running(w: Any) -> int:
    """Tasks that ECS has not stopped."""
    return sum(task.last_status != "STOPPED" for task in w.sim.tasks())


async def at_most(w: Any, most: int, seconds: int) -> int:
    """Look every second; the most tasks that were seen."""
    seen = 0
    for _ in range(seconds):
        await asyncio.sleep(1)
        seen = max(seen, running(w))
        assert seen <= most
    return seen


def test_no_more_jobs_run_than_there_are_licences(world: Run) -> None:
    """Two licences, five jobs of one each and one that needs three: two at a time, on the instance
    that declares them; the large one is told why it never runs.
    """

    async def story(w: Any) -> None:
        await w.submit(*(job(f"j{n}", resources={"licence": 1}) for n in range(5)))
        await w.submit(job("large", resources={"licence": 3}))
        assert await at_most(w, 2, 60) == 2
        for n in range(5):
            assert (await w.until(f"j{n}")).state is JobState.SUCCEEDED
        assert len({task.instance_arn for task in w.sim.tasks()}) == 1
        large = await w.queue.job("large")
        assert large.reason == "needs 3 licence; the largest registered instance has 2"

    world(story, fleet=LICENSED, pass_interval_s=1)


def test_a_task_definition_can_ask_by_label_and_a_job_can_say_otherwise(world: Run) -> None:
    """Each of these needs two by its label; the last says that it needs none."""

    async def story(w: Any) -> None:
        w.register("solver", dockerLabels={"ecs-scheduler.resource.licence": "2"})
        solver = {"task_definition": "solver"}
        await w.submit(job("a", 60, **solver), job("b", 60, **solver))
        await w.submit(job("free", 60, resources={"licence": 0}, **solver))
        await w.until("a", JobState.RUNNING)
        await w.until("free", JobState.RUNNING)
        assert "short of licence" in (await w.until_noted("b")).reason
        assert await at_most(w, 2, 20) == 2

    world(story, fleet=LICENSED, pass_interval_s=1)


def test_a_scheduler_that_takes_over_counts_what_runs_already(world: Run) -> None:
    """The first is killed while both licences are in use; the second gives out none of them."""

    async def story(w: Any) -> None:
        await w.submit(*(job(f"j{n}", 90, resources={"licence": 1}) for n in range(4)))
        await w.until("j1", JobState.RUNNING)
        await w.kill()
        async with w.another_service():
            assert await at_most(w, 2, 60) == 2
            for n in range(4):
                assert (await w.until(f"j{n}")).state is JobState.SUCCEEDED

    world(story, fleet=LICENSED, pass_interval_s=1)


def test_a_scheduler_that_takes_over_counts_what_may_run(world: Run) -> None:
    """The first is killed before ECS answers the call that starts two tasks. The second gives no
    licence out before it knows what became of that call.
    """

    async def story(w: Any) -> None:
        await w.submit(*(job(f"j{n}", 90, resources={"licence": 1}) for n in range(3)))
        await asyncio.sleep(3)
        assert running(w) == 2
        await w.kill()
        async with w.another_service():
            assert await at_most(w, 2, 60) == 2
            for n in range(3):
                assert (await w.until(f"j{n}")).launches == 1

    world(story, fleet=ONE_EACH, faults=mute())


def test_a_launch_whose_end_cannot_be_written_holds_nothing_for_ever(world: Run) -> None:
    """The first scheduler is killed before ECS answers; the task ends, and what the queue knows of
    its job is damaged. The second gives licences out once it is certain that nothing runs.
    """

    async def story(w: Any) -> None:
        await w.submit(job("bad", 10, resources={"licence": 1}))
        await asyncio.sleep(3)
        assert running(w) == 1
        await w.kill()
        await w.redis.hset("{q:default}:job:bad", "n", "damaged")
        async with w.another_service():
            await w.submit(job("late", resources={"licence": 1}))
            assert (await w.until("late", timeout_s=150)).state is JobState.SUCCEEDED

    world(story, fleet=ONE_EACH, faults=mute())


def test_a_deregistered_revision_holds_what_it_holds(world: Run) -> None:
    """Two tasks hold both licences when their revision is deregistered and the scheduler killed;
    the one that takes over gives out none.
    """

    async def story(w: Any) -> None:
        old: dict[str, Any] = {"task_definition": "old", "resources": {"licence": 1}}
        w.register("old")
        await w.submit(*(job(f"j{n}", 60, **old) for n in range(2)))
        await w.until("j1", JobState.RUNNING)
        w.register("old")
        w.sim.call("DeregisterTaskDefinition", {"taskDefinition": "old:1"})
        await w.kill()
        async with w.another_service():
            await w.submit(job("late", **old))
            assert await at_most(w, 2, 60) == 2
            assert (await w.until("late")).state is JobState.SUCCEEDED

    world(story, fleet=LICENSED)


def test_a_task_that_ends_while_it_is_looked_up_holds_no_licence(world: Run) -> None:
    """Its end comes as an event, to a scheduler that took over and waits for the task definition in
    order to learn what the task holds.
    """

    class Slow:
        waits: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            definition = request.headers["X-Amz-Target"].endswith(b"DescribeTaskDefinition")
            if definition and Slow.waits:
                Slow.waits = False
                await asyncio.sleep(30)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.submit(job("a", 15, resources={"licence": 1}))
        await w.until("a", JobState.RUNNING)
        await w.kill()
        Slow.waits = True
        async with w.another_service():
            await w.until("a", timeout_s=20)
            await asyncio.sleep(30)
            await w.submit(job("b", resources={"licence": 2}))
            assert (await w.until("b", timeout_s=90)).state is JobState.SUCCEEDED

    url = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
    world(story, fleet=LICENSED, faults=Slow, events_queue_url=url)


def test_a_task_on_no_instance_keeps_no_licence_back(world: Run) -> None:
    """It runs on Fargate when the scheduler is killed, for longer than the next one needs to give
    a licence out.
    """

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", FARGATE)
        fallback = {"after_s": 1, "launch_type": "FARGATE"}
        await w.submit(
            {"id": "out", "task_definition": "serverless", "fallback": fallback, **NETWORK}
        )
        await w.until("out", JobState.RUNNING)
        await w.kill()
        async with w.another_service():
            await w.submit(job("a", resources={"licence": 1}))
            assert (await w.until("a", timeout_s=120)).state is JobState.SUCCEEDED
            assert (await w.queue.job("out")).state is JobState.RUNNING

    world(story, fleet=LICENSED)


def test_a_damaged_record_of_a_task_that_ended_keeps_no_licence_back(world: Run) -> None:
    """Somebody wrote to the record of a job whose task fails after the scheduler was killed; the
    next one cannot write that down, and gives licences out to others.
    """

    async def story(w: Any) -> None:
        fails = {"name": "main", "command": ["exit", "1"], "cpu": 64, "memory": 64}
        await w.submit({"id": "bad", "overrides": {"containerOverrides": [fails]}})
        await w.until("bad", JobState.STARTING)
        await w.kill()
        await w.redis.hset("{q:default}:job:bad", "o", "damaged")
        async with w.another_service():
            await asyncio.sleep(60)
            await w.submit(job("a", resources={"licence": 1}))
            assert (await w.until("a", timeout_s=120)).state is JobState.SUCCEEDED

    world(story, fleet=LICENSED)


def test_a_licence_is_kept_for_a_task_that_ecs_does_not_show_yet(world: Run) -> None:
    """The answer to a call that started two tasks is lost, and at the first look ECS shows one of
    them only. The other's licence is not given to a job that waits.
    """

    class Partly:
        lost: ClassVar[bool] = False
        looked: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            answer = await super().send(request)  # type: ignore[misc]
            operation = request.headers["X-Amz-Target"].rpartition(b".")[2]
            if operation == b"StartTask" and not Partly.lost:
                Partly.lost = True
                raise ConnectionClosedError(endpoint_url=request.url)
            if operation == b"ListTasks" and b"startedBy" in request.body and not Partly.looked:
                Partly.looked = True
                shown = json.loads(await answer.content)["taskArns"][:1]
                return answered(request, 200, {"taskArns": shown})
            return answer

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(*(job(f"j{n}", 200, resources={"licence": 1}) for n in range(2)))
        await asyncio.sleep(5)
        await w.submit(job("late", resources={"licence": 1}))
        assert await at_most(w, 2, 60) == 2
        assert (await w.until("late")).state is JobState.SUCCEEDED

    world(story, fleet=ONE_EACH, faults=Partly)


def test_what_ended_under_another_scheduler_holds_nothing_any_more(world: Run) -> None:
    """The first is cut off from Redis while a licence is in use, and leads again when that task has
    ended and the second scheduler has stopped.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        first = w.service
        w.connect_anew()
        async with w.another_service() as second:
            await w.submit(job("a", resources={"licence": 1}))
            await w.until("a", JobState.RUNNING)
            w.redis.cut = True
            await asyncio.sleep(10)
            assert second.status().leading
            w.redis.cut = False
            await w.until("a")
        await asyncio.sleep(5)
        assert first.status().leading
        await w.submit(job("b", resources={"licence": 2}))
        assert (await w.until("b", timeout_s=60)).state is JobState.SUCCEEDED

    world(story, fleet=LICENSED)


def test_jobs_with_resources_never_go_to_the_fallback(world: Run) -> None:
    """RunTask would put it where nobody counts."""

    async def story(w: Any) -> None:
        fallback = {"after_s": 5, "launch_type": "EC2"}
        await w.submit(job("a", resources={"disk": 1}, fallback=fallback))
        await asyncio.sleep(30)
        assert (await w.queue.job("a")).state is JobState.RUNNABLE

    world(story, fleet=LICENSED, pass_interval_s=1)
