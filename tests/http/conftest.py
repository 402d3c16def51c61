"""The HTTP side on a loopback port, in front of a real queue and a service status set by hand."""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.states import JobState, QueueName
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.status import BudgetStatus, ServiceStatus
from ecs_scheduler.web.api import Backend, create_app
from ecs_scheduler.web.server import listen, serving

READY = ServiceStatus(
    at_ms=1_800_000_000_000,
    ready=True,
    jobs={JobState.RUNNABLE: 3, JobState.RUNNING: 2},
    instances=5,
    used={"CPU": 1024, "MEMORY": 512, "GPU": 0},
    total={"CPU": 4096, "MEMORY": 2048, "GPU": 0},
    launched=7,
    launch_calls=2,
    launches_per_s=1.5,
    budgets=(BudgetStatus("modify", 40.0, 100, 97.5, 12, 1),),
    latest=(),
    waiting={"RESOURCE:CPU": 3},
    held=3,
    unsettled=1,
    model_age_s=2.5,
    passes=10,
    last_pass_s=0.01,
)


@dataclass
class Site:
    """The HTTP side as a client sees it, and the knobs behind it."""

    url: str
    http: aiohttp.ClientSession
    queue: Queue
    metrics: Metrics
    redis: redis.asyncio.Redis
    queue_name: str
    status: ServiceStatus = field(default=READY)

    def now(self, **changes: Any) -> None:
        """From now on the service's status is READY with these changes."""
        self.status = replace(READY, **changes)

    async def get(self, path: str) -> tuple[int, Any]:
        """Status code and JSON of a GET."""
        async with self.http.get(self.url + path) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status code and JSON of a POST; a body that is not bytes is sent as JSON."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(self.url + path, **content, **options) as answer:
            return answer.status, await answer.json()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a Valkey server of this test session."""
    with EmbeddedValkey() as server:
        yield server.url


@pytest_asyncio.fixture
async def site(valkey: str) -> AsyncIterator[Site]:
    """A fresh queue behind the HTTP side."""
    async for each in sites(valkey):
        yield each


@pytest_asyncio.fixture
async def site_without_redis() -> AsyncIterator[Site]:
    """The HTTP side while nothing answers where Redis should be."""
    async for each in sites("redis://127.0.0.1:1"):
        yield each


async def sites(redis_url: str) -> AsyncIterator[Site]:
    client, name = connect(redis_url), f"test-{uuid.uuid4().hex}"
    queue = Queue(client, QueueName(name))
    ids = itertools.count(1)
    async with aiohttp.ClientSession() as http:
        made = Site("", http, queue, Metrics(), client, name)
        backend = Backend(
            queue=queue,
            status=lambda: made.status,
            metrics=made.metrics,
            new_id=lambda: f"made-up-{next(ids)}",
            stale_after_s=60.0,
            body_timeout_s=1.0,
        )
        with listen("127.0.0.1", 0) as listener:
            async with serving(create_app(backend), listener) as url:
                made.url = url
                yield made
    await queue.aclose()
