"""Scripts over redis-py's connections without its client in between, which takes several times what
the server does for a small script: tasks, locks and timers for each call.

redis-py connects, authenticates, reads replies and says what is tried again, and when.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import hiredis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as NoAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = 4
"""Connections that stay out of the pool between two calls; a quarter of a client's."""


class LeanConnection(AbstractConnection):
    """Writes with hiredis, as redis-py's synchronous connections do; its asyncio ones take five
    times as long, which is a third of the work of enqueueing.
    """

    _packer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        """One command as RESP."""
        if args[0] == "EVALSHA":  # ours; redis-py's packer looks at each argument's type first
            return [hiredis.pack_command(args)]
        packed: list[bytes] = self._packer.pack(*args)
        return packed

    @property
    def is_usable(self) -> bool:
        """Whether it is connected and the server did not hang up."""
        return self._reader is not None and not self._reader.at_eof()

    async def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """Write all commands, then read the answers; what the server refuses is an exception among
        them. The connection is closed if that fails or is cancelled half-way.

        Raises:
            ConnectionError: of redis-py; the server hung up.
            TimeoutError: of redis-py; no answer for as long as one may take.
        """
        loop, patience = asyncio.get_running_loop(), self.socket_timeout
        writer, parser, answers = self._writer, cast("Any", self._parser), list[Any]()
        assert writer is not None
        try:
            async with asyncio.timeout(patience) as waiting:
                writer.writelines(commands)
                await writer.drain()
                for _ in commands:
                    answers.append(await parser.read_response())
                    if patience is not None:
                        waiting.reschedule(loop.time() + patience)
        except BaseException as error:
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise NoAnswer("no answer from the server in time") from error
            if isinstance(error, OSError):
                raise NoConnection(str(error)) from error
            raise
        if any(isinstance(answer, ReadOnlyError) for answer in answers):
            # It was demoted: the name may lead to its successor, once it is looked up again.
            await self.disconnect(nowait=True)
        return answers


class LeanClient(redis.asyncio.Redis):
    """A client whose scripts may bypass it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: list[LeanConnection] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """The answers to packed commands, in turn; all of them are sent again when a connection
        fails, as often as the client's Retry says. Raises as LeanConnection does.
        """
        connection = await self._connection()

        async def attempt() -> list[Any]:
            if not connection.is_usable:
                # `connect` would try as often as this is tried, each time.
                await cast("Any", connection).connect_check_health(retry_socket_connect=False)
            return await connection.exchange(commands)

        try:
            return await connection.retry.call_with_retry(attempt, _closed_already)
        finally:
            if connection.is_usable and len(self._kept) < KEPT:
                self._kept.append(connection)
            else:
                await self.connection_pool.release(connection)

    async def _connection(self) -> LeanConnection:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # connections belong to the loop that they were made in
            self._loop, left, self._kept = loop, self._kept, []
            for each in left:
                await each.disconnect(nowait=True)
                await self.connection_pool.release(each)
        while self._kept:
            connection = self._kept.pop()
            if connection.is_usable:
                return connection
            await connection.disconnect(nowait=True)
            await self.connection_pool.release(connection)
        pool: Any = self.connection_pool
        return cast("LeanConnection", await pool.get_connection())


async def _closed_already(_: Exception) -> None:
    """What is left to do after a failed attempt."""
