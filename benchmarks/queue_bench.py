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
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
from benchmarks.claiming import claiming, in_a_process_of_its_own
from benchmarks.queue_server import (
    OWNER,
    ROUNDS,
    Row,
    raw_round_trips,
    rewritten,
    row,
    seconds,
    server_seconds,
    used_bytes,
)

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.document import canonical, parse_job
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.producing import inbox_key
from ecs_queue.states import JobState

SPEC_BYTES = 200
RAW_STREAM = "raw"
FILLED_AT_ONCE = 10_000


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

    rows += await in_a_process_of_its_own(claiming, url, sizes.claims)
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
