"""Payloads end to end in virtual time: launched together, each bound to its own task."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from ecs_queue.assignment import Assignment, NotYet, Over, ask, signing_key, token_of
from ecs_queue.job import JobId
from ecs_queue.states import JobState, TaskArn
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
URL = "http://scheduler:8081"
FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "4096",
    "memory": "8192",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "30"]}],
}
SLEEPS = {"containerOverrides": [{"name": "main", "command": ["sleep", "30"]}]}


def tasks(w: Any) -> list[dict[str, Any]]:
    """The tasks as DescribeTasks shows them, oldest first."""
    arns = [task.arn for task in w.sim.tasks()]
    found: list[dict[str, Any]] = (
        w.sim.call("DescribeTasks", {"tasks": arns})["tasks"] if arns else []
    )
    return found


def told(task: dict[str, Any]) -> dict[str, str]:
    """The environment that the launch gave to the task's container."""
    (container,) = task["overrides"]["containerOverrides"]
    return {each["name"]: each["value"] for each in container.get("environment", ())}


async def as_task(w: Any, task: dict[str, Any]) -> Any:
    """What the task is answered by the secret that it was launched with."""
    key = await w.queue.run(signing_key())
    token = token_of(told(task)["ECS_SCHEDULER_LAUNCH_SECRET"], key)
    assert token == task["startedBy"]
    return await w.queue.run(ask("look", TaskArn(task["taskArn"]), token))


def test_jobs_that_differ_in_their_payload_alone_share_calls(world: Run) -> None:
    """40 jobs on 10 instances of 4 vCPUs: 4 calls, and each task gets exactly its own payload."""

    async def story(w: Any) -> None:
        jobs = ({"id": f"j{i}", "payload": {"i": i}, "overrides": SLEEPS} for i in range(40))
        await w.submit(*jobs)
        for i in range(40):
            await w.until(f"j{i}", JobState.RUNNING)
        assert w.sim.statistics.calls["StartTask"] == 4
        by_job = {}
        for task in tasks(w):
            assert told(task)["ECS_SCHEDULER_WORKER_URL"] == URL
            found = await as_task(w, task)
            by_job[found.job_id] = json.loads(found.payload)
            assert (await w.queue.job(JobId(found.job_id))).task_arn == task["taskArn"]
        assert by_job == {f"j{i}": {"i": i} for i in range(40)}
        secrets = Counter(told(task)["ECS_SCHEDULER_LAUNCH_SECRET"] for task in tasks(w))
        assert sorted(secrets.values()) == [10, 10, 10, 10]

    world(story, fleet=(InstanceGroup(count=10, instance_type="m5.xlarge"),), worker_url=URL)


def test_a_retried_attempt_is_given_the_payload_again(world: Run) -> None:
    """Under a new secret; the first attempt's secret opens nothing any more."""

    async def story(w: Any) -> None:
        fails = {"containerOverrides": [{"name": "main", "command": ["exit", "1"]}]}
        retry = {"attempts": 2, "backoff_s": 0}
        await w.submit({"id": "a", "payload": "x", "overrides": fails, "retry": retry})
        answers: list[Any] = []
        while not (await w.queue.job(JobId("a"))).state.terminal:
            answers += [await as_task(w, task) for task in tasks(w)]
            await asyncio.sleep(0.1)
        seen = [each for each in dict.fromkeys(answers) if each != NotYet()]
        assert seen[:3] == [
            Assignment("a", 1, None, b'"x"'),
            Over("RUNNABLE"),
            Assignment("a", 2, None, b'"x"'),
        ]
        first, second = tasks(w)
        assert told(first) != told(second)

    world(story, worker_url=URL)


def test_run_task_gives_it_as_well(world: Run) -> None:
    """The fallback's tasks are told of the service and get their own payloads."""

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", FARGATE)
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        fallback = {"after_s": 0, "launch_type": "FARGATE"}
        common = {
            "task_definition": "serverless",
            "network_configuration": network,
            "fallback": fallback,
        }
        await w.submit(*({"id": f"j{i}", "payload": i, **common} for i in range(3)))
        for i in range(3):
            await w.until(f"j{i}", JobState.RUNNING)
        found = [await as_task(w, task) for task in tasks(w)]
        assert {each.job_id: each.payload for each in found} == {"j0": b"0", "j1": b"1", "j2": b"2"}
        assert w.sim.statistics.calls["RunTask"] == 1

    world(story, worker_url=URL, fleet=())


def test_without_a_worker_url_tasks_are_told_nothing(world: Run) -> None:
    """What a job asks for is what ECS gets; whoever reaches Redis finds the payload there."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "payload": 5, "overrides": SLEEPS})
        record = await w.until("a", JobState.RUNNING)
        (task,) = tasks(w)
        assert told(task) == {}
        assert await w.queue.run(ask("look", record.task_arn, None)) == Assignment(
            "a", 1, None, b"5"
        )
        unknown = ask("look", TaskArn("arn:of/nobody"), None)
        assert await w.queue.run(unknown) == NotYet()

    world(story)


def test_overrides_that_leave_no_room_are_launched_as_they_are(world: Run) -> None:
    """ECS takes 8192 characters; the job runs, and its task is told nothing of the service."""

    async def story(w: Any) -> None:
        long = {"containerOverrides": [{"name": "main", "command": ["sleep", "5", "x" * 8000]}]}
        await w.submit({"id": "a", "payload": 5, "overrides": long})
        record = await w.until("a", JobState.RUNNING)
        (task,) = tasks(w)
        assert told(task) == {}
        found = await w.queue.run(ask("look", record.task_arn, None))
        assert found == Assignment("a", 1, None, b"5")

    world(story, worker_url=URL)


def test_a_secret_that_cannot_be_made_makes_no_launch(world: Run) -> None:
    """The key is no string any more: the job goes back to the queue, and starts when it is."""

    async def story(w: Any) -> None:
        key = "{q:default}:signing_key"
        await w.redis.lpush(key, "garbage")
        await w.submit({"id": "a", "overrides": SLEEPS})
        record = await w.until("a", JobState.RUNNABLE)
        while not record.reason.startswith("Redis"):
            await asyncio.sleep(0.2)
            record = await w.queue.job(JobId("a"))
        assert tasks(w) == []
        await w.redis.delete(key)
        await w.until("a", JobState.RUNNING)
        (task,) = tasks(w)
        assert "ECS_SCHEDULER_LAUNCH_SECRET" in told(task)

    world(story, worker_url=URL)
