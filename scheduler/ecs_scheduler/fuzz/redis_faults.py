"""A Redis that fails: shared by all replicas, each behind its own faulty connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError

from ecs_scheduler.fuzz.servers import ServedRedis

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from ecs_scheduler.fuzz.gate import Gate
    from ecs_scheduler.fuzz.history import History
    from ecs_scheduler.fuzz.servers import Servers

LATENCY_S = (0.001, 0.008)
SLOW_S = (0.5, 4.5)
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
    slow: float = 0.0
    """The command is done at once, and its reply takes seconds."""


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


class FaultyRedis(ServedRedis):
    """One replica's connection to the server in use."""

    def __init__(self, servers: Servers, around: Surroundings) -> None:
        super().__init__(servers)
        self._around = around

    async def carried(self, work: Callable[[], Any]) -> Any:
        """Do the work, or fail as a network and a server may: before it, after it, or by doing it
        twice.
        """
        around = self._around
        await around.gate.cross()
        fault = "" if around.weather.calm else self._drawn()
        slow_reply = fault in ("lost_reply", "repeated", "slow") or around.rng.random() < 0.5
        if not slow_reply:
            await self._travel()
        self._complain_of_the_weather()
        if fault == "refused":
            around.history.say("fault", f"{around.who}: Redis connection refused")
            raise Disconnected("connection refused by the fuzzer")
        reply = work()
        if fault == "repeated":
            around.history.say("fault", f"{around.who}: Redis command run twice")
            await asyncio.sleep(RETRY_S)
            self._complain_of_the_weather()
            reply = work()
        if fault == "slow":
            around.history.say("fault", f"{around.who}: Redis replies slowly")
            await asyncio.sleep(around.rng.uniform(*SLOW_S))
        if slow_reply:
            await self._travel()
        if fault == "lost_reply":
            around.history.say("fault", f"{around.who}: Redis reply lost")
            raise Disconnected("reply lost by the fuzzer")
        return reply

    async def _travel(self) -> None:
        """The way there or the way back: what matters of the two is on which side of the work."""
        await asyncio.sleep(self._around.rng.uniform(*LATENCY_S))
        await self._around.gate.cross()

    def _complain_of_the_weather(self) -> None:
        weather = self._around.weather
        if weather.down:
            raise Disconnected("server down by the fuzzer")
        if weather.read_only:
            raise ReadOnlyError("READONLY You can't write against a read only replica.")

    def _drawn(self) -> str:
        faults, drawn = self._around.faults, self._around.rng.random()
        for name in ("refused", "lost_reply", "repeated", "slow"):
            drawn -= getattr(faults, name)
            if drawn < 0:
                return name
        return ""
