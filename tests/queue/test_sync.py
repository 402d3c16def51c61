"""Stories of synchronous producers."""

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import QueueError, QueueUnreachable, UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.states import Cancelled, JobState
from ecs_queue.submissions import Accepted, Duplicate
from ecs_queue.sync import SyncQueue

A = JobId("a")
JOB = Job(id=A, task_definition="sleep:1")


@pytest.fixture(params=["fakeredis", "valkey"])
def client(request: pytest.FixtureRequest, valkey: EmbeddedValkey) -> Iterator[redis.Redis]:
    real = request.param == "valkey"
    client = connect_sync(valkey.url) if real else fakeredis.FakeRedis()
    client.flushall()
    yield client
    client.close()


def test_a_producer_without_asyncio(client: redis.Redis) -> None:
    """Submit, look and cancel work as with the asynchronous queue."""
    queue = SyncQueue(client)
    queue.ping()
    assert queue.submit([JOB, JOB]) == (Accepted(A), Duplicate(A))
    assert [record.job for record in queue.jobs(JobState.RUNNABLE)] == [JOB]
    assert queue.cancel([A], "not needed") == (Cancelled(A),)
    assert queue.counts()[JobState.CANCELLED] == 1
    assert queue.job(A).reason == "not needed"
    assert queue.dead_letters() == ()


def test_errors_are_the_same(client: redis.Redis) -> None:
    """An unknown job is named."""
    with pytest.raises(UnknownJob, match="no job 'a' in this queue"):
        SyncQueue(client).job(A)


def test_what_cannot_be_read_is_an_error_of_the_queue(client: redis.Redis) -> None:
    """Somebody else wrote to a job's record; it is said where and what."""
    queue = SyncQueue(client)
    queue.submit([JOB])
    client.hset("{q:default}:job:a", "o", "damaged")
    with pytest.raises(QueueError, match="something in the queue that job cannot read"):
        queue.job(A)


def test_no_server(tmp_path: object) -> None:
    """Nobody there is said with the place and the setting."""
    queue = SyncQueue(connect_sync(f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(QueueUnreachable, match=r"unix://.*nobody\.sock.*check REDIS_URL"):
        queue.submit([JOB])
    queue.close()
