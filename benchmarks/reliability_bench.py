"""The launch budget: how much of the published API rate becomes launches, and how many throttles.

Virtual time on a simulated ECS that throttles as AWS publishes (100 at once, 40 calls/s), behind
20 to 80 ms of network; beside it a plain loop of one RunTask a job with the SDK's own retries.
Each case has a process of its own, as many at once as there are cores, and its rows are there as
soon as it ends.
"""

import asyncio
import itertools
import multiprocessing
from collections import deque
from collections.abc import Awaitable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from benchmarks.report import Row, main
from botocore.exceptions import ClientError

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.states import QueueName, TaskArn
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.logs import configure_logging
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
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

MODIFY = "Cluster resource modify"
SUSTAINED_PER_S, BURST = 40, 100
NETWORK_S = (0.02, 0.08)
TASK_S = 5
COLD_START_S = 0.5
"""The first sweep; it counts for nothing."""
FLEET = (InstanceGroup(count=60, instance_type="m5.4xlarge"),)
BATCH = {
    "family": "batch",
    "containerDefinitions": [
        {
            "name": "main",
            "image": "busybox",
            "cpu": 64,
            "memory": 64,
            "command": ["sleep", str(TASK_S)],
        }
    ],
}
NEWS_OF = 300
SELDOM_S = 30.0
"""Between two looks at running tasks: what 50,000 of them leave of the read budget."""

BACKLOG_S = 10
"""What waits at the start, in seconds of launching."""

MORE = 1.05
"""Jobs, times what could be launched at most: none of the cases runs out of them."""

PLAIN_LOOPS = 50
"""As many jobs at once as our launcher has calls in flight."""


@dataclass(frozen=True)
class Measured:
    """What one run of `seconds` virtual seconds came to."""

    seconds: float
    tasks: int
    calls: int
    throttled: int

    @property
    def sustained_share(self) -> float:
        """Calls that ECS took after the burst, of those that it would have taken."""
        return (self.calls - self.throttled - BURST) / (SUSTAINED_PER_S * self.seconds)


def run(quick: bool = False) -> Iterator[Row]:
    """Launches/s with our service and with the plain loop, and the throttles of each."""
    seconds = 20.0 if quick else 600.0
    cases = (
        partial(_equal_jobs, seconds),
        partial(_distinct_jobs, seconds),
        partial(_three_services, seconds),
        partial(_plain_loop, seconds),
        partial(_news, events=True),
        partial(_news, events=False),
    )
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(multiprocessing.cpu_count(), spawn, _quiet) as pool:
        for done in as_completed([pool.submit(case) for case in cases]):
            yield from done.result()


def _quiet() -> None:
    configure_logging("json", "error")


def _equal_jobs(seconds: float) -> list[Row]:
    measured = _service(seconds, distinct=False)
    return _rows("equal jobs", measured, goal_per_s=360)


def _distinct_jobs(seconds: float) -> list[Row]:
    measured = _service(seconds, distinct=True)
    return _rows("distinct jobs", measured, goal_per_s=38)


def _three_services(seconds: float) -> list[Row]:
    measured = _service(seconds, distinct=True, services=3)
    return _rows("distinct jobs, three on one budget", measured, goal_per_s=38)


def _plain_loop(seconds: float) -> list[Row]:
    return _rows("plain RunTask loop", _plain(seconds))


def _rows(name: str, measured: Measured, goal_per_s: float | None = None) -> list[Row]:
    """Tasks/s after the burst, and how many calls ECS refused."""
    note = f"{measured.seconds:g} virtual seconds; {measured.sustained_share:.1%} of 40 calls/s"
    rate = measured.tasks * measured.sustained_share * SUSTAINED_PER_S
    rate /= measured.calls - measured.throttled
    if goal_per_s is not None:
        note += f"; {rate / goal_per_s:.2f} of the goal of {goal_per_s:g}/s"
    return [
        Row(name=f"launches, {name}", value=rate, unit="tasks/s", note=note),
        Row(
            name=f"ThrottlingExceptions, {name}",
            value=measured.throttled,
            unit="calls",
            note=f"of {measured.calls:,}",
        ),
    ]


def _transport(sim: SimulatedEcs) -> type:
    inner, rng = http_session_class(sim), Random(1)

    async def send(self: Any, request: Any) -> Any:
        await asyncio.sleep(rng.uniform(*NETWORK_S))
        return await inner.send(self, request)

    return type("DistantSession", (inner,), {"send": send})


def _simulated(clock: VirtualClock) -> SimulatedEcs:
    sim = SimulatedEcs(Options(agent_capabilities=FEW_CAPABILITIES), clock.now, seed=1)
    sim.add_instances("default", FLEET)
    sim.call("RegisterTaskDefinition", BATCH)
    return sim


def _service(seconds: float, *, distinct: bool, services: int = 1) -> Measured:
    """`services` schedulers with a queue each, on one cluster and one Redis."""

    async def play(clock: VirtualClock) -> Measured:
        sim = _simulated(clock)
        per_s = (1.0 if distinct else 10.0) * SUSTAINED_PER_S * MORE / services
        running = [
            asyncio.create_task(_serve(clock, sim, path, (name, per_s, distinct)))
            for name in "abc"[:services]
        ]
        await asyncio.sleep(COLD_START_S)
        measured = await _after(seconds, sim)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return measured

    with EmbeddedValkey() as valkey:
        path = str(valkey.socket_path)
        return run_virtual(play)


