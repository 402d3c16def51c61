"""How long the body of a request may take, for every route that reads one."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

BODY_TIMEOUT_S = 10.0
"""Whoever sends a byte now and then would otherwise hold a connection for ever."""

T = TypeVar("T")


class BodyTooSlow(Exception):
    """The request's body was not there in time."""


async def in_time(body: Awaitable[T], seconds: float) -> T:
    """What `body` reads. Raises BodyTooSlow."""
    try:
        async with asyncio.timeout(seconds):
            return await body
    except TimeoutError:
        raise BodyTooSlow(f"the body was not there after {seconds:g} s; send it again") from None
