"""A queue per test on every kind of server, a clock that only the test moves, and a storyteller.

The third kind of server sends every script twice and hands out the second answer: that is what a
client sees whose first reply was lost. So each story also tells that twice has the effect of once.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import fakeredis
import pytest
import pytest_asyncio
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.script import QueueSettings
from ecs_queue.states import (
    Claim,
    InstanceArn,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Sighting,
    Started,
    TaskArn,
)

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
NOON = 1_800_000_000_000
SETTINGS = QueueSettings(infrastructure_budget=2)


class TwiceRedis(redis.asyncio.Redis):
    """Every script runs twice, as after a lost reply."""

    async def evalsha(self, *args: Any, **options: Any) -> Any:
        await super().evalsha(*args, **options)
        return await super().evalsha(*args, **options)


@dataclass
class Clock:
    """Milliseconds, moved by hand."""

    ms: int = NOON

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms


@dataclass
class Story:
    """The steps that stories begin with."""

    queue: Queue
    redis: redis.asyncio.Redis
    clock: Clock
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def submit(self, *ids: str, priority: int = 0, attempts: int = 1) -> None:
        retry = Retry(attempts=attempts)
        await self.queue.submit(
            [
                Job(id=JobId(i), task_definition="sleep:1", priority=priority, retry=retry)
                for i in ids
            ]
        )

    async def claim(self, owner: OwnerId = ALICE, count: int = 10) -> dict[str, Claim]:
        await self.queue.open_lease(owner, lease_ms=30_000)
        return {claim.job.id: claim for claim in await self.queue.claim(owner, count)}

    async def intend(self, *claims: Claim, owner: OwnerId = ALICE) -> LaunchToken:
        token = LaunchToken(f"token-{next(self.numbers)}")
        intents = [
            Intent(claim.job.id, claim.epoch, InstanceArn(f"instance-{i}"))
            for i, claim in enumerate(claims)
        ]
        await self.queue.intend(owner, token, "StartTask", intents)
        return token

    async def start(self, job_id: str) -> TaskArn:
        """Claim whatever waits, start this job and give the rest back."""
        claims = await self.claim()
        token = await self.intend(claims[job_id])
        task = TaskArn(f"task-of-{token}")
        await self.queue.settle(token, [Started(JobId(job_id), task, None)])
        await self.queue.hand_back(ALICE)
        return task

    async def run(self, job_id: str) -> TaskArn:
        task = await self.start(job_id)
        await self.queue.running([Sighting(task, self.clock(), InstanceArn("seen-there"))])
        return task

    async def state(self, job_id: str) -> JobState:
        return (await self.queue.job(JobId(job_id))).state

    async def total(self) -> int:
        return sum((await self.queue.counts()).values())


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as server:
        yield server


@pytest_asyncio.fixture(params=["fakeredis", "valkey", "valkey, every script twice"])
async def client(
    request: pytest.FixtureRequest, valkey: EmbeddedValkey
) -> AsyncIterator[redis.asyncio.Redis]:
    if request.param == "fakeredis":
        client: redis.asyncio.Redis = fakeredis.FakeAsyncRedis()
    else:
        client = connect(valkey.url)
        if "twice" in request.param:
            client = TwiceRedis.from_pool(client.connection_pool)
        await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(client: redis.asyncio.Redis, clock: Clock) -> Queue:
    return Queue(client, now_ms=clock, settings=SETTINGS)


@pytest.fixture
def story(queue: Queue, client: redis.asyncio.Redis, clock: Clock) -> Story:
    return Story(queue, client, clock)


@pytest.fixture
def sends_twice(client: redis.asyncio.Redis) -> bool:
    return isinstance(client, TwiceRedis)
