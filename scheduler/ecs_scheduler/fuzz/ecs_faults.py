"""An ECS that fails: calls that get lost, answers that do, 5xx, throttles, late work.

An `Endpoint` is one replica's way there. What travels is a `Request`: over HTTP, with everything
that the SDK does to it (`ecs_over_http`), or as it is (`ecs_direct`).
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from ecs_scheduler.fuzz.gate import Gate
    from ecs_scheduler.fuzz.history import History
    from ecs_simulator import SimulatedEcs

LATENCY_S = (0.02, 0.12)
SLOW_S = (1.0, 12.0)
READ_TIMEOUT_S = 15.0
LAUNCHES = ("StartTask", "RunTask")
LATE_BY_S = (0.5, 40.0)
VERY_LATE_BY_S = (60.0, 300.0)
SHOWN_WITHIN_S = 50.0
"""A task that shows later than this after its call is beyond the bound that a launch is certain
after; the rest of those 60 s goes by before the call and between two looks.
"""

FROZEN_S = (0.2, 60.0)
HELD_UP_S = 1.0
"""A launch that its process held up this long between deciding and sending may come too late for
any bound: no check before the call can exclude it.
"""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class EcsFaults:
    """Shares of calls that go wrong, each in its way."""

    lost_reply: float = 0.0
    """Done; the connection is cut before the answer."""
    timed_out: float = 0.0
    """Not done; no answer ever comes."""
    not_sent: float = 0.0
    """No connection."""
    error_before: float = 0.0
    """500, not done."""
    error_after: float = 0.0
    """500, although it was done."""
    throttled: float = 0.0
    slow: float = 0.0
    """Done at once, answered seconds later: the answer is old news."""
    incomplete: float = 0.0
    """A launch whose answer leaves out one of its tasks."""
    late: float = 0.0
    """A launch that times out, and is done later all the same."""
    very_late: float = 0.0
    """The same, later than any bound we rely on."""
    frozen: float = 0.0
    """A launch whose process is frozen between deciding and sending."""


@dataclass(slots=True)
class EcsWeather:
    """What all replicas' endpoints share; `tokens` counts how often each launch token was sent."""

    calm: bool = False
    tokens: dict[str, int] = field(default_factory=dict)
    beyond_bounds: int = 0
    arriving: set[asyncio.Task[None]] = field(default_factory=set)


class Request(Protocol[Answer]):
    """One call on its way to ECS or SQS."""

    operation: str
    url: str

    def parameters(self) -> Mapping[str, Any]:
        """What is asked for."""

    async def served(self) -> Answer:
        """Do it."""

    def refused(self, status: int, code: str, message: str) -> Answer:
        """The answer that says no; may raise instead."""

    async def shortened(self, answer: Answer, rng: Random) -> Answer:
        """The answer without one of its tasks; an answer without tasks as it is."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica's way to ECS."""

    ecs: SimulatedEcs
    gate: Gate
    rng: Random
    faults: EcsFaults
    weather: EcsWeather
    history: History
    who: str

    async def carried(self, request: Request[Answer]) -> Answer:
        """Bring a request there and its answer back, or let it fail as a network and ECS may."""
        operation, now_s = request.operation, asyncio.get_running_loop().time
        entered_s = now_s()
        if operation in LAUNCHES and not self.weather.calm:
            self._perhaps_freeze()
        await self.gate.cross()
        await asyncio.sleep(self.rng.uniform(*LATENCY_S))
        await self.gate.cross()
        fault = "" if self.weather.calm else self._drawn(operation)
        said = f"{self.who} {operation}{self._told(request)}"
        self.history.say("fault" if fault else "ecs", f"{said} {fault}".rstrip())
        if operation in LAUNCHES and now_s() - entered_s > HELD_UP_S:
            self.weather.beyond_bounds += 1
            self.history.say("fault", f"{self.who} was frozen with this call in hand")
        answer = await self._served(request, fault)
        await asyncio.sleep(self.rng.uniform(*LATENCY_S))
        await self.gate.cross()
        return answer

    def _perhaps_freeze(self) -> None:
        if self.rng.random() < self.faults.frozen:
            self.gate.freeze()
            asyncio.get_running_loop().call_later(self.rng.uniform(*FROZEN_S), self.gate.thaw)

    async def _served(self, request: Request[Answer], fault: str) -> Answer:
        if fault == "not_sent":
            raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror())
        if fault == "throttled":
            return request.refused(400, "ThrottlingException", "Rate exceeded")
        if fault == "error_before":
            return request.refused(500, "ServerException", "Internal error")
        if fault in ("late", "very_late"):
            self._arrive_later(request, fault)
        if fault in ("timed_out", "late", "very_late"):
            await asyncio.sleep(READ_TIMEOUT_S)
            raise ReadTimeoutError(endpoint_url=request.url)
        answer = await request.served()
        if fault == "slow":
            await asyncio.sleep(self.rng.uniform(*SLOW_S))
        if fault == "error_after":
            return request.refused(500, "ServerException", "Internal error")
        if fault == "lost_reply":
            raise ConnectionClosedError(endpoint_url=request.url)
        return await request.shortened(answer, self.rng) if fault == "incomplete" else answer

    def _arrive_later(self, request: Request[Any], fault: str) -> None:
        """The request outlives the client that sent it, its process included."""
        by_s = self.rng.uniform(*(LATE_BY_S if fault == "late" else VERY_LATE_BY_S))
        shown_after_s = by_s + self.ecs.options.undocumented.missing_after_launch_s
        self.weather.beyond_bounds += shown_after_s > SHOWN_WITHIN_S

        async def arrive() -> None:
            await asyncio.sleep(by_s)
            self.history.say("fault", f"{self.who} late call arrives after {by_s:.1f} s")
            await request.served()

        task = asyncio.get_running_loop().create_task(arrive(), name="late call")
        self.weather.arriving.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for the answer any more, whatever it is."""
        self.weather.arriving.discard(task)
        if not task.cancelled():
            task.exception()

    def _drawn(self, operation: str) -> str:
        drawn = self.rng.random()
        for name in FAULTS:
            drawn -= getattr(self.faults, name)
            if drawn < 0:
                only_launches = name in ("incomplete", "late", "very_late")
                return "" if only_launches and operation not in LAUNCHES else name
        return ""

    def _told(self, request: Request[Any]) -> str:
        """What the history says of a call; launches are counted by their token."""
        if request.operation not in (*LAUNCHES, "StopTask"):
            return ""
        body = request.parameters()
        if request.operation == "StopTask":
            return f" {body['task'].rpartition('/')[2]}"
        token = body["startedBy"]
        self.weather.tokens[token] = self.weather.tokens.get(token, 0) + 1
        places = [each.rpartition("/")[2][:8] for each in body.get("containerInstances", ())]
        return f" {token} {' '.join(places) or body.get('count', 1)}"


FAULTS = tuple(each.name for each in fields(EcsFaults) if each.name != "frozen")
