"""The jobs of one run, with what must become of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecs_queue.job import Job
from ecs_queue.schedule import Schedule
from ecs_queue.states import DEFAULT_QUEUE, QueueName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

QUEUES = (DEFAULT_QUEUE, QueueName("second"))
CLUSTERS = ("default", "second")
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


def draw_arrays(rng: Random, within_s: float) -> tuple[PlannedJob, ...]:
    """Up to two arrays, the second child by child after the first or one child after the other."""
    drawn: list[PlannedJob] = []
    size = rng.randint(2, 5)
    for number in range(rng.choice((0, 1, 2))):
        job_id, at_s = f"a{number}", rng.uniform(0, within_s)
        if drawn:
            at_s = max(at_s, drawn[0].submitted_at_s + 0.01)  # it may follow the first
        orders = [[], [{"type": "SEQUENTIAL"}], [{"type": "N_TO_N", "job": "a0"}]]
        job = Job.model_validate(
            {
                "id": job_id,
                "task_definition": FAMILY,
                "overrides": _sleeping(rng.uniform(0, 30)),
                "array_size": size,
                "group": job_id,
                "depends_on": orders[rng.randrange(len(orders) if number else 2)],
            }
        )
        drawn.append(PlannedJob(job, at_s, None, exit_code=0, attempts=1))
    return tuple(drawn)


def draw_dependents(
    rng: Random, before: Sequence[PlannedJob], within_s: float
) -> tuple[PlannedJob, ...]:
    """Jobs that depend on some of those `before` or on one another, of each kind."""
    drawn: list[PlannedJob] = []
    for number in range(rng.choice((0, 2, 5))):
        awaited = rng.sample([*before, *drawn], min(len(before), rng.choice((1, 1, 2))))
        kinds = rng.choices(("afterok", "afterany", "afternotok"), (6, 3, 1), k=len(awaited))
        latest_s = max(each.submitted_at_s for each in awaited)
        job = Job.model_validate(
            {
                "id": f"d{number}",
                "task_definition": FAMILY,
                "overrides": _sleeping(rng.uniform(0, 20)),
                "depends_on": [
                    {"job": each.job.id, "type": kind}
                    for each, kind in zip(awaited, kinds, strict=True)
                ],
                "payload": {"number": number} if rng.random() < 0.5 else None,
            }
        )
        at_s = latest_s + 0.01 + rng.choice((0.0, rng.uniform(0, within_s)))
        queue = awaited[0].queue
        if all(each.queue == queue for each in awaited):
            drawn.append(PlannedJob(job, at_s, None, exit_code=0, attempts=1, queue=queue))
    return tuple(drawn)


def draw_schedule(rng: Random) -> Schedule:
    """A short job each minute."""
    job = {"task_definition": FAMILY, "overrides": _sleeping(rng.uniform(0, 40))}
    overlap = rng.choice(("allow", "forbid"))
    document = {"name": "s0", "cron": "* * * * *", "overlap": overlap, "job": job}
    return Schedule.model_validate(document)


def _sleeping(seconds: float) -> dict[str, Any]:
    command = ["sh", "-c", f"sleep {seconds:.2f}"]
    return {"containerOverrides": [{"name": "main", "command": command}]}


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
        body["payload"] = {"seconds": seconds}
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
