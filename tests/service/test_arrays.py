"""Arrays, run by the whole service."""

import asyncio
from collections.abc import Callable
from typing import Any

from ecs_queue.job import JobId
from ecs_queue.states import JobState

Run = Callable[..., None]


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def indexes(w: Any) -> list[int]:
    """What the environment of every task says, in the order of their starts."""
    found = []
    for task in sorted(w.sim.tasks(), key=lambda task: task.created_at):
        (described,) = w.sim.call("DescribeTasks", {"tasks": [task.arn]})["tasks"]
        (container,) = described["overrides"]["containerOverrides"]
        environment = {each["name"]: each["value"] for each in container["environment"]}
        assert environment["AWS_BATCH_JOB_ARRAY_INDEX"] == environment["ECS_SCHEDULER_ARRAY_INDEX"]
        found.append(int(environment["AWS_BATCH_JOB_ARRAY_INDEX"]))
    return found


def test_every_child_runs_once(world: Run) -> None:
    """More children than fit at once; each has its own index."""

    async def story(w: Any) -> None:
        await w.submit({"id": "p", "array_size": 40, "overrides": command("sleep", "5")})
        record = await w.until("p", timeout_s=3600)
        assert record.state is JobState.SUCCEEDED
        assert record.array.succeeded == 40
        assert sorted(indexes(w)) == list(range(40))

    world(story)


def test_failed_children_are_retried_and_then_fail_the_array(world: Run) -> None:
    """Two attempts each, and the rest of the array runs on."""

    async def story(w: Any) -> None:
        retry = {"attempts": 2}
        await w.submit({"id": "p", "array_size": 3, "overrides": command("false"), "retry": retry})
        record = await w.until("p", timeout_s=3600)
        assert (record.state, record.array.failed) == (JobState.FAILED, 3)
        assert record.reason.startswith("3 of 3 children FAILED; the first: p:")
        assert sorted(indexes(w)) == [0, 0, 1, 1, 2, 2]

    world(story)


def test_a_cancelled_array_stops_its_tasks(world: Run) -> None:
    """Running children are stopped, the others never start."""

    async def story(w: Any) -> None:
        await w.submit({"id": "p", "array_size": 1000, "overrides": command("sleep", "3000")})
        await w.until("p:0", JobState.RUNNING)
        await w.queue.cancel([JobId("p")], "enough")
        record = await w.until("p", timeout_s=3600)
        assert (record.state, record.reason) == (JobState.CANCELLED, "enough")
        await asyncio.sleep(30)
        assert len(w.sim.tasks()) < 30
        assert all(task.last_status == "STOPPED" for task in w.sim.tasks())

    world(story)


def test_an_array_is_suspended_in_the_middle_and_resumed(world: Run) -> None:
    """Children under way end; no other starts until then, and in the end each has run once."""

    async def story(w: Any) -> None:
        await w.submit({"id": "p", "array_size": 40, "overrides": command("sleep", "20")})
        await w.until("p:0", JobState.RUNNING)
        await w.queue.steering.suspend([JobId("p")])
        await asyncio.sleep(120)
        started = len(w.sim.tasks())
        assert 0 < started < 40
        record = await w.queue.job(JobId("p"))
        assert (record.state.terminal, record.array.succeeded) == (False, started)
        await asyncio.sleep(120)
        assert len(w.sim.tasks()) == started
        await w.queue.steering.resume([JobId("p")])
        record = await w.until("p", timeout_s=3600)
        assert (record.state, record.array.succeeded) == (JobState.SUCCEEDED, 40)
        assert sorted(indexes(w)) == list(range(40))

    world(story)
