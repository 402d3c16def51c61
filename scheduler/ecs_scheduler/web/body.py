"""How long the body of a request may take, and how much of it is read."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request

BODY_TIMEOUT_S = 10.0
"""Whoever sends a byte now and then would otherwise hold a connection for ever."""

T = TypeVar("T")


class BodyTooLarge(Exception):
    """The request's body exceeds what the route takes."""


class BodyTooSlow(Exception):
    """The request's body was not there in time."""


async def in_time(body: Awaitable[T], seconds: float) -> T:
    """What `body` reads. Raises BodyTooSlow."""
    try:
        async with asyncio.timeout(seconds):
            return await body
    except TimeoutError:
        raise BodyTooSlow(f"the body was not there after {seconds:g} s; send it again") from None


async def bounded(request: Request, most: int, advice: str) -> bytes:
    """The whole body. Raises BodyTooLarge, with advice, once it exceeds `most` bytes."""
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdigit() and int(declared) > most):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise BodyTooLarge(f"the body exceeds {most} bytes; {advice}")
