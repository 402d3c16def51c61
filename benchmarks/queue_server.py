"""What the queue's benchmarks ask of their server besides: its CPU, memory, a bare round trip."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import redis.asyncio

from ecs_queue.states import OwnerId

Row = dict[str, object]

OWNER = OwnerId("bench")
ROUNDS = 7


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


async def raw_round_trips(client: redis.asyncio.Redis, count: int) -> float:
    """EVALSHAs a second of an empty script, one after the other."""
    empty = client.register_script("return 1")
    await empty()

    async def work() -> None:
        for _ in range(count):
            await empty()

    return count / await seconds(work)
