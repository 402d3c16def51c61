"""A large cluster at AWS's read rate: how soon the model is complete, how old news of an end gets.

Virtual time on a simulated ECS that throttles as AWS publishes. The service takes over a cluster
whose tasks run already, and polls alone: no events. At the end it is started again, when the read
bucket holds what it left: the rate alone decides then how soon a model can be complete.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import Any

from benchmarks.report import Row, main

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import Intent, JobState, LaunchToken, OwnerId, Started, TaskArn
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.ecs.budget import READ_RESERVES
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.passes.status import BudgetStatus
from ecs_scheduler.simulate.blocking_redis import connect_blocking
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    http_session_class,
    run_virtual,
)
from ecs_simulator.throttling import CATEGORIES, Throttle

READ = "Cluster resource read"
READ_PER_S, PAGE = 20, 100
PER_CALL = 10
ENDING_EVERY = 250
"""One task in so many ends while the service watches; the others run on."""

FIRST_END_S, WATCHED_S = 60, 90
DEFINITION = {
    "family": "batch",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 64, "memory": 64, "command": ["sleep", "10d"]}
    ],
}


@dataclass(frozen=True)
class Seen:
    """What one run came to."""

    first: "Start"
    again: "Start"
    news_s: list[float]
    throttled: int
    reads_per_s: float


@dataclass(frozen=True)
class Start:
    """One start: seconds until the model was complete, the tokens that the account's read bucket
    held at its begin and gets a second, and reads of all kinds until the model was complete.
    """

    complete_s: float
    found: float
    rate_per_s: float
    reads: int


def run(quick: bool = False) -> list[Row]:
    """Time to a complete model, the oldest news of an end, throttles, memory."""
    instances, tasks = (500, 2_000) if quick else (5_000, 50_000)
    with EmbeddedValkey() as valkey:
        path = str(valkey.socket_path)
        seen = run_virtual(lambda clock: _play(clock, instances, tasks, path))
    needed = 2 * -(-instances // PAGE)
    size = f"{instances:,} instances, {tasks:,} running tasks"
    oldest = max(seen.news_s)
    mean = sum(seen.news_s) / len(seen.news_s)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        _start_row("cold start, the bucket full", seen.first, needed),
        _start_row("restart, the bucket spent", seen.again, needed),
        Row(
            name="oldest news of a stopped task, polling alone",
            value=oldest,
            unit="s",
            note=f"{size}; of {len(seen.news_s)} ends, {mean:.1f} s on average; asking after each "
            f"once at 20/s takes {tasks / PAGE / READ_PER_S:g} s",
        ),
        Row(
            name="ThrottlingExceptions, steady state",
            value=seen.throttled,
            unit="calls",
            note=f"{size}; {seen.reads_per_s:.1f} reads/s of 20",
        ),
        Row(name="memory, service and simulator", value=memory_mb, unit="MB", note=size),
    ]


def _start_row(name: str, start: Start, needed: int) -> Row:
    """The time to a complete model beside the least that the bucket allows: what it holds comes at
    once, but for what is left to more urgent reads, and the rest at its rate.
    """
    reserve = READ_RESERVES["first sweep"]
    least_s = max(0.0, needed + reserve - start.found) / start.rate_per_s
    note = f"{start.complete_s:.2f} s; {needed} List and Describe calls of {PAGE} instances take "
    note += (
        f"{least_s:.2f} s at least: the bucket held {start.found:.0f} tokens, {reserve} of them "
    )
    note += f"for more urgent reads, and gets {start.rate_per_s:g}/s; {start.reads} reads were made"
    if not least_s:
        return Row(name=name, value=start.complete_s, unit="s", note=note)
    value = start.complete_s / least_s
    return Row(name=f"{name}, of the least", value=value, unit="x (goal 1.1)", note=note)


async def _play(clock: VirtualClock, instances: int, tasks: int, valkey: str) -> Seen:
    sim = SimulatedEcs(
        Options(throttled=False, agent_capabilities=FEW_CAPABILITIES), clock.now, seed=1
    )
    sim.add_instances("default", (InstanceGroup(count=instances, instance_type="m5.4xlarge"),))
    sim.call("RegisterTaskDefinition", DEFINITION)
    redis = connect_blocking(valkey)
    service_clock = LoopClock(round(clock.start * 1000))
    queue = Queue(redis, now_ms=service_clock.now_ms)
    ending = await _running(sim, queue, instances, tasks)
    sim.region.throttle = Throttle(Options().rates, clock.now())
    config = Config(http_port=None)
    transport = http_session_class(sim)
    async with ecs.connect(config, service_clock, http_session_cls=transport) as client:
        service = Service(config, queue, client, Metrics(), service_clock)
        began = clock.monotonic()
        running = asyncio.create_task(service.run())
        first = await _started(service, sim, clock, None)
        await asyncio.sleep(FIRST_END_S + WATCHED_S + 60)
        reads_per_s = _reads(sim) / (clock.monotonic() - began)
        left = _read_bucket(service).tokens
        service.stop()
        await running
        service = Service(config, queue, client, Metrics(), service_clock)
        running = asyncio.create_task(service.run())
        again = await _started(service, sim, clock, left)
        service.stop()
        await running
    throttled = sum(sim.statistics.throttled.values())
    sim.region.throttle = Throttle({}, clock.now())
    news = [await _news(sim, queue, job_id, arn) for job_id, arn in ending.items()]
    await redis.aclose()
    return Seen(first, again, news, throttled, reads_per_s)


async def _started(
    service: Service, sim: SimulatedEcs, clock: VirtualClock, found: float | None
) -> Start:
    """Wait for the first complete model of a service that was just started; `found` None is a full
    bucket.
    """
    began, reads = clock.monotonic(), _reads(sim)
    while True:
        await asyncio.sleep(0.01)
        if service.status().model_age_s is not None:
            break
    bucket, made = _read_bucket(service), _reads(sim) - reads
    tokens = bucket.burst if found is None else found
    return Start(clock.monotonic() - began, tokens, bucket.rate_per_s, made)


def _read_bucket(service: Service) -> BudgetStatus:
    return next(each for each in service.status().budgets if each.category == "read")


def _reads(sim: SimulatedEcs) -> int:
    calls = sim.statistics.calls.items()
    return sum(count for name, count in calls if CATEGORIES.get(name) == READ)


async def _running(
    sim: SimulatedEcs, queue: Queue, instances: int, tasks: int
) -> dict[JobId, TaskArn]:
    """Start the tasks as a scheduler before us did; those that will end while we watch."""
    owner = OwnerId("before")
    arns: list[str] = []
    page: dict[str, Any] = {}
    while len(arns) < instances:
        page = sim.call("ListContainerInstances", {"nextToken": page.get("nextToken")})
        arns += page["containerInstanceArns"]
    await queue.submit([Job(id=JobId(f"j{n}"), task_definition="batch") for n in range(tasks)])
    await queue.open_lease(owner, lease_ms=600_000)
    ending: dict[JobId, TaskArn] = {}
    started = 0
    while started < tasks:
        claims = await queue.claim(owner, 1_000)
        for first in range(0, len(claims), PER_CALL):
            call = claims[first : first + PER_CALL]
            token = LaunchToken(queue.new_token())
            where = [arns[(started + n) % instances] for n in range(len(call))]
            ends = started % (ENDING_EVERY * PER_CALL) == 0
            request: dict[str, Any] = {
                "taskDefinition": "batch",
                "containerInstances": where,
                "startedBy": token,
            }
            if ends:
                after_s = FIRST_END_S + WATCHED_S * started / tasks
                command = {"name": "main", "command": ["sleep", f"{after_s:.1f}"]}
                request["overrides"] = {"containerOverrides": [command]}
            answer = sim.call("StartTask", request)["tasks"]
            await queue.intend(
                owner, token, "StartTask", [Intent(c.job.id, c.epoch, None) for c in call]
            )
            pairs = [(c.job.id, TaskArn(t["taskArn"])) for c, t in zip(call, answer, strict=True)]
            await queue.settle(token, [Started(job_id, arn, None) for job_id, arn in pairs])
            if ends:
                ending.update(pairs)
            started += len(call)
    await queue.hand_back(owner)
    return ending


async def _news(sim: SimulatedEcs, queue: Queue, job_id: JobId, arn: TaskArn) -> float:
    """Seconds from ECS's STOPPED to the job's end."""
    record = await queue.job(job_id)
    assert record.state is JobState.SUCCEEDED, record
    assert record.ended_at_ms is not None
    (task,) = sim.call("DescribeTasks", {"tasks": [arn]})["tasks"]
    return float(record.ended_at_ms / 1000 - task["stoppedAt"])


if __name__ == "__main__":
    main(run)
