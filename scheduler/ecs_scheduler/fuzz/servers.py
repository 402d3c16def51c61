"""Real Valkey servers for the fuzzer: one is in use, the others stand by to take over from it.

Each command is answered before the event loop goes on, so that the virtual clock never runs ahead
of a reply. Packing and parsing are hiredis's; nothing else of a client is in between.
"""

from __future__ import annotations

import copy
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import hiredis
import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from ecs_queue.embedded import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from redis.commands.core import AsyncScript

SERVERS = 3
OPTIONS = (
    # Small collections keep the order in which they were filled, so that a seed replays exactly.
    *("--hash-max-listpack-entries", "100000", "--hash-max-listpack-value", "100000"),
    *("--set-max-listpack-entries", "100000", "--set-max-listpack-value", "100000"),
    *("--hz", "1"),
)
ANSWER_S = 60.0
READ_BYTES = 1 << 16
CPU_USED = re.compile(rb"used_cpu_(?:sys|user):([0-9.]+)")


def _error(message: str) -> ResponseError:
    """An error reply as redis-py raises it."""
    code, _, rest = message.partition(" ")
    kinds = {"NOSCRIPT": NoScriptError, "READONLY": ReadOnlyError}
    return kinds[code](rest) if code in kinds else ResponseError(message.removeprefix("ERR "))


class _Connection:
    """A blocking connection: so many commands there, so many replies back."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(socket_path)
        self._socket.settimeout(ANSWER_S)
        self._reader = hiredis.Reader(replyError=_error)

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        self._socket.sendall(b"".join(map(hiredis.pack_command, map(tuple, commands))))
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(READ_BYTES))
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Backup:
    """What a replica of the server has: keys, their life in ms (0: for ever), and values."""

    keys: tuple[tuple[bytes, int, bytes], ...]


class Servers:
    """As a context manager: Valkey servers of our own, used again for one run after the other.

    Raises:
        EmbeddedServerFailed: on entering, when there is no server to start.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._connections: list[_Connection] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(SERVERS):
                server = stack.enter_context(EmbeddedValkey(options=OPTIONS))
                connection = _Connection(str(server.socket_path))
                stack.callback(connection.close)
                self._connections.append(connection)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connections.clear()
        self._stack.close()

    def clear(self) -> None:
        """The server in use as it was when it started."""
        self.all((b"FLUSHALL",), (b"SCRIPT", b"FLUSH"))

    def cpu_s(self) -> float:
        """Seconds of CPU that all servers have used."""
        infos = [each.exchange([(b"INFO", b"cpu")])[0] for each in self._connections]
        return sum(float(used) for info in infos for used in CPU_USED.findall(info))

    def one(self, *command: Any) -> Any:
        """The reply to one command. Raises ResponseError."""
        [reply] = self._connections[0].exchange([command])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def each(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies to several commands; errors are among them."""
        return self._connections[0].exchange(commands)

    def all(self, *commands: Sequence[Any]) -> list[Any]:
        """The replies to several commands. Raises the first ResponseError."""
        replies = self.each(commands)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    def backup(self) -> Backup:
        """Everything as it is now."""
        keys = sorted(self.one(b"KEYS", b"*"))
        if not keys:
            return Backup(())
        values = self.all(*((b"DUMP", key) for key in keys))
        lives = self.all(*((b"PTTL", key) for key in keys))
        return Backup(
            tuple(
                (key, max(0, life), value)
                for key, value, life in zip(keys, values, lives, strict=True)
                if value is not None
            )
        )

    def promote(self, backup: Backup) -> None:
        """The next server takes over with what the backup has: another process, with an empty
        cache of scripts. The one before stands by, after the others.
        """
        self._connections.append(self._connections.pop(0))
        self.clear()
        self.all(*((b"RESTORE", key, life, value) for key, life, value in backup.keys))


class ServedRedis(redis.asyncio.Redis):
    """A client of the server in use; its scripts know their digests after the first time."""

    _scripts: dict[str | bytes, AsyncScript] = {}  # noqa: RUF012  shared by all: same text, same digest

    def __init__(self, servers: Servers) -> None:
        super().__init__(host="redis")
        self.servers = servers

    def register_script(self, script: Any) -> Any:
        """The script, bound to this client."""
        if script not in self._scripts:
            self._scripts[script] = super().register_script(script)
        bound = copy.copy(self._scripts[script])
        bound.registered_client = self
        return bound

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command."""
        name = str(args[0])
        command = (*name.split(), *args[1:])
        reply = await self.carried(lambda: self.servers.one(*command))
        callback = self.response_callbacks.get(name)
        return reply if callback is None else callback(reply, **options)

    def pipeline(self, transaction: bool = False, shard_hint: str | None = None) -> ServedPipeline:
        """Several commands that travel together."""
        return ServedPipeline(self, transaction, shard_hint)

    async def carried(self, work: Callable[[], Any]) -> Any:
        """Do the work of one request; a way for faults to get in between."""
        return work()


class ServedPipeline(Pipeline):
    """Commands that share one way there and back."""

    def __init__(self, client: ServedRedis, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies; errors are among them, whatever `raise_on_error` says."""
        commands = [args for args, _ in self.command_stack]
        self.command_stack = []
        replies: list[Any] = await self._client.carried(lambda: self._client.servers.each(commands))
        return replies
