"""How jobs end: failures, retries, cancellations, and what is not their fault."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ecs_queue.client import Queue
from ecs_queue.errors import QueueUnreachable
from ecs_queue.job import JobId
from ecs_queue.states import JobState, Sighting
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Lifecycle, Options

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def test_a_failing_task_fails_its_job_with_the_exit_code(world: Run) -> None:
    """Exit 3, once, since one attempt is the default."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("exit", "3")})
        record = await w.until("a")
        assert (record.state, record.exit_code, record.launches) == (JobState.FAILED, 3, 1)
        assert "exited with 3" in record.reason

    world(story)


def test_one_end_that_cannot_be_written_down_keeps_no_other_from_it(world: Run) -> None:
    """Somebody damaged one record; ends are written down together, and the others still are."""

    async def story(w: Any) -> None:
        names = [f"job-{i}" for i in range(5)]
        await w.submit(*({"id": name, "overrides": command("sleep", "30")} for name in names))
        for name in names:
            await w.until(name, JobState.RUNNING)
        await w.redis.hset("{q:default}:job:job-0", "f", "damaged")
        for name in names[1:]:
            assert (await w.until(name, timeout_s=300)).state is JobState.SUCCEEDED
        await w.redis.hset("{q:default}:job:job-0", "f", "0")
        assert (await w.until("job-0")).state is JobState.SUCCEEDED

    world(story)


def test_attempts_are_what_the_job_asked_for(world: Run) -> None:
    """Three attempts, three tasks, three entries in its history, and not a fourth."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("false"), "retry": {"attempts": 3}})
        record = await w.until("a")
        assert (record.state, record.launches, len(record.attempts)) == (JobState.FAILED, 3, 3)
        assert len(w.sim.tasks()) == 3

    world(story)


def test_a_waiting_job_is_cancelled_at_once(world: Run) -> None:
    """It was in the scheduler's window; it is never launched."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "30"]}]}
        await w.submit({"id": "a", "overrides": wide}, {"id": "b", "overrides": wide})
        await w.until("a", JobState.RUNNING)
        await w.queue.cancel([JobId("b")], "changed my mind")
        record = await w.until("b")
        assert (record.state, record.reason) == (JobState.CANCELLED, "changed my mind")
        await w.until("a")
        await asyncio.sleep(30)
        assert len(w.sim.tasks()) == 1
        assert w.service.status().held == 0

    world(story, fleet=ONE)


def test_a_running_job_is_stopped_and_then_cancelled(world: Run) -> None:
    """StopTask, and CANCELLED only when the task has ended."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "9999")})
        await w.until("a", JobState.RUNNING)
        await w.queue.cancel([JobId("a")], "enough")
        record = await w.until("a")
        assert (record.state, record.reason) == (JobState.CANCELLED, "enough")
        [task] = w.sim.tasks()
        assert (task.last_status, task.stop_code) == ("STOPPED", "UserInitiated")

    world(story)


def test_room_that_somebody_else_took_is_not_a_failure(world: Run) -> None:
    """A foreign task fills the instance behind our back: refused, looked at again, run later."""

    async def story(w: Any) -> None:
        await w.until_ready()
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "40"]}]}
        arn = w.sim.call("ListContainerInstances", {"cluster": "default"})["containerInstanceArns"]
        w.sim.call(
            "StartTask",
            {
                "cluster": "default",
                "taskDefinition": "batch",
                "containerInstances": arn,
                "overrides": wide,
            },
        )
        await w.submit({"id": "a", "overrides": command("sleep", "1"), "retry": {"attempts": 1}})
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)

    world(story, fleet=ONE)


def test_an_instance_with_a_silent_agent_gets_nothing(world: Run) -> None:
    """The only instance is disconnected; the job waits, says so, and runs when it is back."""

    async def story(w: Any) -> None:
        [arn] = w.sim.call("ListContainerInstances", {"cluster": "default"})[
            "containerInstanceArns"
        ]
        w.sim.set_agent_connected("default", arn, False)
        await asyncio.sleep(20)
        await w.submit({"id": "a"})
        waiting = await w.until_noted("a")
        assert "1 with a disconnected agent" in waiting.reason
        w.sim.set_agent_connected("default", arn, True)
        assert (await w.until("a")).state is JobState.SUCCEEDED

    world(story, fleet=ONE)


def test_a_draining_instance_gets_nothing(world: Run) -> None:
    """ECS does not promise to refuse; we never ask."""

    async def story(w: Any) -> None:
        arns = w.sim.call("ListContainerInstances", {"cluster": "default"})["containerInstanceArns"]
        w.sim.call(
            "UpdateContainerInstancesState",
            {"cluster": "default", "containerInstances": arns[:2], "status": "DRAINING"},
        )
        await w.submit(*({"id": f"j{i}"} for i in range(4)))
        for i in range(4):
            await w.until(f"j{i}")
        assert {task.instance_arn for task in w.sim.tasks()} == {arns[2]}

    world(story)


def test_without_room_a_job_falls_back_to_run_task(world: Run) -> None:
    """After its 30 s on a full cluster it runs on Fargate, under a client token."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "500"]}]}
        await w.submit({"id": "a", "overrides": wide})
        await w.until("a", JobState.RUNNING)
        w.sim.call("RegisterTaskDefinition", FARGATE)
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        fallback = {"after_s": 30, "launch_type": "FARGATE"}
        await w.submit(
            {
                "id": "b",
                "task_definition": "serverless",
                "fallback": fallback,
                "network_configuration": network,
            }
        )
        record = await w.until("b")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert record.starting_at_ms - record.submitted_at_ms >= 30_000
        assert w.sim.statistics.calls["RunTask"] == 1

    world(story, fleet=ONE)


FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "4096",
    "memory": "8192",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "5"]}],
}


def test_a_task_that_takes_its_time_is_asked_to_stop_once(world: Run) -> None:
    """Twenty seconds from SIGTERM to the end and many looks, but one call of the budget."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "9999")})
        await w.until("a", JobState.RUNNING)
        await w.queue.cancel([JobId("a")])
        assert (await w.until("a")).state is JobState.CANCELLED
        assert w.sim.statistics.calls["StopTask"] == 1

    slow = Options(agent_capabilities=FEW_CAPABILITIES, lifecycle=Lifecycle(sigterm_s=20.0))
    world(story, options=slow, fleet=ONE)


class ForgetfulQueue(Queue):
    """Its first word of running tasks does not get through."""

    failed = False

    async def running(self, sightings: Sequence[Sighting]) -> None:
        if not self.failed:
            self.failed = True
            raise QueueUnreachable("the connection was cut")
        await super().running(sightings)


def test_news_that_redis_did_not_take_is_told_again(world: Run) -> None:
    """A job becomes RUNNING although the first word of it was lost."""

    async def story(w: Any) -> None:
        await w.kill()
        w.queue = ForgetfulQueue(w.redis, now_ms=lambda: round(w.clock.now() * 1000))
        async with w.another_service():
            await w.submit({"id": "a", "overrides": command("sleep", "300")})
            await w.until("a", JobState.RUNNING, timeout_s=60)
            assert w.queue.failed

    world(story)
