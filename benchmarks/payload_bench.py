"""What payloads cost those who don't read them, and how fast tasks read theirs.

Claims with and without payloads are timed in turn, on one server, in one run.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import redis.asyncio
from benchmarks.report import Row, main

from ecs_queue.assignment import ask
from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import Intent, LaunchToken, OwnerId, QueueName, Release, Started, TaskArn

OWNER, TOKEN = OwnerId("bench"), LaunchToken("token")
PAYLOAD_BYTES = 4096
AT_ONCE = 100


def jobs(count: int, payload: str | None) -> list[Job]:
    """Jobs that differ in their ids alone."""
    return [
        Job(id=JobId(f"job-{number:09}"), task_definition="render:12", payload=payload)
        for number in range(count)
    ]


async def used_bytes(client: redis.asyncio.Redis) -> int:
    """The server's data."""
    return int((await client.info("memory"))["used_memory_dataset"])


async def filled(
    client: redis.asyncio.Redis, name: str, count: int, payload: str | None
) -> tuple[Queue, float]:
    """A queue with so many jobs, and the bytes of each."""
    queue = Queue(client, QueueName(name))
    before = await used_bytes(client)
    await queue.submit(jobs(count, payload))
    events = int(await client.memory_usage(f"{{q:{name}}}:events") or 0)
    await queue.open_lease(OWNER, lease_ms=600_000)
    return queue, (await used_bytes(client) - before - events) / count


async def claim_ms(queue: Queue) -> float:
    """Milliseconds of one claim of a hundred; what was claimed is given back."""
    begin = time.perf_counter()
    claims = await queue.claim(OWNER, AT_ONCE)
    taken = (time.perf_counter() - begin) * 1000
    assert len(claims) == AT_ONCE
    await queue.release(OWNER, [Release(c.job.id, c.epoch, "") for c in claims])
    return taken


async def looks_a_second(queue: Queue, rounds: int) -> float:
    """How often a second one client after the other reads its payload."""
    claims = await queue.claim(OWNER, AT_ONCE)
    intents = [Intent(c.job.id, c.epoch, None) for c in claims]
    await queue.intend(OWNER, TOKEN, "RunTask", intents)
    tasks = [TaskArn(f"task-of-{c.job.id}") for c in claims]
    started = [Started(c.job.id, t, None) for c, t in zip(claims, tasks, strict=True)]
    await queue.settle(TOKEN, started)
    begin = time.perf_counter()
    for _ in range(rounds):
        for task in tasks:
            await queue.run(ask("look", task, TOKEN))
    return rounds * AT_ONCE / (time.perf_counter() - begin)


async def empty_scripts_a_second(client: redis.asyncio.Redis, count: int) -> float:
    """The same of a script that does nothing."""
    empty = client.register_script("return 1")
    await empty()
    begin = time.perf_counter()
    for _ in range(count):
        await empty()
    return count / (time.perf_counter() - begin)


async def measure(url: str, count: int) -> list[Row]:
    """All figures, on an empty server."""
    client = connect(url)
    plain, plain_bytes = await filled(client, "plain", count, None)
    loaded, loaded_bytes = await filled(client, "loaded", count, "x" * (PAYLOAD_BYTES - 2))
    times: dict[Queue, list[float]] = {plain: [], loaded: []}
    for _ in range(200):
        for queue, taken in times.items():
            taken.append(await claim_ms(queue))
    without, with_payload = (statistics.median(each) for each in times.values())
    looks = await looks_a_second(loaded, 20)
    empty = await empty_scripts_a_second(client, 2000)
    await client.aclose()
    beside = loaded_bytes - plain_bytes - PAYLOAD_BYTES
    note = f"{with_payload / without:.2f} x the {without:.2f} ms without; backlogs of {count:,}"
    return [
        Row(name="payload.claim_100_p50", value=with_payload, unit="ms", note=note),
        Row(
            name="payload.beside_the_payload",
            value=beside,
            unit="B",
            note=f"more than a job without ({plain_bytes:.0f} B); key and digest, payload of 4 KiB",
        ),
        Row(
            name="payload.look",
            value=looks,
            unit="1/s",
            note=f"one after the other; {looks / empty:.2f} x an empty script's rate",
        ),
    ]


def run(quick: bool) -> list[Row]:
    """The figures; see the module."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedValkey(data_dir=Path(folder)) as server:
        return asyncio.run(measure(server.url, 2000 if quick else 20_000))


if __name__ == "__main__":
    main(run)
