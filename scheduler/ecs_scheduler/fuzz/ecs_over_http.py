"""The faulty endpoint as an HTTP session of aiobotocore: what the SDK makes of a call is part of
the run, its retries included.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiobotocore.awsrequest import AioAWSResponse

from ecs_simulator import http_session_class

if TYPE_CHECKING:
    from random import Random

    from ecs_scheduler.fuzz.ecs_faults import Endpoint


def session_class(endpoint: Endpoint) -> type:
    """The transport for `ecs.connect(http_session_cls=...)`."""
    inner = http_session_class(endpoint.ecs)
    return type("FaultySession", (_FaultySession,), {"endpoint": endpoint, "inner": inner()})


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
        return await self.endpoint.carried(_HttpRequest(request, self.inner))


class _HttpRequest:
    """A request that the SDK has signed and serialised."""

    def __init__(self, request: Any, inner: Any) -> None:
        target = request.headers["X-Amz-Target"]
        text = target.decode() if isinstance(target, bytes) else str(target)
        self.operation = text.rpartition(".")[2]
        self.url: str = request.url
        self._request = request
        self._inner = inner

    def parameters(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._request.body)
        return document

    async def served(self) -> AioAWSResponse:
        answer: AioAWSResponse = await self._inner.send(self._request)
        return answer

    def refused(self, status: int, code: str, message: str) -> AioAWSResponse:
        body = json.dumps({"__type": code, "message": message}).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "content-length": str(len(body))}
        return AioAWSResponse(self.url, status, headers, _Body(body))

    async def shortened(self, answer: AioAWSResponse, rng: Random) -> AioAWSResponse:
        document = json.loads(await answer.content)
        if document.get("tasks"):
            document["tasks"].pop(rng.randrange(len(document["tasks"])))
        body = json.dumps(document).encode()
        return AioAWSResponse(answer.url, answer.status_code, dict(answer.headers), _Body(body))


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body
