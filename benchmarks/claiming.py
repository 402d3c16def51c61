"""How long a claim takes, by a process of its own beside the producers of its jobs."""

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import hiredis
import redis.asyncio
from benchmarks.queue_server import (
    OWNER,
    ROUNDS,
    Row,
    raw_round_trips,
    rewritten,
    row,
    seconds,
    server_seconds,
)
from pydantic_core import from_json

from ecs_queue import scheduling
from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.lean import LeanClient
from ecs_queue.script import Command
from ecs_queue.states import Claim, JobState, Release
from ecs_scheduler.interpreter import collecting_seldom


async def in_a_process_of_its_own(work: Callable[..., list[Row]], *arguments: object) -> list[Row]:
    """As a scheduler is: beside its producers, whose million jobs have been through this one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def claiming(url: str, count: int) -> list[Row]:
    """`claim_rows` in this process."""

    async def on(client: redis.asyncio.Redis) -> list[Row]:
        try:
            return await claim_rows(Queue(client), client, count)
        finally:
            await client.aclose()

    return asyncio.run(on(connect(url)))


async def read_and_parsed_ms(client: redis.asyncio.Redis, count: int) -> float:
    """Median of an MGET of the hundred documents that come next, bare of any script, and of their
    parsing as JSON: what a claim that writes nothing down and makes no jobs of them would take.
    """
    ids: Any = await client.zrange("{q:default}:ready", 0, 99)
    command: bytes = hiredis.pack_command(("MGET", *(b"{q:default}:doc:" + each for each in ids)))
    assert isinstance(client, LeanClient)

    async def read() -> None:
        [documents] = await client.exchange([command])
        from_json(b"[%b]" % b",".join(each[each.find(b"{") :] for each in documents))

    return statistics.median([await seconds(read) for _ in range(count)]) * 1000


@dataclass(frozen=True)
class ClaimTimes:
    """Of each claim(100), sorted: milliseconds until its jobs are there, until the server's reply
    is, and of CPU here and in the server.
    """

    wall: list[float]
    reply: list[float]
    here: list[float]
    server: list[float]


async def timed_claims(queue: Queue, client: redis.asyncio.Redis, count: int) -> ClaimTimes:
    """Claims with their jobs decoded; what was claimed is given back in between."""
    claims: tuple[Claim, ...] = ()
    replied = 0.0

    async def claim() -> None:
        nonlocal claims
        command = scheduling.claim(OWNER, queue.new_token(), 100)
        claims = await queue.run(replace(command, parse=lambda reply: parse(command, reply)))

    def parse(command: Command[tuple[Claim, ...]], reply: Any) -> tuple[Claim, ...]:
        nonlocal replied
        replied = time.perf_counter()
        return command.parse(reply)

    wall, replies, here, server = [], [], [], []
    for _ in range(count):
        asked = await server_seconds(client)
        # Twice, so that what the asking itself takes can be left out.
        before, worked = await server_seconds(client), time.process_time()
        began = time.perf_counter()
        wall.append(await seconds(claim) * 1000)
        replies.append((replied - began) * 1000)
        here.append((time.process_time() - worked) * 1000)
        server.append((await server_seconds(client) - before - (before - asked)) * 1000)
        assert len(claims) == 100
        await queue.release(OWNER, [Release(c.job.id, c.epoch, "") for c in claims])
        claims = ()  # to free them is no part of the next claim
    return ClaimTimes(sorted(wall), sorted(replies), sorted(here), sorted(server))


@dataclass(frozen=True)
class ClaimRound:
    """Claims, and what the same machine took in the same second for an empty script and for a bare
    read of as many documents, ms.
    """

    empty: float
    floor: float
    times: ClaimTimes

    @property
    def p50(self) -> float:
        """Of a claim, ms."""
        return statistics.median(self.times.wall)


async def claim_round(queue: Queue, client: redis.asyncio.Redis, count: int) -> ClaimRound:
    """After a second's rest: a shared machine is fast or slow for seconds on end."""
    await asyncio.sleep(1.0)
    empty = 1000 / await raw_round_trips(client, count)
    floor = await read_and_parsed_ms(client, count)
    return ClaimRound(empty, floor, await timed_claims(queue, client, count))


async def claim_rows(queue: Queue, client: redis.asyncio.Redis, count: int) -> list[Row]:
    """What a claim of a hundred jobs takes from the backlog that is there."""
    backlog = (await queue.counts())[JobState.RUNNABLE]
    await rewritten(client)
    await queue.open_lease(OWNER, lease_ms=600_000)
    with collecting_seldom():  # as in the service
        rounds = [await claim_round(queue, client, count) for _ in range(ROUNDS)]
    await queue.hand_back(OWNER)

    def usual(figure: Callable[[ClaimRound], float]) -> float:
        return statistics.median(map(figure, rounds))

    note = (
        f"at a backlog of {backlog}, no two jobs alike, all decoded; median of {ROUNDS} rounds,"
        f" {min(each.p50 for each in rounds):.2f} to {max(each.p50 for each in rounds):.2f};"
        f" {usual(lambda each: each.p50 / each.empty):.1f} x an empty script,"
        f" {usual(lambda each: each.p50 / each.floor):.1f} x raw_read_100; CPU of one:"
        f" {usual(lambda each: statistics.median(each.times.here)):.2f} ms here,"
        f" {usual(lambda each: statistics.median(each.times.server)):.2f} ms in the server"
    )
    return [
        row(
            "queue.raw_read_100",
            usual(lambda each: each.floor),
            "ms",
            "reference: MGET of as many documents, JSON parsed",
        ),
        row("queue.claim_100_p50", usual(lambda each: each.p50), "ms", note),
        row(
            "queue.claim_100_reply_p50",
            usual(lambda each: statistics.median(each.times.reply)),
            "ms",
            "until the server's reply is there; the rest of claim_100 decodes it",
        ),
        row(
            "queue.claim_100_p99",
            usual(lambda each: each.times.wall[int(count * 0.99)]),
            "ms",
            f"of {count} in each round, each given back in between",
        ),
    ]
