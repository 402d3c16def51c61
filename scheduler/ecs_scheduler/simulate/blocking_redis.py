"""A Redis connection for virtual time: each command is answered before the loop goes on, so that
the clock of a simulation never runs ahead of a reply that is on its way.
"""

import socket
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
import redis.asyncio
from redis._parsers.base import BaseParser
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

    def pack_command(self, *args: Any) -> list[bytes]:
        """What hiredis makes of a command, in a tenth of the time that redis-py takes for it."""
        first = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*first.split(), *args[1:]))]

    async def can_read(self) -> bool:
        """Nothing ever comes unasked for."""
        return False


class BlockingClient(redis.asyncio.Redis):
    """Single commands, which are nearly all, go straight through a socket of their own: the pool,
    locks and time-outs of a client that may have to wait cost twice what the server does.
    """

    _wire: "_Wire | None" = None

    def wire(self) -> "_Wire":
        """The socket; opened when it is first needed."""
        if self._wire is None:
            self._wire = _Wire(self.connection_pool.connection_kwargs["path"])
        return self._wire

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """As redis-py answers it: replies converted, errors raised."""
        reply = self.wire().ask(arguments)
        if isinstance(reply, Exception):
            raise reply
        options.pop("keys", None)
        convert = self.response_callbacks.get(arguments[0])
        return reply if convert is None else convert(reply, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Scripts that travel together go through the same socket; transactions as ever."""
        if transaction:
            return super().pipeline(transaction, shard_hint)
        return BlockingPipeline(self)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the socket and the pool."""
        if self._wire is not None:
            self._wire.close()
        await super().aclose(close_connection_pool)


class BlockingPipeline:
    """Calls of scripts that are sent as one, and answered one by one."""

    def __init__(self, client: BlockingClient) -> None:
        self._client = client
        self._calls: list[tuple[Any, ...]] = []

    def evalsha(self, sha: str, keys: int, *arguments: Any) -> None:
        """One more call."""
        self._calls.append(("EVALSHA", sha, keys, *arguments))

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies in turn, errors among them unless the first is to be raised."""
        calls, self._calls = self._calls, []
        replies = self._client.wire().ask_all(calls)
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies


class _Wire:
    """One blocking socket: commands out, their replies in."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._socket.settimeout(60.0)
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error, notEnoughData=_NOTHING)

    def ask(self, arguments: tuple[Any, ...]) -> Any:
        name, *rest = arguments  # of two words, such as SCRIPT LOAD
        self._socket.sendall(hiredis.pack_command((*name.split(), *rest)))
        return self._reply()

    def ask_all(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        self._socket.sendall(b"".join(map(hiredis.pack_command, calls)))
        return [self._reply() for _ in calls]

    def _reply(self) -> Any:
        while (reply := self._reader.gets()) is _NOTHING:
            self._reader.feed(self._socket.recv(65536))
        return reply

    def close(self) -> None:
        self._socket.close()


_NOTHING = object()


def connect_blocking(socket_path: str) -> redis.asyncio.Redis:
    """A client for `ecs_queue.client.Queue` on a server's unix socket."""
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=BlockingConnection,
        path=socket_path,
        protocol=2,
        max_connections=4,
        timeout=None,
    )
    return BlockingClient.from_pool(pool)
