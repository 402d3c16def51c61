"""The jobs of one run, with what must become of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecs_queue.job import Job
from ecs_queue.states import DEFAULT_QUEUE, QueueName

if TYPE_CHECKING:
    from random import Random

QUEUES = (DEFAULT_QUEUE, QueueName("second"))
FAMILY = "fuzz"
SERVERLESS_FAMILY = "fuzz-serverless"
LONG_S, LONGEST_S = 90.0, 400.0
"""Some tasks outlive every lease, every bound on certainty, and the search for strays."""

GANG_WITHIN_S = 20
GANG_TASKS_S = (5.0, 60.0, 600.0)
"""The longest are there to be seen running if the others of their gang are not."""

TASK_DEFINITIONS: tuple[dict[str, Any], ...] = (
    {
        "family": FAMILY,
        "containerDefinitions": [
            {"name": "main", "image": "busybox", "cpu": 512, "memory": 512, "essential": True}
        ],
    },
    {
        "family": SERVERLESS_FAMILY,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["EC2", "FARGATE"],
        "cpu": "512",
        "memory": "1024",
        "containerDefinitions": [{"name": "main", "image": "busybox"}],
    },
)


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job: when it is submitted, when (if ever) it is cancelled, and how its tasks end."""

    job: Job
    submitted_at_s: float
    cancelled_at_s: float | None
    exit_code: int
    attempts: int
    queue: QueueName = DEFAULT_QUEUE


def draw_jobs(rng: Random, count: int, within_s: float) -> tuple[PlannedJob, ...]:
    """Bursts of equal jobs, and jobs of their own, over the first `within_s` seconds."""
    drawn: list[PlannedJob] = []
    while len(drawn) < count:
        at_s = rng.choice((0.0, rng.uniform(0, within_s)))
        body, exit_code = _body(rng)
        for _ in range(min(rng.choice((1, 1, 3, 12)), count - len(drawn))):
            drawn.append(_planned(rng, f"j{len(drawn):03d}", body, (at_s, exit_code)))
    return tuple(sorted(drawn, key=lambda each: (each.submitted_at_s, each.job.id)))


def draw_gangs(rng: Random, within_s: float) -> tuple[PlannedJob, ...]:
    """Up to two gangs, whose members come one by one; each member has a command of its own."""
    drawn: list[PlannedJob] = []
    for number in range(rng.choice((0, 1, 1, 2))):
        at_s, seconds = rng.uniform(0, within_s), rng.choice(GANG_TASKS_S)
        size = rng.randint(2, 4)
        for index in range(size):
            command = ["sh", "-c", f"sleep {seconds + index:.2f}"]
            body: dict[str, Any] = {
                "task_definition": FAMILY,
                "overrides": {"containerOverrides": [{"name": "main", "command": command}]},
                "priority": rng.choice((0, 10)),
                "gang": {"id": f"g{number}", "size": size, "within_s": GANG_WITHIN_S},
            }
            job = Job.model_validate({"id": f"g{number}-{index}", **body})
            drawn.append(PlannedJob(job, at_s + rng.uniform(0, 5), None, exit_code=0, attempts=1))
    return tuple(drawn)


def _body(rng: Random) -> tuple[dict[str, Any], int]:
    exit_code = rng.choice((0, 0, 0, 0, 3))
    seconds = rng.choice((0.0, rng.uniform(0, 20), rng.uniform(0, LONG_S)))
    attempts: tuple[int, ...] = (1, 1, 2, 3)
    if rng.random() < 0.05:
        seconds, attempts = LONGEST_S, (1,)  # several such attempts outlast the run
    command = ["sh", "-c", f"sleep {seconds:.2f}; exit {exit_code}"]
    container: dict[str, Any] = {"name": "main", "command": command}
    if rng.random() < 0.3:
        container["cpu"] = rng.choice((256, 1024, 2048))
    body: dict[str, Any] = {
        "task_definition": FAMILY,
        "overrides": {"containerOverrides": [container]},
        "priority": rng.choice((0, 0, 10)),
        "retry": {"attempts": rng.choice(attempts)},
    }
    if rng.random() < 0.1:
        body["task_definition"] = SERVERLESS_FAMILY
        body["overrides"] = {"containerOverrides": [{"name": "main", "command": command}]}
        body["fallback"] = {"after_s": rng.choice((0, 20)), "launch_type": "FARGATE"}
        body["network_configuration"] = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    return body, exit_code


def _planned(
    rng: Random, job_id: str, body: dict[str, Any], when_and_code: tuple[float, int]
) -> PlannedJob:
    at_s, exit_code = when_and_code
    cancelled_at_s = at_s + rng.uniform(0, 120) if rng.random() < 0.08 else None
    return PlannedJob(
        job=Job.model_validate({"id": job_id, **body}),
        submitted_at_s=at_s,
        cancelled_at_s=cancelled_at_s,
        exit_code=exit_code,
        attempts=body["retry"]["attempts"],
    )
