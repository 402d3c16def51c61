"""One peer's enqueueing, in an interpreter that has the peer: PEER SOCKET COUNT BYTES → jobs/s.

Each by the fastest way that its documentation shows; rq alone has a batch.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

AT_ONCE = 100


def work(payload: str) -> None:
    """What would be done."""


async def _gathered(call: Callable[[], Awaitable[object]], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(call() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began)


def _repeated(call: Callable[[], object], count: int) -> float:
    call()
    began = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - began)


def arq(socket: str, count: int, payload: str) -> float:
    """enqueue_job, a hundred at once."""
    connections: Any = importlib.import_module("arq.connections")

    async def enqueue() -> float:
        pool = await connections.create_pool(connections.RedisSettings(unix_socket_path=socket))
        return await _gathered(lambda: pool.enqueue_job("work", payload), count)

    return asyncio.run(enqueue())


def rq(socket: str, count: int, payload: str) -> float:
    """enqueue_many, five hundred at once."""
    module: Any = importlib.import_module("rq")
    redis: Any = importlib.import_module("redis")
    queue = module.Queue(connection=redis.Redis(unix_socket_path=socket))
    batch = 500

    def many() -> None:
        data = [module.Queue.prepare_data("builtins.len", (payload,)) for _ in range(batch)]
        queue.enqueue_many(data)

    return batch * _repeated(many, max(1, count // batch))


def dramatiq(socket: str, count: int, payload: str) -> float:
    """send, one after the other."""
    module: Any = importlib.import_module("dramatiq")
    brokers: Any = importlib.import_module("dramatiq.brokers.redis")
    redis: Any = importlib.import_module("redis")
    broker = brokers.RedisBroker(client=redis.Redis(unix_socket_path=socket))
    actor = module.actor(work, broker=broker)
    return _repeated(lambda: actor.send(payload), count)


def celery(socket: str, count: int, payload: str) -> float:
    """apply_async over one producer, results ignored."""
    module: Any = importlib.import_module("celery")
    app = module.Celery(broker=f"redis+socket://{socket}")
    task = app.task(work, name="work", ignore_result=True)
    with app.producer_pool.acquire(block=True) as producer:
        return _repeated(lambda: task.apply_async((payload,), producer=producer), count)


def taskiq(socket: str, count: int, payload: str) -> float:
    """kiq, a hundred at once."""
    module: Any = importlib.import_module("taskiq_redis")

    async def enqueue() -> float:
        broker = module.ListQueueBroker(url=f"unix://{socket}")
        task = broker.register_task(work, task_name="work")
        await broker.startup()
        rate = await _gathered(lambda: task.kiq(payload), count)
        await broker.shutdown()
        return rate

    return asyncio.run(enqueue())


if __name__ == "__main__":
    peer, socket, count, size = sys.argv[1:]
    peers = {"arq": arq, "rq": rq, "dramatiq": dramatiq, "celery": celery, "taskiq": taskiq}
    print(json.dumps(peers[peer](socket, int(count), "x" * int(size))))
