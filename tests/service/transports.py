"""Wires between the service and ECS that fail; a story hands one to `world` as its `faults`."""

import asyncio
import json
from typing import Any, ClassVar

from aiobotocore.awsrequest import AioAWSResponse
from aiohttp import ClientOSError
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError


def faulty(operation: str, times: int, *, work_is_done: bool, reset: bool = False) -> type:
    """A transport that cuts the connection of the first `times` calls of an operation; where it is
    reset, aiobotocore calls that a connection that could not be made.
    """

    class Faulty:
        left: ClassVar[int] = times

        async def send(self, request: Any) -> Any:
            hit = request.headers["X-Amz-Target"].decode().endswith(operation) and Faulty.left > 0
            if hit:
                Faulty.left -= 1
                if not work_is_done:
                    raise ReadTimeoutError(endpoint_url=request.url)
            response = await super().send(request)  # type: ignore[misc]
            if hit and reset:
                cause = ClientOSError(104, "Connection reset by peer")
                raise EndpointConnectionError(endpoint_url=request.url, error=cause)
            if hit:
                raise ConnectionClosedError(endpoint_url=request.url)
            return response

    return Faulty


def mute() -> type:
    """A transport whose first StartTask does its work and is never answered."""

    class Mute:
        called: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            first = not Mute.called and request.headers["X-Amz-Target"].endswith(b"StartTask")
            Mute.called = Mute.called or first
            response = await super().send(request)  # type: ignore[misc]
            if first:
                await asyncio.sleep(1000)
            return response

    return Mute


class Body:
    """What a response is read from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def answered(request: Any, status: int, document: Any) -> AioAWSResponse:
    """What ECS would say in answer to a request."""
    headers = {"content-type": "application/x-amz-json-1.1"}
    return AioAWSResponse(request.url, status, headers, Body(json.dumps(document).encode()))
