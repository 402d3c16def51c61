"""An HTTP session for aiobotocore that serves requests in process: real serialisation, no
sockets."""

import asyncio
from contextlib import suppress
from typing import Any, NoReturn

from aiobotocore.awsrequest import AioAWSResponse
from botocore.httpsession import ConnectionClosedError, ReadTimeoutError

from ecs_simulator.errors import ConnectionCut
from ecs_simulator.faults import Mishap
from ecs_simulator.simulation import SimulatedEcs
from ecs_simulator.wire import answer, mishap_of, patient_answer


class _Body:
    """What AioAWSResponse reads the body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


class InProcessSession:
    """The part of aiobotocore's AIOHTTPSession that the endpoint uses."""

    ecs: SimulatedEcs

    def __init__(self, timeout: Any = None, **_: Any) -> None:
        read = timeout[1] if isinstance(timeout, list | tuple) else timeout
        self._read_timeout_s = float("inf") if read is None else float(read)

    async def __aenter__(self) -> "InProcessSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: Any) -> AioAWSResponse:
        """Answer one prepared AWS request, raising what a real session raises when it goes
        wrong."""
        target = request.headers.get("X-Amz-Target")
        target = target.decode() if isinstance(target, bytes) else target
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        mishap = mishap_of(self.ecs, target)
        there, back = mishap.delay_before_s, mishap.delay_after_s + self.ecs.options.latency_s
        if there >= self._read_timeout_s:
            asyncio.get_running_loop().call_later(there, self._too_late, target, body, mishap)
            await self._time_out(request, self._read_timeout_s)
        if there:
            await asyncio.sleep(there)
        try:
            served = await patient_answer(self.ecs, target, body, mishap)
        except ConnectionCut as cut:
            raise ConnectionClosedError(
                error=cut, request=request, endpoint_url=request.url
            ) from cut
        if there + back >= self._read_timeout_s:
            await self._time_out(request, self._read_timeout_s - there)
        if back:
            await asyncio.sleep(back)
        return AioAWSResponse(request.url, served.status, served.headers, _Body(served.body))

    def _too_late(self, target: str | None, body: bytes, mishap: Mishap) -> None:
        """The request arrives when nobody waits for its answer any longer."""
        with suppress(ConnectionCut):
            answer(self.ecs, target, body, mishap)

    async def _time_out(self, request: Any, after_s: float) -> NoReturn:
        await asyncio.sleep(after_s)
        raise ReadTimeoutError(endpoint_url=request.url)


def http_session_class(ecs: SimulatedEcs) -> type[InProcessSession]:
    """An HTTP session class for `AioConfig(http_session_cls=...)`, bound to one simulated ECS."""
    return type("InProcessSession", (InProcessSession,), {"ecs": ecs})
