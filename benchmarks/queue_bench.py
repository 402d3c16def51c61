"""The queue's figures, each beside what the same server does without it, in the same run.

`run` returns rows of name, value, unit and note; `python -m benchmarks.queue_bench [--json]`.
The server is the embedded Valkey over a unix socket, with an append-only file synced every second.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio
from pydantic_core import from_json

from ecs_queue import scheduling
from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.document import canonical, parse_job
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.lean import LeanClient
from ecs_queue.producing import inbox_key
from ecs_queue.script import Command
from ecs_queue.states import Claim, JobState, OwnerId, Release
from ecs_scheduler.interpreter import collecting_seldom

Row = dict[str, object]

OWNER = OwnerId("bench")
SPEC_BYTES = 200
RAW_STREAM = "raw"
FILLED_AT_ONCE = 10_000
ROUNDS = 7


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    enqueued: int
    backlog: int
    claims: int
    round_trips: int
    graph: int


FULL = Sizes(enqueued=50_000, backlog=1_000_000, claims=300, round_trips=3_000, graph=100_000)
QUICK = Sizes(enqueued=5_000, backlog=10_000, claims=50, round_trips=500, graph=10_000)


def a_job(number: int) -> Job:
    """A job whose canonical document has 200 bytes, each one different."""
    head = (
        f'{{"id":"job-{number:09}","task_definition":"render:12","group":"film","overrides":'
        '{"containerOverrides":[{"name":"main","command":["render","--frame","'
        f"{number:09}"
    )
    job = parse_job(head + '"]}]}}')
    filler = "x" * (SPEC_BYTES - len(canonical(job)))
    return parse_job(head + filler + '"]}]}}')


def row(name: str, value: float, unit: str, note: str = "") -> Row:
    """One figure."""
    return {"name": name, "value": round(value, 3), "unit": unit, "note": note}


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


async def used_bytes(client: redis.asyncio.Redis) -> int:
    """The server's data, without its buffers for clients and for the append-only file."""
    return int((await client.info("memory"))["used_memory_dataset"])


async def server_seconds(client: redis.asyncio.Redis) -> float:
    """CPU time of the server's main thread, which runs the commands."""
    used = await client.info("cpu")
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])


async def rewritten(client: redis.asyncio.Redis) -> None:
    """Wait until no child process rewrites the append-only file, a minute at most: it takes one of
    the cores, and the server copies each page that it writes to meanwhile.
    """
    for _ in range(600):
        if not (await client.info("persistence"))["aof_rewrite_in_progress"]:
            return
        await asyncio.sleep(0.1)


async def raw_xadds(client: redis.asyncio.Redis, jobs: list[Job]) -> float:
    """XADDs a second of the same documents, pipelined by 500: what a bare stream takes."""
    documents = [canonical(job) for job in jobs]

    async def work() -> None:
        for start in range(0, len(documents), 500):
            pipeline = client.pipeline(transaction=False)
            for document in documents[start : start + 500]:
                pipeline.xadd(RAW_STREAM, {"job": document})
            await pipeline.execute()

    taken = await seconds(work)
    await client.delete(RAW_STREAM)
    return len(jobs) / taken


async def raw_round_trips(client: redis.asyncio.Redis, count: int) -> float:
    """EVALSHAs a second of an empty script, one after the other."""
    empty = client.register_script("return 1")
    await empty()

    async def work() -> None:
        for _ in range(count):
            await empty()

    return count / await seconds(work)


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


async def enqueuing(
    queue: Queue, client: redis.asyncio.Redis, jobs: list[Job], xadds: float
) -> Row:
    """Batched submissions by one process, several times over, each to an empty server."""
    rates, here, server = [], [], []
    for _ in range(ROUNDS):
        served, worked = await server_seconds(client), time.process_time()
        rates.append(len(jobs) / await seconds(lambda: queue.submit(jobs)))
        here.append(len(jobs) / (time.process_time() - worked))
        server.append(len(jobs) / (await server_seconds(client) - served))
        await client.flushall()
        await rewritten(client)
    rate = statistics.median(rates)
    note = (
        f"one process; median of {ROUNDS}, {min(rates):,.0f} to {max(rates):,.0f}; a CPU second of"
        f" its own {statistics.median(here):,.0f}, of the server {statistics.median(server):,.0f};"
        f" {rate / xadds:.2f} x raw XADD"
    )
    return row("queue.enqueue", rate, "jobs/s", note)


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


