"""A whole service in virtual time: the production code on simulated ECS and a real Valkey.

`world(story)` builds everything, starts the service, runs the story, stops the service, and checks
the simulator's own invariants.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis.exceptions

from ecs_queue.client import Queue
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobRecord, JobState
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.fuzz.servers import ServedRedis, Servers
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    http_session_class,
    run_virtual,
)
from ecs_simulator.virtual_time import START

QUIET = Options(agent_capabilities=FEW_CAPABILITIES)


class NoFaults:
    """A transport that does what it should; stories that need another put it in its place."""


class Cuttable(ServedRedis):
    """A client whose connection a story can cut for a while."""

    cut = False

    async def carried(self, work: Callable[[], Any]) -> Any:
        """Do the work, or fail as a dead connection does."""
        if self.cut:
            raise redis.exceptions.ConnectionError("the connection is cut")
        return await super().carried(work)


class HostClock(LoopClock):
    """A service's machine, whose wall clock a story can set."""

    set_by_ms = 0

    def now_ms(self) -> int:
        """What the wall clock says."""
        return super().now_ms() + self.set_by_ms


@dataclass
class World:
    """What a story can touch; `server_set_by_ms` is how far the clock of Redis's machine was
    set.
    """

    redis: Cuttable
    queue: Queue
    sim: SimulatedEcs
    clock: VirtualClock
    config: Config
    transport: type
    server_set_by_ms: int = 0
    hosts: list[HostClock] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    running: list[asyncio.Task[None]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    """Of the service that was started last."""

    @property
    def service(self) -> Service:
        """The service that was started last."""
        return self.services[-1]

    async def submit(self, *jobs: dict[str, Any]) -> None:
        """Submit documents; `task_definition` is batch unless they say otherwise."""
        documents = [{"task_definition": "batch", **each} for each in jobs]
        await self.queue.submit([Job.model_validate(each) for each in documents])

    async def until(self, job_id: str, *states: JobState, timeout_s: float = 900) -> JobRecord:
        """Wait until a job is in one of these states (terminal ones, if none is given)."""
        async with asyncio.timeout(timeout_s):
            while True:
                record = await self.queue.job(JobId(job_id))
                if record.state in states or (not states and record.state.terminal):
                    return record
                await asyncio.sleep(0.2)

    async def until_known(self, job_id: str) -> JobRecord:
        """Wait until the inbox was read, and then until the job ended."""
        async with asyncio.timeout(60):
            while True:
                if await self.queue.jobs():
                    return await self.until(job_id)
                await asyncio.sleep(0.2)

    async def until_noted(self, job_id: str) -> JobRecord:
        """Wait until the queue knows why the job waits."""
        async with asyncio.timeout(60):
            while True:
                record = await self.queue.job(JobId(job_id))
                if record.reason not in ("waiting for its turn", "being placed"):
                    return record
                await asyncio.sleep(0.2)

    async def until_ready(self) -> None:
        """Wait for the first complete model."""
        async with asyncio.timeout(60):
            while True:
                if self.service.status().ready:
                    return
                await asyncio.sleep(0.2)

    def register(self, family: str, **container: Any) -> None:
        """Register a task definition of one container."""
        network = (
            {"networkMode": container.pop("network_mode")} if "network_mode" in container else {}
        )
        definition = {"name": "main", "image": "busybox", "cpu": 256, "memory": 256, **container}
        self.sim.call(
            "RegisterTaskDefinition",
            {"family": family, "containerDefinitions": [definition], **network},
        )

    def started(self, job: JobRecord) -> list[str]:
        """ARNs of every task that this job's launches really started."""
        known = {str(attempt.task_arn) for attempt in job.attempts} | {str(job.task_arn)}
        return [task.arn for task in self.sim.tasks() if str(task.arn) in known]

    @asynccontextmanager
    async def another_service(self, **settings: Any) -> AsyncIterator[Service]:
        """Run a service; at the end it is stopped and has handed its claims back."""
        clock = HostClock(round(self.clock.start * 1000))
        self.hosts.append(clock)
        config = self.config.model_copy(update=settings)
        async with ecs.connect(config, clock, http_session_cls=self.transport) as client:
            self.metrics = Metrics()
            service = Service(config, self.queue, client, self.metrics, clock)
            self.services.append(service)
            running = asyncio.create_task(service.run())
            self.running.append(running)
            try:
                yield service
            finally:
                service.stop()
                await asyncio.wait({running})
                if not running.cancelled():
                    running.result()

    def connect_anew(self, client: type[Cuttable] = Cuttable) -> None:
        """The story, and services that start from now on, have a connection of their own, which
        stays when `redis` is cut.
        """
        self.queue = Queue(
            client(self.redis.servers),
            now_ms=lambda: round(self.clock.now() * 1000) + self.server_set_by_ms,
        )

    async def kill(self) -> None:
        """End the latest service as SIGKILL would: no drain, no hand-back, its lease stands."""
        while not self.running[-1].done():
            self.running[-1].cancel()  # more than once: wait_for of Python 3.11 can swallow it
            await asyncio.sleep(0)


BATCH = {
    "family": "batch",
    "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 1024, "memory": 1024, "essential": True}
    ],
}


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A Valkey whose replies never let virtual time run ahead; each story finds it empty."""
    with Servers() as started:
        yield started


@pytest.fixture
def world(servers: Servers) -> Callable[..., None]:
    """Run a story: `world(story, fleet=(...), options=Options(...), **settings)`."""

    def run(
        story: Callable[[World], Awaitable[None]],
        *,
        fleet: tuple[InstanceGroup, ...] = (InstanceGroup(count=3, instance_type="m5.xlarge"),),
        options: Options = QUIET,
        faults: type = NoFaults,
        start: float = START,
        **settings: Any,
    ) -> None:
        async def main(clock: VirtualClock) -> None:
            sim = SimulatedEcs(options, clock.now, seed=1)
            sim.call("CreateCluster", {"clusterName": "default"})
            sim.add_instances("default", fleet)
            sim.call("RegisterTaskDefinition", BATCH)
            servers.clear()
            client = Cuttable(servers)
            queue = Queue(client, now_ms=lambda: round(clock.now() * 1000) + built.server_set_by_ms)
            transport = type("Transport", (faults, http_session_class(sim)), {})
            config = Config(log_level="debug", **settings)  # with every plan checked
            built = World(client, queue, sim, clock, config, transport)
            async with built.another_service():
                await story(built)
            sim.verify()

        run_virtual(main, start=start)

    return run
