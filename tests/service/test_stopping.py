"""Stopping in time, and fallbacks that ECS refuses."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def hanging(*operations: str) -> type:
    """A transport on which these operations get no answer for a long time."""

    class Hanging:
        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].decode().rpartition(".")[2] in operations:
                await asyncio.sleep(3600)
            return await super().send(request)  # type: ignore[misc]

    return Hanging


@pytest.mark.parametrize(
    "operations", [("DescribeTasks",), ("StartTask",), ("ListContainerInstances",)]
)
def test_a_service_stops_in_time_though_ecs_hangs(world: Run, operations: tuple[str, ...]) -> None:
    """ECS gives a container 30 s after SIGTERM; whatever hangs, we are gone before."""

    async def story(w: Any) -> None:
        async with w.another_service():
            await w.submit(*({"id": f"j{i}"} for i in range(3)))
            await asyncio.sleep(10)
            began = w.clock.monotonic()
            for service in w.services:
                service.stop()
            await asyncio.wait(w.running)
            assert w.clock.monotonic() - began < 29

    world(story, faults=hanging(*operations))


def test_a_fallback_that_ecs_refuses_does_not_cost_the_job(world: Run) -> None:
    """FARGATE for a task definition that has no network mode for it: it waits for room instead."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "60"]}]}
        await w.submit({"id": "a", "overrides": wide})
        await w.until("a", JobState.RUNNING)
        await w.submit({"id": "b", "overrides": wide})
        await asyncio.sleep(20)
        waiting = await w.queue.job("b")
        assert waiting.state is JobState.RUNNABLE
        assert "fallback not usable" in waiting.reason
        assert (await w.until("b")).state is JobState.SUCCEEDED
        assert w.sim.statistics.calls["RunTask"] >= 1

    world(story, fleet=ONE, fallback={"after_s": 3, "launch_type": "FARGATE"})
