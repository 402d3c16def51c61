"""Scripts that bypass redis-py's client are answered as if they did not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import hiredis
import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import QueueUnreachable
from ecs_queue.job import Job, JobId
from ecs_queue.lean import KEPT, LeanClient


@pytest_asyncio.fixture
async def lean(valkey: EmbeddedValkey) -> AsyncIterator[LeanClient]:
    client = connect(valkey.url)
    assert isinstance(client, LeanClient)
    await client.flushall()
    yield client
    await client.aclose()


def packed(*words: Any) -> bytes:
    command: bytes = hiredis.pack_command(words)
    return command


async def test_a_server_that_hung_up_is_called_again(lean: LeanClient) -> None:
    """Connections that were kept and are closed meanwhile cost a caller nothing."""
    queue = Queue(lean)
    await asyncio.gather(*(queue.counts() for _ in range(300)))
    await lean.client_kill_filter(_type="normal", skipme=True)
    assert len(await asyncio.gather(*(queue.counts() for _ in range(300)))) == 300


async def test_an_answer_nobody_waits_for_is_not_the_next_ones(lean: LeanClient) -> None:
    """A cancelled exchange closes its connection, on which the answer is still to come."""
    waiting = asyncio.create_task(lean.exchange([packed("BLPOP", "nobody", "0.2")]))
    blocked = 0
    while not blocked:
        blocked = (await lean.info("clients"))["blocked_clients"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await lean.exchange([packed("ECHO", "mine")]) == [b"mine"]


async def test_a_demoted_server_is_left(lean: LeanClient) -> None:
    """Its name may mean another one by now, so that the next call looks it up again."""
    queue, jobs, ours = (
        Queue(lean),
        [Job(id=JobId("a"), task_definition="t")],
        [packed("CLIENT", "ID")],
    )
    await queue.submit(jobs)
    [before] = await lean.exchange(ours)
    assert await lean.exchange(ours) == [before]
    await lean.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(QueueUnreachable, match="read only"):
            await queue.submit(jobs)
        [after] = await lean.exchange(ours)
        assert after != before
    finally:
        await lean.replicaof("NO", "ONE")


async def test_a_server_that_is_gone_is_called_again_a_few_times_only() -> None:
    """To connect is one try of as many as a call has, not as many again for each."""
    writers: list[asyncio.StreamWriter] = []
    gone = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        commands = hiredis.Reader()
        while not gone and (data := await reader.read(1000)):
            commands.feed(data)
            while commands.gets():
                writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = connect(f"redis://127.0.0.1:{port}")
        assert isinstance(client, LeanClient)
        assert await client.exchange([packed("ECHO", "x")]) == [b"OK"]
        gone, before = True, len(writers)
        writers[0].close()
        with pytest.raises(NoConnection):
            await client.exchange([packed("ECHO", "x")])
        assert 0 < len(writers) - before <= 4
        await client.aclose()


async def test_what_the_server_refuses_is_an_answer_too(lean: LeanClient) -> None:
    """Those around it get theirs."""
    first, refused, last = await lean.exchange(
        [packed("ECHO", "a"), packed("NONSENSE"), packed("ECHO", "b")]
    )
    assert (first, last) == (b"a", b"b")
    assert isinstance(refused, ResponseError)


async def test_others_find_connections_too(lean: LeanClient) -> None:
    """However many exchanges are under way, a few connections stay out of the pool afterwards."""
    answers = await asyncio.gather(*(lean.exchange([packed("ECHO", "x")]) for _ in range(100)))
    assert answers == [[b"x"]] * 100
    pool = lean.connection_pool
    assert len(pool._in_use_connections) <= KEPT
