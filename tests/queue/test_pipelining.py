"""Calls that come together travel together, and each gets its own answer."""

import asyncio
from pathlib import Path

import pytest
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import LeaseLost, QueueError, QueueUnreachable, UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobRecord, JobState, OwnerId

IDS = [JobId(f"job-{number}") for number in range(150)]


async def submitted(queue: Queue) -> None:
    await queue.submit([Job(id=each, task_definition="sleep:1") for each in IDS])


async def reads(client: redis.asyncio.Redis) -> int:
    return int((await client.info("stats"))["total_reads_processed"])


async def test_calls_of_one_turn_travel_together(valkey: EmbeddedValkey) -> None:
    """The server reads a few times for 150 calls, and each call gets the answer it asked for."""
    client = connect(valkey.url)
    await client.flushall()
    queue = Queue(client)
    await submitted(queue)
    await queue.job(IDS[0])
    before = await reads(client)
    records = await asyncio.gather(*(queue.job(each) for each in IDS))
    assert [each.job.id for each in records] == IDS
    assert await reads(client) - before < 15
    await client.aclose()


async def test_one_call_that_fails_leaves_the_others_alone(
    queue: Queue, client: redis.asyncio.Redis
) -> None:
    """An unknown job, and a key of a wrong type, are the business of who asked for them."""
    await submitted(queue)
    await client.set("{q:default}:job:broken", "no hash")
    asked = [IDS[0], JobId("nobody"), JobId("broken"), IDS[1]]
    first, unknown, broken, last = await asyncio.gather(
        *(queue.job(each) for each in asked), return_exceptions=True
    )
    assert isinstance(first, JobRecord)
    assert isinstance(unknown, UnknownJob)
    assert isinstance(broken, QueueError)
    assert isinstance(last, JobRecord)
    assert last.job.id == IDS[1]


async def test_a_server_that_forgot_the_scripts_is_taught_them(
    queue: Queue, client: redis.asyncio.Redis
) -> None:
    """After a restart or a failover every call of a batch is answered all the same."""
    await submitted(queue)
    await client.script_flush()
    records = await asyncio.gather(*(queue.job(each) for each in IDS[:20]))
    assert [each.job.id for each in records] == IDS[:20]


async def test_a_caller_that_gives_up_takes_nobody_with_it(queue: Queue) -> None:
    """Its answer is dropped; the rest of the batch is answered."""
    await submitted(queue)
    calls = [asyncio.create_task(queue.job(each)) for each in IDS[:10]]
    await asyncio.sleep(0)
    calls[3].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert all(isinstance(each, JobRecord) for each in answers)


async def test_every_caller_hears_that_the_server_is_away(tmp_path: Path) -> None:
    """Nobody waits for ever for an answer of a batch that could not be sent."""
    client = connect(f"unix://{tmp_path}/nobody.sock")
    queue = Queue(client)
    answers = await asyncio.gather(*(queue.counts() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in answers] == [QueueUnreachable] * 5
    with pytest.raises(QueueUnreachable):
        await queue.counts()
    await client.aclose()


async def test_many_jobs_keep_their_order(queue: Queue) -> None:
    """While one batch is on its way the next is written down, and none overtakes another."""
    ids = [JobId(f"in-line-{number}") for number in range(1_201)]
    answers = await queue.submit([Job(id=each, task_definition="sleep:1") for each in ids])
    assert [each.job_id for each in answers] == ids
    page = await queue.jobs(JobState.RUNNABLE, limit=1_201)
    assert [each.job.id for each in page] == ids


async def test_a_claim_travels_alone(queue: Queue, client: redis.asyncio.Redis) -> None:
    """Its long answer holds up nobody's, whoever calls in the same turn and whatever fails."""
    await submitted(queue)
    owner = OwnerId("alice")
    with pytest.raises(LeaseLost):
        await queue.claim(owner, 10)
    await queue.open_lease(owner, lease_ms=60_000)
    await client.script_flush()
    reading = [asyncio.create_task(queue.job(each)) for each in IDS[20:30]]
    claims = await queue.claim(owner, 10)
    records = await asyncio.gather(*reading)
    assert [each.job.id for each in claims] == IDS[:10]
    assert [each.job.id for each in records] == IDS[20:30]
    await client.set("{q:default}:claims", "no hash")
    with pytest.raises(QueueError, match="could not run a script"):
        await queue.claim(owner, 10)
