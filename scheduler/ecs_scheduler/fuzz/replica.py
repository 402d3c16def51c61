"""One replica through its lives: the production service behind a gate, killed and started anew."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ecs_queue.client import Queue
from ecs_queue.errors import QueueError
from ecs_queue.states import QueueName
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.errors import SchedulerError
from ecs_scheduler.fuzz import ecs_direct, ecs_over_http
from ecs_scheduler.fuzz.ecs_faults import EcsWeather, Endpoint
from ecs_scheduler.fuzz.gate import Gate
from ecs_scheduler.fuzz.jobs import CLUSTERS, QUEUES
from ecs_scheduler.fuzz.redis_faults import FaultyRedis, RedisWeather, Surroundings
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.pace import Pace
from ecs_scheduler.passes.service import Service
from ecs_scheduler.serving import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ecs_scheduler.clock import Clock
    from ecs_scheduler.config import Config
    from ecs_scheduler.fuzz.history import History
    from ecs_scheduler.fuzz.scenario import Scenario
    from ecs_scheduler.fuzz.servers import Servers
    from ecs_simulator import SimulatedEcs

CROSSINGS_IN_A_LIFE = 1500
PACE = Pace(
    busy_s=0.25,
    refresh_s=2.5,
    interruptions_s=5.0,
    recurring_s=5.0,
    reconcile_s=5.0,
    observe_s=20.0,
)
"""Slower than the service's own wherever that costs no promise: most of a run is idle looks."""

RESTARTED_AFTER_S = 2.0
MOST_CRASHES = 10
"""A service that ends this often by itself is broken; there is nothing more to learn."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the replicas of one run share."""

    scenario: Scenario
    config: Config
    sim: SimulatedEcs
    servers: Servers
    start_ms: int
    history: History
    redis_weather: RedisWeather = field(default_factory=RedisWeather)
    ecs_weather: EcsWeather = field(default_factory=EcsWeather)
    crashes: list[str] = field(default_factory=list)
    event_queues: dict[QueueName, str] = field(default_factory=dict)
    """URL of the SQS queue that each service hears its events from."""


class Replica:
    """A supervised scheduler process: it comes back after every end until it is dismissed."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self._name = f"r{number}"
        self._number = number
        self._lives = 0
        self._down_for_s = RESTARTED_AFTER_S
        self._dismissed = False
        self.services: list[Service] = []
        self._gate = Gate(None, lambda: None)
        self._life: asyncio.Task[None] | None = None

    async def supervise(self) -> None:
        """Live again and again."""
        structlog.contextvars.bind_contextvars(replica=self._name)
        while not self._dismissed and len(self._stage.crashes) < MOST_CRASHES:
            self._life = asyncio.create_task(self._live(), name=f"{self._name} lives")
            await asyncio.wait({self._life})
            self._bury(self._life)
            self.services.clear()
            if not self._dismissed:
                await asyncio.sleep(self._down_for_s)
            self._down_for_s = RESTARTED_AFTER_S

    def kill(self, down_for_s: float) -> None:
        """As SIGKILL: nothing of it gets out any more."""
        if self._life is None or self._gate.dead or not self.services:
            return
        self._stage.history.say("fault", f"{self._name} killed, down for {down_for_s:.1f} s")
        self._gate.dead = True
        self._gate.thaw()
        self._down_for_s = down_for_s
        asyncio.get_running_loop().create_task(self._end(self._life), name="kill")

    async def freeze(self, for_s: float) -> None:
        """As SIGSTOP and, later, SIGCONT."""
        gate = self._gate
        self._stage.history.say("fault", f"{self._name} frozen for {for_s:.1f} s")
        gate.freeze()
        await asyncio.sleep(for_s)
        gate.thaw()

    def heal(self) -> None:
        """Die no more."""
        self._gate.spare()
        self._gate.thaw()

    def dismiss(self) -> None:
        """Stop as SIGTERM does, and stay away."""
        self._dismissed = True
        for service in self.services:
            service.stop()

    def reload_policies(self) -> None:
        """As on SIGHUP."""
        for service in self.services:
            service.policies.reload()

    async def _live(self) -> None:
        stage = self._stage
        self._lives += 1
        rng = stage.scenario.rng(self._name, self._lives)
        mortal = not stage.ecs_weather.calm and rng.random() < stage.scenario.deaths
        dies_at = rng.randrange(1, CROSSINGS_IN_A_LIFE) if mortal else None
        gate = self._gate = Gate(dies_at, lambda: self.kill(RESTARTED_AFTER_S))
        around = Surroundings(
            gate,
            rng,
            stage.scenario.redis_faults,
            stage.redis_weather,
            stage.history,
            self._name,
        )
        endpoint = Endpoint(
            stage.sim,
            gate,
            rng,
            stage.scenario.ecs_faults,
            stage.ecs_weather,
            stage.history,
            self._name,
        )
        try:
            async with asyncio.TaskGroup() as running:
                for config in self._configs():
                    running.create_task(
                        self._serve(config, FaultyRedis(stage.servers, around), endpoint)
                    )
        except ExceptionGroup as group:
            # Whoever supervises a process sees its first error.
            raise group.exceptions[0] from group

    def _configs(self) -> Iterator[Config]:
        """What the process serves: a queue and cluster, or every pair, spread over all replicas."""
        scenario = self._stage.scenario
        config = self._stage.config.model_copy(
            update={"requeue_draining_after_s": scenario.requeue_draining_after_s}
        )
        if scenario.clusters > 1:
            pairs = zip(QUEUES, CLUSTERS, strict=True)
            config = config.model_copy(update={"serve": tuple(map("@".join, pairs))})
        else:
            last = self._number == scenario.replicas
            queue = QUEUES[scenario.services - 1 if last else 0]
            config = config.model_copy(update={"queue": queue})
        for each in served(config):
            url = self._stage.event_queues.get(QueueName(each.queue))
            yield each.model_copy(update={"events_queue_url": url})

    async def _serve(self, config: Config, redis: FaultyRedis, endpoint: Endpoint) -> None:
        clock = LoopClock(self._stage.start_ms)
        queue = Queue(
            redis,
            QueueName(config.queue),
            now_ms=clock.now_ms,
            new_token=lambda: f"{endpoint.rng.getrandbits(128):032x}",
        )
        async with self._connected(endpoint, config, clock) as client:
            service = Service(config, queue, client, Metrics(), clock)
            service.pace = PACE
            self.services.append(service)
            await service.run()

    @asynccontextmanager
    async def _connected(
        self, endpoint: Endpoint, config: Config, clock: Clock
    ) -> AsyncIterator[ecs.Ecs]:
        if not self._stage.scenario.over_http:
            yield ecs_direct.connect(endpoint, config, clock)
            return
        transport = ecs_over_http.session_class(endpoint)
        async with ecs.connect(config, clock, http_session_cls=transport) as client:
            yield client

    def _bury(self, life: asyncio.Task[None]) -> None:
        """Whatever is neither a kill nor an outage is a bug of the service."""
        if life.cancelled():
            return
        error = life.exception()
        if error is None:
            return
        self._stage.history.say(self._name, f"service ended: {error!r}")
        if not isinstance(error, (QueueError, SchedulerError)) and not self._gate.dead:
            self._stage.crashes.append(f"{self._name}: {_shown(error)}")

    async def _end(self, life: asyncio.Task[None]) -> None:
        while not life.done():
            life.cancel()  # more than once: wait_for of Python 3.11 can swallow it
            await asyncio.sleep(0)


def _shown(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_shown(each) for each in error.exceptions)
    return repr(error)
