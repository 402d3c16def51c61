"""Suspending and reordering under a running service."""

import asyncio
from collections.abc import Callable
from typing import Any

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)
WIDE = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "60"]}]}


def test_suspended_jobs_let_others_pass(world: Run) -> None:
    """The head of the queue is suspended in the scheduler's own window; the next one runs."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": each, "overrides": WIDE} for each in "abc"))
        await w.until("a", JobState.RUNNING)
        await w.queue.steering.suspend([JobId("b")])
        await w.until("c")
        assert (await w.queue.job(JobId("b"))).state is JobState.RUNNABLE
        assert (await w.queue.job(JobId("b"))).launches == 0
        await w.queue.steering.resume([JobId("b")])
        assert (await w.until("b")).state is JobState.SUCCEEDED

    world(story, fleet=ONE)


def test_a_suspended_queue_starts_nothing_and_then_everything(world: Run) -> None:
    """What runs goes on; what was in the window comes back to it."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": WIDE}, {"id": "b", "overrides": WIDE})
        await w.until("a", JobState.RUNNING)
        await w.queue.steering.pause("upgrade")
        await w.submit({"id": "c"})
        await w.until("a")
        await asyncio.sleep(60)
        assert len(w.sim.tasks()) == 1
        assert w.service.status().held == 0
        await w.queue.steering.unpause()
        await w.until("b")
        await w.until("c")

    world(story, fleet=ONE)


def test_a_new_priority_changes_who_is_next(world: Run) -> None:
    """Both wait in the window; the later one is launched first."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": each, "overrides": WIDE} for each in "abc"))
        await w.until("a", JobState.RUNNING)
        await w.queue.steering.reprioritise([JobId("c")], 500)
        b, c = await w.until("b"), await w.until("c")
        assert c.starting_at_ms < b.starting_at_ms

    world(story, fleet=ONE)
