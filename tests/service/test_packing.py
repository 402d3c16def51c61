"""The service packs a batch that only just fits, in virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]

SLEEP = {"containerOverrides": [{"name": "main", "command": ["sleep", "600"]}]}
EIGHTHS = ((1, 1), (4, 3), (3, 4))
"""Of an instance's CPU and memory: one of each fills it exactly."""


@pytest.mark.parametrize(("thorough_share", "at_once"), [(0.5, 18), (0.0, 12)])
def test_a_batch_that_fills_the_cluster_exactly(
    world: Run, thorough_share: float, at_once: int
) -> None:
    """Six instances of 8 vCPUs, six jobs of each size: all run at once, by best fit only twelve."""

    async def story(w: Any) -> None:
        for cpu, memory in EIGHTHS:
            w.register(f"size{cpu}{memory}", cpu=cpu * 1024, memory=memory * 3900)
        jobs = [
            {"id": f"j{cpu}{n}", "task_definition": f"size{cpu}{memory}", "overrides": SLEEP}
            for cpu, memory in EIGHTHS
            for n in range(6)
        ]
        await w.submit(*jobs)
        for job in jobs:
            await w.until(job["id"], JobState.RUNNING, JobState.RUNNABLE)
        await asyncio.sleep(20)
        records = [await w.queue.job(job["id"]) for job in jobs]
        running = [record.state is JobState.RUNNING for record in records]
        assert sum(running) == at_once

    fleet = (InstanceGroup(count=6, instance_type="m5.2xlarge"),)
    world(story, fleet=fleet, thorough_from=2, thorough_share=thorough_share)