def claiming(url: str, count: int, trips: float) -> list[Row]:
    """`claim_rows` in this process."""

    async def on(client: redis.asyncio.Redis) -> list[Row]:
        try:
            return await claim_rows(Queue(client), client, count, trips)
        finally:
            await client.aclose()

    return asyncio.run(on(connect(url)))


async def in_a_process_of_its_own(work: Callable[..., list[Row]], *arguments: object) -> list[Row]:
    """As a scheduler is: beside its producers, whose million jobs have been through this one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


async def claim_rows(
    queue: Queue, client: redis.asyncio.Redis, count: int, trips: float
) -> list[Row]:
    """What a claim of a hundred jobs takes from the backlog that is there."""
    backlog = (await queue.counts())[JobState.RUNNABLE]
    await rewritten(client)
    await queue.open_lease(OWNER, lease_ms=600_000)
    with collecting_seldom():  # as in the service
        floor = await read_and_parsed_ms(client, count)
        times = await timed_claims(queue, client, count)
    await queue.hand_back(OWNER)
    p50, p99 = statistics.median(times.wall), times.wall[int(count * 0.99)]
    here, server = statistics.median(times.here), statistics.median(times.server)
    note = (
        f"at a backlog of {backlog}, no two jobs alike, all decoded;"
        f" {p50 / (1000 / trips):.1f} x an empty script, {p50 / floor:.1f} x raw_read_100"
    )
    used = f"CPU of one: {here:.2f} ms here, {server:.2f} ms in the server"
    return [
        row("queue.raw_read_100", floor, "ms", "reference: MGET of as many documents, JSON parsed"),
        row("queue.claim_100_p50", p50, "ms", f"{note}; {used}"),
        row(
            "queue.claim_100_reply_p50",
            statistics.median(times.reply),
            "ms",
            "until the server's reply is there; the rest of claim_100 decodes it",
        ),
        row("queue.claim_100_p99", p99, "ms", f"of {count}, each given back in between"),
    ]


async def measure(url: str, client: redis.asyncio.Redis, sizes: Sizes) -> list[Row]:
    """All figures, on an empty server; `client` is connected to its URL."""
    queue = Queue(client)
    jobs = [a_job(number) for number in range(sizes.enqueued)]
    rows: list[Row] = []

    xadds = await raw_xadds(client, jobs[: sizes.enqueued])
    trips = await raw_round_trips(client, sizes.round_trips)
    rows += [
        row("queue.raw_xadd", xadds, "1/s", "reference: bare XADD, pipelined by 500"),
        row("queue.raw_evalsha", trips, "1/s", "reference: empty script, one after the other"),
    ]

    rows.append(await enqueuing(queue, client, jobs, xadds))
    before = await used_bytes(client)
    await queue.submit(jobs)

    for first in range(sizes.enqueued, sizes.backlog, FILLED_AT_ONCE):
        last = min(first + FILLED_AT_ONCE, sizes.backlog)
        await queue.submit([a_job(number) for number in range(first, last)])
    events = int(await client.memory_usage("{q:default}:events") or 0)
    backlog = (await queue.counts())[JobState.RUNNABLE]
    size = (await used_bytes(client) - before - events) / backlog
    note = f"{SPEC_BYTES}-byte document, 13-byte id, {backlog} jobs; events stream left out"
    rows.append(row("queue.waiting_job", size, "B", note))
    rows.append(row("queue.events_stream", events / 1e6, "MB", "bounded, about 100,000 entries"))

    rows += await in_a_process_of_its_own(claiming, url, sizes.claims, trips)
    rows.append(await admissions(queue, client, jobs[: sizes.enqueued // 5]))
    await client.flushall()
    rows += await graph_rows(queue, sizes.graph)
    await client.flushall()
    rows += await array_rows(queue, client)
    return rows


def a_graph(size: int) -> list[Job]:
    """One job in a hundred is a root; each of the others depends on three of the roots."""
    roots = size // 100
    jobs = [
        parse_job(f'{{"id":"root-{number}","task_definition":"render:12"}}')
        for number in range(roots)
    ]
    for number in range(size - roots):
        on = ",".join(
            f'{{"job":"root-{(number + step) % roots}","type":"afterany"}}' for step in (0, 1, 7)
        )
        document = f'{{"id":"leaf-{number}","task_definition":"render:12","depends_on":[{on}]}}'
        jobs.append(parse_job(document))
    return jobs


async def graph_rows(queue: Queue, size: int) -> list[Row]:
    """A graph accepted as one, and its jobs released by the end of the roots."""
    jobs = a_graph(size)
    edges = sum(len(job.depends_on) for job in jobs)
    taken = await seconds(lambda: queue.submit_graph(jobs))
    note = f"{size:,} jobs, {edges:,} dependencies: checked and submitted as one"
    rows = [row("queue.graph_accepted", taken, "s", note)]
    roots = [job.id for job in jobs if not job.depends_on]

    async def release() -> None:
        await queue.cancel(roots)
        while (await queue.counts())[JobState.PENDING]:
            await queue.reclaim_expired()

    rate = (size - len(roots)) / await seconds(release)
    rows.append(row("queue.graph_released", rate, "jobs/s", "each by the last of three roots"))
    return rows


async def array_rows(queue: Queue, client: redis.asyncio.Redis) -> list[Row]:
    """An array of a million children: what it takes while they wait, and how fast they come."""
    size = 1_000_000
    document = f'{{"id":"array","task_definition":"render:12","array_size":{size}}}'
    await queue.submit([parse_job(document)])
    # By key: beside it, what earlier benchmarks freed makes the server's total fall meanwhile.
    keys = [key async for key in client.scan_iter(match="*:array")]
    waiting = sum([await client.memory_usage(key) or 0 for key in keys]) / 1e6
    await queue.open_lease(OWNER, lease_ms=600_000)

    async def claim() -> None:
        for _ in range(20):
            assert len(await queue.claim(OWNER, 1000)) == 1000

    rate = 20_000 / await seconds(claim)
    await queue.hand_back(OWNER)
    return [
        row("queue.array_waiting", waiting, "MB", f"{size:,} children, none handed out yet"),
        row("queue.array_claim", rate, "jobs/s", "children handed out, 1000 a claim"),
    ]


async def admissions(queue: Queue, client: redis.asyncio.Redis, jobs: list[Job]) -> Row:
    """Inbox entries validated and admitted a second; all of them are duplicates of known jobs."""
    pipeline = client.pipeline(transaction=False)
    for job in jobs:
        pipeline.xadd(inbox_key(), {"job": job.model_dump_json(by_alias=True, exclude_none=True)})
    await pipeline.execute()

    async def work() -> None:
        while (await queue.admit(OWNER)).submissions:
            pass

    rate = len(jobs) / await seconds(work)
    return row("queue.admit", rate, "jobs/s", "read from the inbox, validated; duplicates")


def run(quick: bool = False) -> list[Row]:
    """Measure on a fresh embedded server."""
    sizes = QUICK if quick else FULL

    async def on(url: str) -> list[Row]:
        client = connect(url)
        try:
            return await measure(url, client, sizes)
        finally:
            await client.aclose()

    with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(data_dir=Path(folder)) as server:
        return asyncio.run(on(server.url))


def main() -> None:
    """Print a line a figure, or JSON."""
    rows = run(quick="--quick" in sys.argv)
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=2))
        return
    for each in rows:
        value = f"{each['value']:>14,}"
        print(f"{each['name']:<24}{value} {each['unit']!s:<8}{each['note']}")


if __name__ == "__main__":
    main()
