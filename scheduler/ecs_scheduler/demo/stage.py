"""Builds a demo's world: Redis, the simulated ECS with its instances, the real service on both."""

import asyncio
import os
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import redis.asyncio
from redis.exceptions import RedisError

from ecs_queue import connection
from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_scheduler.clock import Clock
from ecs_scheduler.config import Config
from ecs_scheduler.demo.workload import Workload
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.queue_connection import open_queue
from ecs_simulator import Lifecycle, Options, SimulatedEcs, http_session_class
from ecs_simulator.workloads.batch import task_definition_document

CLUSTER = "demo"
REGION = "us-east-1"
ACCOUNT = "000000000000"
"""No account of AWS has this number, so a demo takes no part in anybody's API budget."""

STOP_WITHIN_S = 10.0

# Shorter than in reality, where an image takes its time: a demo should show placement, not pulls.
LIFECYCLE = Lifecycle(accept_s=0.1, image_pull_s=1.0, cached_pull_s=0.1, stopping_s=0.2)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demo plays on; `producer` is a connection of its own, as another program's is."""

    config: Config
    queue: Queue
    producer: redis.asyncio.Redis
    ecs: SimulatedEcs
    service: Service
    metrics: Metrics
    clock: Clock

    @property
    def inbox(self) -> str:
        """The key of the inbox stream."""
        return f"{{q:{self.config.queue}}}:inbox"

    async def add_to_inbox(self, documents: Sequence[str]) -> None:
        """XADD each document. A repetition after a lost reply does no harm: the jobs have ids."""
        try:
            async with self.producer.pipeline(transaction=False) as pipeline:
                for document in documents:
                    pipeline.xadd(self.inbox, {"job": document})
                await pipeline.execute()
        except RedisError as error:
            raise connection.explained(self.producer, error) from error


@asynccontextmanager
async def built(
    workload: Workload, redis_url: str | None, seed: int, clock: Clock
) -> AsyncIterator[Stage]:
    """The stage with everything registered and the service not yet running.

    Without `redis_url` a Valkey server of our own is started, and ends with us. With it, the demo
    takes a queue of its own there and removes it in the end.
    """
    async with AsyncExitStack() as stack:
        if redis_url is None:
            url, name = stack.enter_context(EmbeddedValkey()).url, "demo"
        else:
            url, name = redis_url, f"demo-{uuid4().hex[:8]}"
        producer = connection.connect(url)
        stack.push_async_callback(producer.aclose)
        config = Config(
            redis_url=url,
            queue=name,
            cluster=CLUSTER,
            region=REGION,
            http_port=None,
            pass_interval_s=0.1,
            sweep_interval_s=5.0,
            track_interval_s=0.5,
            unplaceable_after_s=20.0,
        )
        queue = await stack.enter_async_context(open_queue(config))
        if redis_url is not None:
            stack.push_async_callback(_remove_keys, producer, f"{{q:{name}}}:*")
            stack.push_async_callback(_remove_keys, producer, f"{{budget:{ACCOUNT}:{REGION}}}:*")
        simulated = SimulatedEcs(
            Options(region=REGION, account=ACCOUNT, lifecycle=LIFECYCLE),
            now=lambda: clock.now_ms() / 1000,
            seed=seed,
        )
        simulated.add_instances(CLUSTER, workload.fleet)
        simulated.call("RegisterTaskDefinition", task_definition_document())
        _pretend_credentials(os.environ)
        transport = http_session_class(simulated)
        client = await stack.enter_async_context(
            ecs.connect(config, clock, http_session_cls=transport)
        )
        metrics = Metrics()
        service = Service(config, queue, client, metrics, clock)
        yield Stage(config, queue, producer, simulated, service, metrics, clock)


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[asyncio.Task[None]]:
    """Run the service; on the way out it is stopped, in order if that is soon, else by force."""
    running = asyncio.create_task(service.run(), name="service")
    try:
        yield running
    finally:
        service.stop()
        await asyncio.wait((running,), timeout=STOP_WITHIN_S)
        if not running.done():
            running.cancel()
            await asyncio.wait((running,))


def _pretend_credentials(environ: MutableMapping[str, str]) -> None:
    """Nothing is sent anywhere, but the SDK signs every request with what the environment has."""
    environ.update(AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECS"):
        environ.pop(name, None)


async def _remove_keys(client: redis.asyncio.Redis, pattern: str) -> None:
    try:
        async for key in client.scan_iter(match=pattern, count=1000):
            await client.unlink(key)
    except RedisError as error:
        raise connection.explained(client, error) from error