async def _serve(
    clock: VirtualClock, sim: SimulatedEcs, valkey: str, work: tuple[str, float, bool]
) -> None:
    name, per_s, distinct = work
    scheduler_clock = LoopClock(round(clock.start * 1000))
    redis = connect_blocking(valkey)
    queue = Queue(redis, QueueName(name), now_ms=scheduler_clock.now_ms)
    await queue.submit([_job(number, distinct) for number in range(round(BACKLOG_S * per_s))])
    config = Config(http_port=None, queue=name)
    async with ecs.connect(config, scheduler_clock, http_session_cls=_transport(sim)) as client:
        service = Service(config, queue, client, Metrics(), scheduler_clock)
        await asyncio.gather(service.run(), _feed(queue, per_s, distinct))


async def _feed(queue: Queue, per_s: float, distinct: bool) -> None:
    """As many jobs a second as could be launched, and some more: the queue is never empty."""
    for second in itertools.count():
        await asyncio.sleep(1)
        numbers = range(*(round((BACKLOG_S + each) * per_s) for each in (second, second + 1)))
        await queue.submit([_job(number, distinct) for number in numbers])


def _news(*, events: bool) -> list[Row]:
    """How long after a task stopped the queue knows, at the worst of a few hundred."""

    async def play(clock: VirtualClock) -> list[float]:
        sim, scheduler_clock = _simulated(clock), LoopClock(round(clock.start * 1000))
        url = sim.send_events_to("events").url
        redis = connect_blocking(str(valkey.socket_path))
        queue = Queue(redis, now_ms=scheduler_clock.now_ms)
        await queue.submit([_job(number, distinct=False) for number in range(NEWS_OF)])
        config = Config(
            http_port=None,
            track_interval_s=SELDOM_S,
            events_queue_url=url if events else None,
        )
        transport = _transport(sim)
        async with ecs.connect(config, scheduler_clock, http_session_cls=transport) as client:
            service = Service(config, queue, client, Metrics(), scheduler_clock)
            running = asyncio.create_task(service.run())
            await asyncio.sleep(TASK_S + 60)
            service.stop()
            await running
        known_at = {each.task_arn: each.ended_at_ms for each in await queue.jobs(limit=NEWS_OF)}
        await redis.aclose()
        return [
            (known_at[TaskArn(task.arn)] or 0) / 1000 - (task.stopped_at or 0.0)
            for task in sim.tasks()
        ]

    with EmbeddedValkey() as valkey:
        lags = sorted(run_virtual(play))
    how = "events" if events else "polling"
    note = f"the worst of {len(lags)}; half within {lags[len(lags) // 2]:.1f} s"
    return [Row(name=f"news of a stopped task, {how}", value=lags[-1], unit="s", note=note)]


def _plain(seconds: float) -> Measured:
    """What most people write: RunTask for each job, the SDK's default retries, then again."""

    async def play(clock: VirtualClock) -> Measured:
        sim = _simulated(clock)
        waiting = deque(range(round((SUSTAINED_PER_S * seconds + BURST) * MORE)))
        options: dict[str, Any] = {
            "region_name": "us-east-1",
            "config": AioConfig(http_session_cls=_transport(sim), max_pool_connections=50),
            **ecs.IN_PROCESS,
        }
        async with AioSession().create_client("ecs", **options) as client:
            loops = [asyncio.create_task(_run_all(client, waiting)) for _ in range(PLAIN_LOOPS)]
            measured = await _after(seconds, sim)
            for each in loops:
                each.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
        return measured

    return run_virtual(play)


async def _run_all(client: Any, waiting: deque[int]) -> None:
    while waiting:
        number = waiting.popleft()
        try:
            answer: dict[str, Any] = await _run_one(client, number)
        except ClientError:
            waiting.append(number)
            continue
        if answer["failures"]:
            waiting.append(number)


def _run_one(client: Any, number: int) -> Awaitable[dict[str, Any]]:
    environment = [{"name": "N", "value": str(number)}]
    overrides = {"containerOverrides": [{"name": "main", "environment": environment}]}
    return client.run_task(  # type: ignore[no-any-return]
        cluster="default", taskDefinition="batch", count=1, overrides=overrides
    )


async def _after(seconds: float, sim: SimulatedEcs) -> Measured:
    await asyncio.sleep(seconds)
    statistics = sim.statistics
    return Measured(
        seconds=seconds,
        tasks=statistics.tasks_started,
        calls=sum(statistics.calls.get(each, 0) for each in ("StartTask", "RunTask", "StopTask")),
        throttled=statistics.throttled.get(MODIFY, 0),
    )


def _job(number: int, distinct: bool) -> Job:
    document: dict[str, Any] = {"id": f"job-{number}", "task_definition": "batch"}
    if distinct:
        environment = [{"name": "N", "value": str(number)}]
        document["overrides"] = {
            "containerOverrides": [{"name": "main", "environment": environment}]
        }
    return Job.model_validate(document)


if __name__ == "__main__":
    main(run)
