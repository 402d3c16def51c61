"""A Redis connection for virtual time: each command is answered before the loop goes on, so that
the clock of a simulation never runs ahead of a reply that is on its way.
"""

import socket
from collections.abc import Iterable
from typing import Any

import redis.asyncio
from redis.asyncio.connection import UnixDomainSocketConnection


class _Reader:
    """The part of StreamReader that the parser of redis-py uses."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def read(self, most: int) -> bytes:
        return self._socket.recv(most)

    def at_eof(self) -> bool:
        return False


class _Writer:
    """The part of StreamWriter that redis-py uses."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        self._socket.sendall(b"".join(lines))

    async def drain(self) -> None:
        """Everything was sent at once."""

    def close(self) -> None:
        self._socket.close()

    async def wait_closed(self) -> None:
        """Closing does not wait."""


class BlockingConnection(UnixDomainSocketConnection):
    """Sends and reads with a plain blocking socket, behind redis-py's asynchronous face."""

    async def _connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect(self.path)
        connected.settimeout(60.0)
        parts: tuple[Any, Any] = (_Reader(connected), _Writer(connected))
        self._reader, self._writer = parts
        await self.on_connect()

    async def can_read(self) -> bool:
        """Nothing ever comes unasked for."""
        return False


def connect_blocking(socket_path: str) -> redis.asyncio.Redis:
    """A client for `ecs_queue.client.Queue` on a server's unix socket."""
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=BlockingConnection,
        path=socket_path,
        protocol=2,
        max_connections=4,
        timeout=None,
    )
    return redis.asyncio.Redis.from_pool(pool)
