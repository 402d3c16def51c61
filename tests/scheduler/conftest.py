"""Builders that the scheduler's tests share; each test varies one field."""

from collections.abc import Callable
from typing import Any

import pytest

from ecs_placement.request import Shape
from ecs_queue.job import Job
from ecs_queue.states import Claim
from ecs_scheduler.ecs.task_definitions import TaskDefinition
from ecs_scheduler.launching.launch_signature import launch_signature
from ecs_scheduler.passes.window import Held

SMALL = Shape(cpu_units=1)
DEFINITION = TaskDefinition(arn="arn:task-definition/batch:1", family="batch", document={})


@pytest.fixture(scope="session")
def held() -> Callable[..., Held]:
    """Make a held job: `held("a", priority=3, order=7, shape=Shape(...), fallback={...})`."""

    def build(job_id: str, *, order: int = 0, shape: Shape = SMALL, **members: Any) -> Held:
        job = Job.model_validate({"id": job_id, "task_definition": "batch", **members})
        claim = Claim(
            job=job,
            epoch=1,
            priority=job.priority,
            order=order,
            launches=0,
            runnable_at_ms=0,
        )
        return Held(claim, DEFINITION, shape, launch_signature(job, DEFINITION.arn))

    return build
