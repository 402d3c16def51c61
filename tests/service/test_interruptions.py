"""Instances that go away, with notice or without: their jobs run elsewhere, on nobody's bill."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobRecord, JobState
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options
from ecs_simulator.options import Lifecycle

Run = Callable[..., None]
SPOT = (InstanceGroup(count=2, instance_type="m5.xlarge", spot=True),)
SLOW = {"pass_interval_s": 0.5}
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
PATIENT = {
    "family": "patient",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 1024, "memory": 1024, "stopTimeout": 90}
    ],
}


def sleeping(job_id: str, seconds: int, **more: Any) -> dict[str, Any]:
    command = ["sleep", str(seconds)]
    overrides = {"containerOverrides": [{"name": "main", "command": command}]}
    return {"id": job_id, "overrides": overrides, **more}


async def running_on(w: Any, job_id: str) -> str:
    """The instance on which a job's task is seen RUNNING."""
    record = await w.until(job_id, JobState.RUNNING)
    return str(record.instance_arn)


async def until_heard(w: Any, kind: str) -> None:
    """Wait for the first event of a kind; nothing can be done about it before we know."""
    async with asyncio.timeout(5):
        while True:
            if any(each == kind for each, _ in w.service.status().events):
                return
            await asyncio.sleep(0.01)


def drain(w: Any, arn: str) -> None:
    w.sim.call(
        "UpdateContainerInstancesState",
        {"cluster": "default", "containerInstances": [arn], "status": "DRAINING"},
    )


def moved_once(record: JobRecord) -> None:
    """Two launches, the first of them on the infrastructure's bill."""
    assert (record.state, record.launches) == (JobState.SUCCEEDED, 2)
    assert (record.failures, record.infrastructure_failures) == (0, 1)
    first, second = record.attempts
    assert first.instance_arn != second.instance_arn


def test_a_spot_notice_moves_the_job_before_the_instance_is_gone(world: Run) -> None:
    """Stopped within two seconds of the notice, running elsewhere within fifteen, though the
    instance is ACTIVE for two minutes more; and nothing else goes there.
    """

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.submit(sleeping("a", 25))
        there = await running_on(w, "a")
        noticed_at = w.clock.now()
        w.sim.interrupt_spot("default", there)
        await w.until("a", JobState.RUNNABLE, JobState.STARTING)
        elsewhere = await running_on(w, "a")
        assert w.clock.now() - noticed_at < 15
        assert elsewhere != there
        await w.submit(*(sleeping(f"b{n}", 5) for n in range(6)))
        used = {(await w.until(f"b{n}")).instance_arn for n in range(6)}
        assert used == {elsewhere}
        moved_once(await w.until("a"))
        first = min(w.sim.tasks(), key=lambda task: task.created_at)
        assert first.stop_code == "UserInitiated"

    world(story, fleet=SPOT, **SLOW, events_queue_url=URL)


def test_a_spot_notice_outlives_the_leader_that_heard_it(world: Run) -> None:
    """It dies before it could stop anything. Its successor hears the notice too and stops the task
    while there is time for SIGTERM; nobody else tells it, since the agent does not drain.
    """

    async def story(w: Any) -> None:
        events = w.sim.send_events_to("events")
        await w.submit(sleeping("a", 200))
        there = await running_on(w, "a")
        noticed_at = w.clock.now()
        w.sim.interrupt_spot("default", there)
        await until_heard(w, "spot")
        assert w.clock.now() - noticed_at < 1
        await w.kill()
        async with w.another_service():
            moved_once(await w.until("a"))
            first = min(w.sim.tasks(), key=lambda task: task.created_at)
            assert first.stop_code == "UserInitiated"
            assert first.stopped_at - noticed_at < 60
            assert events.counts(w.clock.now()) == (0, 0)

    world(story, fleet=SPOT, **SLOW, events_queue_url=URL)


@pytest.mark.slow
def test_a_task_has_its_time_to_write_a_checkpoint(world: Run) -> None:
    """It takes 30 s from SIGTERM to its end, of the 90 s that its stopTimeout allows: it gets them,
    within the two minutes. Its job starts again only afterwards.
    """

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        w.sim.call("RegisterTaskDefinition", PATIENT)
        await w.submit(sleeping("a", 60, task_definition="patient"))
        w.sim.interrupt_spot("default", await running_on(w, "a"))
        noticed_at = w.clock.now()
        moved_once(await w.until("a"))
        first, second = sorted(w.sim.tasks(), key=lambda task: task.created_at)
        assert 30 <= first.stopped_at - noticed_at < 40
        assert first.stopped_at <= second.created_at < first.stopped_at + 5

    options = Options(agent_capabilities=FEW_CAPABILITIES, lifecycle=Lifecycle(sigterm_s=30.0))
    world(story, fleet=SPOT, options=options, **SLOW, events_queue_url=URL)


@pytest.mark.slow
def test_draining_lets_tasks_end_unless_told_otherwise(world: Run) -> None:
    """As ECS does with tasks of no service."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 20))
        drain(w, await running_on(w, "a"))
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)

    world(story, **SLOW)


def test_draining_moves_jobs_after_the_time_that_was_set(world: Run) -> None:
    """Twelve seconds: what ends sooner ends there, what does not is moved."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("short", 8), sleeping("long", 50))
        there = await running_on(w, "long")
        assert await running_on(w, "short") == there
        drain(w, there)
        drained_at = w.clock.now()
        assert (await w.until("short")).launches == 1
        moved_once(await w.until("long"))
        first = min(w.sim.tasks(), key=lambda task: (task.created_at, task.stopped_at))
        stopped = [task for task in w.sim.tasks() if task.stop_code == "UserInitiated"]
        assert len(stopped) == 1
        assert 12 <= stopped[0].stopped_at - drained_at < 20
        assert first.stop_code != "UserInitiated"

    world(story, **SLOW, requeue_draining_after_s=12, sweep_interval_s=2.0)


def test_an_instance_that_vanishes_is_handled_the_same(world: Run) -> None:
    """No notice at all: ECS sees it 20 s later, and the job starts elsewhere within seconds."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 40))
        there = await running_on(w, "a")
        w.sim.kill_instance("default", there, noticed_after_s=20.0)
        moved_once(await w.until("a"))
        first, second = sorted(w.sim.tasks(), key=lambda task: task.created_at)
        assert first.stop_code == "TerminationNotice"
        assert second.created_at - first.stopped_at < 5

    world(story, **SLOW)


def test_an_interrupted_job_that_was_cancelled_is_not_run_again(world: Run) -> None:
    """The interruption came first, the cancellation while the task was stopping."""

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.submit(sleeping("a", 100))
        w.sim.interrupt_spot("default", await running_on(w, "a"))
        await asyncio.sleep(3)
        await w.queue.cancel(["a"], "not needed")
        assert (await w.until("a")).state is JobState.CANCELLED
        assert len(w.sim.tasks()) == 1

    options = Options(agent_capabilities=FEW_CAPABILITIES, lifecycle=Lifecycle(sigterm_s=20.0))
    world(story, fleet=SPOT, options=options, **SLOW, events_queue_url=URL)
