"""An ECS endpoint that fails: calls that get lost, answers that do, 5xx, throttles, late work.

`session_class` makes an HTTP session for aiobotocore that serves from the simulated ECS, behind
one replica's gate.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from aiobotocore.awsrequest import AioAWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from ecs_simulator import http_session_class

if TYPE_CHECKING:
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

HELD_UP_S = 1.0
"""A launch that its process held up this long between deciding and sending may come too late for
any bound: no check before the call can exclude it.
"""


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


@dataclass(slots=True)
class EcsWeather:
    """What all replicas' endpoints share; `tokens` counts how often each launch token was sent."""

    calm: bool = False
    tokens: dict[str, int] = field(default_factory=dict)
    beyond_bounds: int = 0
    arriving: set[asyncio.Task[None]] = field(default_factory=set)


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

    def session_class(self) -> type:
        """The transport for `ecs.connect(http_session_cls=...)`."""
        inner = http_session_class(self.ecs)
        return type("FaultySession", (_FaultySession,), {"endpoint": self, "inner": inner()})


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


class _FaultySession:
    endpoint: Endpoint
    inner: Any

    def __init__(self, **_: Any) -> None:
        """Connection settings have no meaning here."""

    async def __aenter__(self) -> _FaultySession:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: Any) -> AioAWSResponse:
        endpoint, operation = self.endpoint, _operation(request)
        entered_s = asyncio.get_running_loop().time()
        await endpoint.gate.cross()
        await asyncio.sleep(endpoint.rng.uniform(*LATENCY_S))
        await endpoint.gate.cross()
        fault = "" if endpoint.weather.calm else _drawn(endpoint, operation)
        said = f"{endpoint.who} {operation}{_told(endpoint, operation, request)}"
        endpoint.history.say("fault" if fault else "ecs", f"{said} {fault}".rstrip())
        if operation in LAUNCHES and asyncio.get_running_loop().time() - entered_s > HELD_UP_S:
            endpoint.weather.beyond_bounds += 1
            endpoint.history.say("fault", f"{endpoint.who} was frozen with this call in hand")
        answer = await self._served(request, fault)
        await asyncio.sleep(endpoint.rng.uniform(*LATENCY_S))
        await endpoint.gate.cross()
        return answer

    async def _served(self, request: Any, fault: str) -> AioAWSResponse:
        rng, url = self.endpoint.rng, request.url
        if fault == "not_sent":
            raise EndpointConnectionError(endpoint_url=url)
        if fault == "throttled":
            return _refusal(url, 400, "ThrottlingException", "Rate exceeded")
        if fault == "error_before":
            return _refusal(url, 500, "ServerException", "Internal error")
        if fault in ("late", "very_late"):
            self._arrive_later(request, fault)
        if fault in ("timed_out", "late", "very_late"):
            await asyncio.sleep(READ_TIMEOUT_S)
            raise ReadTimeoutError(endpoint_url=url)
        answer: AioAWSResponse = await self.inner.send(request)
        if fault == "slow":
            await asyncio.sleep(rng.uniform(*SLOW_S))
        if fault == "error_after":
            return _refusal(url, 500, "ServerException", "Internal error")
        if fault == "lost_reply":
            raise ConnectionClosedError(endpoint_url=url)
        return await _shortened(answer, rng) if fault == "incomplete" else answer

    def _arrive_later(self, request: Any, fault: str) -> None:
        """The request outlives the client that sent it, its process included."""
        endpoint = self.endpoint
        by_s = endpoint.rng.uniform(*(LATE_BY_S if fault == "late" else VERY_LATE_BY_S))
        shown_after_s = by_s + endpoint.ecs.options.undocumented.missing_after_launch_s
        endpoint.weather.beyond_bounds += shown_after_s > SHOWN_WITHIN_S

        async def arrive() -> None:
            await asyncio.sleep(by_s)
            await self.inner.send(request)
            endpoint.history.say("fault", f"{endpoint.who} late call arrives after {by_s:.1f} s")

        task = asyncio.get_running_loop().create_task(arrive(), name="late call")
        endpoint.weather.arriving.add(task)
        task.add_done_callback(endpoint.weather.arriving.discard)


def _drawn(endpoint: Endpoint, operation: str) -> str:
    drawn = endpoint.rng.random()
    for each in fields(EcsFaults):
        drawn -= getattr(endpoint.faults, each.name)
        if drawn < 0:
            only_launches = each.name in ("incomplete", "late", "very_late")
            return "" if only_launches and operation not in LAUNCHES else each.name
    return ""


def _operation(request: Any) -> str:
    target = request.headers["X-Amz-Target"]
    text = target.decode() if isinstance(target, bytes) else str(target)
    return text.rpartition(".")[2]


def _told(endpoint: Endpoint, operation: str, request: Any) -> str:
    """What the history says of a call; launches are counted by their token."""
    if operation not in (*LAUNCHES, "StopTask"):
        return ""
    body = json.loads(request.body)
    if operation == "StopTask":
        return f" {body['task'].rpartition('/')[2]}"
    token = body["startedBy"]
    tokens = endpoint.weather.tokens
    tokens[token] = tokens.get(token, 0) + 1
    places = [each.rpartition("/")[2][:8] for each in body.get("containerInstances", ())]
    return f" {token} {' '.join(places) or body.get('count', 1)}"


def _refusal(url: str, status: int, code: str, message: str) -> AioAWSResponse:
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = {"content-type": "application/x-amz-json-1.1", "content-length": str(len(body))}
    return AioAWSResponse(url, status, headers, _Body(body))


async def _shortened(answer: AioAWSResponse, rng: Random) -> AioAWSResponse:
    """The answer without one of its tasks; an answer without tasks as it is."""
    document = json.loads(await answer.content)
    if document.get("tasks"):
        document["tasks"].pop(rng.randrange(len(document["tasks"])))
    body = json.dumps(document).encode()
    return AioAWSResponse(answer.url, answer.status_code, dict(answer.headers), _Body(body))
