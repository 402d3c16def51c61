"""Scripts that are called in the same turn of the event loop travel to Redis together.

A scheduler has dozens of small scripts under way at once; sent one by one, redis-py's work for each
costs several times what the server's does. A few batches are under way at a time, and what is
called meanwhile waits for the next: the busier the service, the fuller the batches.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from ecs_queue.lean import LeanClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.cluster import RedisCluster
    from redis.commands.core import AsyncScript

BATCHES = 4
"""Batches under way at a time; a fifth of a client's connections."""

BATCH_CALLS = 64
"""Calls in a batch, so that the last answer comes long before the time-out."""


@dataclass(frozen=True, slots=True)
class _Call:
    script: AsyncScript
    keys: Sequence[bytes]
    args: Sequence[str | bytes | int]
    answer: asyncio.Future[Any]


class Pipelining:
    """Runs scripts over one client, several in a round trip where they come together.

    A cluster's client sends each by itself: its pipelines take no scripts.
    """

    def __init__(self, client: redis.asyncio.Redis | RedisCluster) -> None:
        self._client = client
        self._together = isinstance(client, redis.asyncio.Redis)
        self._waiting: list[_Call] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._next: asyncio.Task[None] | None = None  # will take what waits in its first turn
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(
        self, script: AsyncScript, keys: Sequence[bytes], args: Sequence[str | bytes | int]
    ) -> Any:
        """The raw answer of one script. Raises what redis-py raises.

        A caller that is cancelled stops waiting; its script may have run, as with any lost reply.
        """
        if not self._together:
            return await script(keys=keys, args=args)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._waiting, self._sending, self._next = loop, [], set(), None
        call = _Call(script, keys, args, loop.create_future())
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._begin_batch()
        return await call.answer

    async def alone(
        self, script: AsyncScript, keys: Sequence[bytes], args: Sequence[str | bytes | int]
    ) -> Any:
        """The same at once, without waiting for others of this turn, nor they for its answer."""
        if not self._together:
            return await script(keys=keys, args=args)
        unused = asyncio.get_running_loop().create_future()
        [reply] = await self._replies([_Call(script, keys, args, unused)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _begin_batch(self) -> None:
        """What is called until the task's own turn, the loop's next, is in the batch."""
        if self._waiting and self._next is None and len(self._sending) < BATCHES:
            self._next = asyncio.create_task(self._send_waiting(), name="redis batch")
            self._sending.add(self._next)
            self._next.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task is self._next:  # cancelled before its first turn
            self._next = None
        self._begin_batch()

    async def _send_waiting(self) -> None:
        self._next = None
        batch, self._waiting = self._waiting[:BATCH_CALLS], self._waiting[BATCH_CALLS:]
        self._begin_batch()
        if wanted := [call for call in batch if not call.answer.done()]:
            await self._send(wanted)

    async def _send(self, batch: Sequence[_Call]) -> None:
        try:
            replies = await self._replies(batch)
        except Exception as error:  # each caller judges it, as if it had sent its call alone
            replies = [error] * len(batch)
        except BaseException:
            for call in batch:
                call.answer.cancel()
            raise
        for call, reply in zip(batch, replies, strict=True):
            if call.answer.done():
                continue
            if isinstance(reply, Exception):
                call.answer.set_exception(reply)
            else:
                call.answer.set_result(reply)

    async def _replies(self, batch: Sequence[_Call]) -> list[Any]:
        replies = await self._sent_together(batch)
        for place, (call, reply) in enumerate(zip(batch, replies, strict=True)):
            if isinstance(reply, NoScriptError):  # not run: the server has forgotten its scripts
                try:
                    replies[place] = await call.script(keys=call.keys, args=call.args)
                except RedisError as error:
                    replies[place] = error
        return replies

    async def _sent_together(self, batch: Sequence[_Call]) -> list[Any]:
        if isinstance(self._client, LeanClient):
            return await self._client.exchange([_packed(call) for call in batch])
        if len(batch) == 1:
            return [await batch[0].script(keys=batch[0].keys, args=batch[0].args)]
        assert isinstance(self._client, redis.asyncio.Redis)
        pipeline = self._client.pipeline(transaction=False)
        for call in batch:
            pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


def _packed(call: _Call) -> bytes:
    words: tuple[Any, ...] = (call.script.sha, len(call.keys), *call.keys, *call.args)
    packed: bytes = hiredis.pack_command(("EVALSHA", *words))
    return packed
