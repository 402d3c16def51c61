"""A Redis that fails: in-process, shared by all replicas, each behind its own faulty connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from ecs_scheduler.fuzz.gate import Gate
    from ecs_scheduler.fuzz.history import History

LATENCY_S = (0.0005, 0.004)
RETRY_S = 0.2
"""How long redis-py's silent retry of a lost reply takes here."""


@dataclass(frozen=True, slots=True)
class RedisFaults:
    """Shares of commands that go wrong, each in its way."""

    refused: float = 0.0
    """The command never arrives."""
    lost_reply: float = 0.0
    """The command is done, and its reply never arrives."""
    repeated: float = 0.0
    """The reply is lost, and the client's silent retry runs the command again."""


@dataclass(slots=True)
class RedisWeather:
    """What holds for every connection at a time: an outage, and whether faults are over."""

    down: bool = False
    read_only: bool = False
    calm: bool = False
    forgotten: list[tuple[float, float]] = field(default_factory=list)
    """From when to when, in seconds of the run, what was written got lost in a fail-over."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a faulty connection needs to know of its replica."""

    gate: Gate
    rng: Random
    faults: RedisFaults
    weather: RedisWeather
    history: History
    who: str


class Backup:
    """What a replica of the server has; promoting it forgets what came after."""

    def __init__(self, server: FakeServer) -> None:
        self._redis = FakeRedis(server=server)
        self._kept = {key: self._redis.dump(key) or b"" for key in self._redis.keys("*")}
        self._lives_ms = {key: max(0, self._redis.pttl(key)) for key in self._kept}

    def promote(self) -> None:
        """This is the server now, with an empty cache of scripts."""
        self._redis.flushall()
        self._redis.script_flush()
        for key, value in self._kept.items():
            self._redis.restore(key, self._lives_ms[key], value)


class FaultyRedis(FakeAsyncRedis):
    """One replica's connection to the shared server."""

    def __init__(self, server: FakeServer, around: Surroundings) -> None:
        super().__init__(server=server, host="redis")
        self._around = around

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command, or fail as a network and a server may."""
        execute: Callable[..., Awaitable[Any]] = super().execute_command
        return await self.faulty(lambda: execute(*args, **options))

    def pipeline(self, transaction: bool = False, shard_hint: str | None = None) -> FaultyPipeline:
        """Several commands that arrive, or get lost, together."""
        return FaultyPipeline(self, transaction, shard_hint)

    async def faulty(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do the work, or fail as a network and a server may: before it, after it, or by doing it
        twice.
        """
        around = self._around
        await around.gate.cross()
        await asyncio.sleep(around.rng.uniform(*LATENCY_S))
        await around.gate.cross()
        self._complain_of_the_weather()
        fault = "" if around.weather.calm else self._drawn()
        if fault == "refused":
            around.history.say("fault", f"{around.who}: Redis connection refused")
            raise Disconnected("connection refused by the fuzzer")
        reply = await work()
        if fault == "repeated":
            around.history.say("fault", f"{around.who}: Redis command run twice")
            await asyncio.sleep(RETRY_S)
            self._complain_of_the_weather()
            reply = await work()
        await asyncio.sleep(around.rng.uniform(*LATENCY_S))
        await around.gate.cross()
        if fault == "lost_reply":
            around.history.say("fault", f"{around.who}: Redis reply lost")
            raise Disconnected("reply lost by the fuzzer")
        return reply

    def _complain_of_the_weather(self) -> None:
        weather = self._around.weather
        if weather.down:
            raise Disconnected("server down by the fuzzer")
        if weather.read_only:
            raise ReadOnlyError("READONLY You can't write against a read only replica.")

    def _drawn(self) -> str:
        faults, drawn = self._around.faults, self._around.rng.random()
        for name in ("refused", "lost_reply", "repeated"):
            drawn -= getattr(faults, name)
            if drawn < 0:
                return name
        return ""


class FaultyPipeline(Pipeline):
    """Commands that share one fate on their way."""

    def __init__(self, connection: FaultyRedis, transaction: bool, shard_hint: str | None) -> None:
        pool, callbacks = connection.connection_pool, connection.response_callbacks
        super().__init__(pool, callbacks, transaction, shard_hint)
        self._connection = connection

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send them, or fail as a network and a server may."""
        commands = list(self.command_stack)

        async def work() -> list[Any]:
            self.command_stack = list(commands)
            replies: list[Any] = await super(FaultyPipeline, self).execute(raise_on_error)
            return replies

        replies: list[Any] = await self._connection.faulty(work)
        return replies
