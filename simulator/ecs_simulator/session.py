"""An HTTP session for aiobotocore that serves requests in process: real serialisation, no
sockets."""

from typing import Any

from aiobotocore.awsrequest import AioAWSResponse

from ecs_simulator.simulation import SimulatedEcs
from ecs_simulator.wire import answer


class _Body:
    """What AioAWSResponse reads the body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


class InProcessSession:
    """The part of aiobotocore's AIOHTTPSession that the endpoint uses."""

    ecs: SimulatedEcs

    def __init__(self, **_: Any) -> None:
        """Connection settings have no meaning here."""

    async def __aenter__(self) -> "InProcessSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: Any) -> AioAWSResponse:
        """Answer one prepared AWS request."""
        target = request.headers.get("X-Amz-Target")
        target = target.decode() if isinstance(target, bytes) else target
        body = request.body or b""
        served = answer(self.ecs, target, body.encode() if isinstance(body, str) else body)
        return AioAWSResponse(request.url, served.status, served.headers, _Body(served.body))


def session_class(ecs: SimulatedEcs) -> type[InProcessSession]:
    """A session class bound to one simulated ECS."""
    return type("InProcessSession", (InProcessSession,), {"ecs": ecs})
