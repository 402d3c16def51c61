"""Stories of replies that never arrive: the work was done, the client asks again.

A proxy stands between client and server; told so, it swallows the next answer to a script and
cuts the connection, as a failing network would.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import QueueUnreachable
from ecs_queue.job import Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.states import (
    Cancelled,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Started,
    TaskArn,
    TaskFailed,
)
from ecs_queue.submissions import Accepted, Admission

if TYPE_CHECKING:
    from tests.queue.conftest import Clock

ALICE, A = OwnerId("alice"), JobId("a")
JOB = Job(id=A, task_definition="sleep:1")


@dataclass
class Proxy:
    """Passes bytes on; drops the answers to the next `losses` scripts that the server has run."""

    server: Path
    losses: int = 0
    lost: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_unix_connection(str(self.server))
        with contextlib.suppress(ConnectionError):
            while request := await reader.read(1 << 20):
                onward_writer.write(request)
                answer = await onward_reader.read(1 << 20)
                ran = b"EVALSHA" in request and not answer.startswith(b"-NOSCRIPT")
                if ran and self.lost < self.losses:
                    self.lost += 1
                    break
                writer.write(answer)
        onward_writer.close()
        writer.close()


@pytest_asyncio.fixture
async def proxy(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy(valkey.socket_path)
    server = await asyncio.start_unix_server(proxy.serve, tmp_path / "proxy.sock")
    yield proxy
    server.close()
    await server.wait_closed()


@pytest_asyncio.fixture
async def client(proxy: Proxy, tmp_path: Path) -> AsyncIterator[redis.asyncio.Redis]:
    client = connect(f"unix://{tmp_path}/proxy.sock")
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def queue(client: redis.asyncio.Redis, clock: "Clock") -> Queue:
    return Queue(client, now_ms=clock)


async def test_every_answer_of_a_life_is_lost_once(proxy: Proxy, queue: Queue) -> None:
    """With each reply lost once, all answers are the first ones and nothing is duplicated."""
    token, task = LaunchToken("token"), TaskArn("arn:1")

    def lose_the_next() -> None:
        proxy.losses = proxy.lost + 1

    lose_the_next()
    assert await queue.submit([JOB]) == (Accepted(A),)
    lose_the_next()
    await queue.open_lease(ALICE, lease_ms=30_000)
    lose_the_next()
    (claim,) = await queue.claim(ALICE, 1)
    lose_the_next()
    allowed = await queue.intend(ALICE, token, "RunTask", [Intent(A, claim.epoch, None)])
    assert allowed == {A}
    lose_the_next()
    await queue.settle(token, [Started(A, task, None)])
    lose_the_next()
    assert await queue.finish(task, TaskFailed("exit code 1", 1)) == JobState.FAILED
    assert proxy.lost == 6
    record = await queue.job(A)
    assert (record.launches, len(record.attempts)) == (1, 1)
    assert len(await queue.events()) == 3


async def test_an_admission_whose_answer_is_lost(
    proxy: Proxy, queue: Queue, client: redis.asyncio.Redis
) -> None:
    """The repeated admission reports what the first one took."""
    await client.xadd(inbox_key(), {"job": '{"id":"a","task_definition":"t"}'})
    await client.xadd(inbox_key(), {"job": "no JSON"})
    proxy.losses = 2  # of reading the inbox and of taking from it
    assert await queue.admit(ALICE) == Admission((Accepted(A),), dead=1)
    assert (proxy.lost, len(await queue.dead_letters())) == (2, 1)


async def test_a_cancellation_whose_answer_is_lost(proxy: Proxy, queue: Queue) -> None:
    """A repeated cancellation answers as the first did."""
    await queue.submit([JOB])
    proxy.losses = 1
    assert await queue.cancel([A]) == (Cancelled(A),)


async def test_a_claim_that_was_never_answered(proxy: Proxy, queue: Queue) -> None:
    """When all tries fail, the owner's next claim gets the jobs that the server holds for it."""
    await queue.submit([JOB, Job(id=JobId("b"), task_definition="t")])
    await queue.open_lease(ALICE, lease_ms=30_000)
    proxy.losses = 4
    with pytest.raises(QueueUnreachable):
        await queue.claim(ALICE, 1)
    assert proxy.lost == 4
    assert [claim.job.id for claim in await queue.claim(ALICE, 1)] == ["a"]
    assert [claim.job.id for claim in await queue.claim(ALICE, 1)] == ["b"]


async def test_a_call_given_up_half_way(queue: Queue) -> None:
    """After a cancelled call, the next one does not read its answer."""
    for number in range(20):
        call = asyncio.ensure_future(queue.submit([JOB]))
        for _ in range(number):
            await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert sum((await queue.counts()).values()) in (0, 1)
    await queue.submit([JOB])
    assert (await queue.job(A)).job == JOB
