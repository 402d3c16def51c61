"""What jobs need is deregistered meanwhile: their task definition, or the instance they run on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def sleeping(job_id: str, seconds: int, cpu: int = 1024, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "cpu": cpu, "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [container]}, **more}


async def new_revision_while_jobs_wait(w: Any, *jobs: dict[str, Any]) -> None:
    """The instance is full; what waits was looked up as revision 1, which is then replaced, as
    deployments do: the next one registered, this one deregistered.
    """
    await w.submit(sleeping("full", 30, cpu=4096))
    await w.until("full", JobState.RUNNING)
    await w.submit(*jobs)
    await w.until_noted(jobs[0]["id"])
    w.register("batch", cpu=512)
    w.sim.call("DeregisterTaskDefinition", {"taskDefinition": "batch:1"})


def test_jobs_of_a_family_run_as_its_next_revision(world: Run) -> None:
    """Forty jobs wait as batch:1. One refusal is enough to look all of them up again."""

    async def story(w: Any) -> None:
        jobs = [sleeping(f"j{n}", 2) for n in range(40)]
        await new_revision_while_jobs_wait(w, *jobs)
        for each in jobs:
            record = await w.until(each["id"])
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        tasks = w.sim.call("DescribeTasks", {"tasks": [record.task_arn]})["tasks"]
        assert tasks[0]["taskDefinitionArn"].endswith("/batch:2")
        assert w.sim.statistics.calls["StartTask"] < 50

    world(story, fleet=ONE)


@pytest.mark.parametrize("named", ["batch:1", "arn"])
def test_a_job_that_names_the_revision_fails_and_says_what_to_do(world: Run, named: str) -> None:
    """No other one will do, and nobody tries for ever."""

    async def story(w: Any) -> None:
        answer = w.sim.call("DescribeTaskDefinition", {"taskDefinition": "batch:1"})
        name = answer["taskDefinition"]["taskDefinitionArn"] if named == "arn" else named
        await new_revision_while_jobs_wait(w, sleeping("a", 2, task_definition=name))
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.FAILED, 0)
        assert "is INACTIVE; register a new revision" in record.reason

    world(story, fleet=ONE)


def test_a_job_whose_instance_is_deregistered_runs_elsewhere(world: Run) -> None:
    """By force, with its task on it: ECS counts the task as stopped, and so do we."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 40))
        there = (await w.until("a", JobState.RUNNING)).instance_arn
        w.sim.call(
            "DeregisterContainerInstance",
            {"cluster": "default", "containerInstance": there, "force": True},
        )
        await asyncio.sleep(1)
        record = await w.until("a")
        assert (record.state, record.launches, record.failures) == (JobState.SUCCEEDED, 2, 0)
        assert record.instance_arn != there
        assert w.service.status().instances == 2

    world(story)
