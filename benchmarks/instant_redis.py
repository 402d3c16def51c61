"""A Redis client for virtual time: a real server that answers between two moments of the clock.

A loop whose clock jumps cannot wait for a socket, so each read blocks until the answer is there.
"""

import socket
from collections.abc import Iterable
from typing import Any

import redis.asyncio
from redis.asyncio import ConnectionPool, UnixDomainSocketConnection


class _Reader:
    _buffer = b""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def read(self, most: int) -> bytes:
        return self._socket.recv(most)

    def at_eof(self) -> bool:
        return False


class _Writer:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def writelines(self, chunks: Iterable[bytes]) -> None:
        self._socket.sendall(b"".join(chunks))

    async def drain(self) -> None:
        """All is sent."""

    def close(self) -> None:
        self._socket.close()

    async def wait_closed(self) -> None:
        """It is."""


class InstantConnection(UnixDomainSocketConnection):
    """A connection that takes no time of the loop's."""

    async def _connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(self.path)
        self._reader: Any = _Reader(connected)
        self._writer: Any = _Writer(connected)
        await self.on_connect()


def connect_instantly(path: str) -> redis.asyncio.Redis:
    """A client of the server at this unix socket."""
    pool = ConnectionPool(connection_class=InstantConnection, path=path, protocol=2)
    return redis.asyncio.Redis.from_pool(pool)
