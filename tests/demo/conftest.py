"""A service's status to look at, and small workloads that end quickly."""

from pathlib import Path

import pytest

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.passes.status import BudgetStatus, Placement, ServiceStatus
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document


@pytest.fixture
def status() -> ServiceStatus:
    """A service in the middle of its work."""
    return ServiceStatus(
        at_ms=100_000,
        ready=True,
        jobs={JobState.RUNNING: 7},
        instances=3,
        used={"CPU": 3072, "MEMORY": 1000, "GPU": 1, "ENI": 0},
        total={"CPU": 4096, "MEMORY": 8000, "GPU": 1, "ENI": 6},
        launched=26,
        launch_calls=10,
        launches_per_s=5.2,
        budgets=(BudgetStatus("modify", 40.0, 100, 87.5, 10, 2),),
        latest=tuple(
            Placement(JobId(f"job-{n}"), "arn:x/demo/0123456789abcdef", "StartTask", "fits", n)
            for n in range(90_000, 90_020)
        ),
        waiting={"RESOURCE:GPU": 4, "RESOURCE:CPU": 9, "AGENT": 1},
        held=14,
        unsettled=0,
        model_age_s=1.5,
        passes=50,
        last_pass_s=0.004,
    )


@pytest.fixture
def short_trace(tmp_path: Path) -> Path:
    """Twelve jobs of a fifth of a second, one of which fails."""
    path = tmp_path / "short.jsonl"
    write_trace(
        [
            Arrival(
                n * 0.1,
                job_document(f"short-{n}", Size(512, 256), Run(0.2, exit_code=int(n == 5))),
            )
            for n in range(12)
        ],
        path,
    )
    return path
