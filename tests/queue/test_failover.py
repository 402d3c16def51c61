"""Stories of servers that restart or fail over: what is lost, and that it is noticed."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis.asyncio
from tests.queue.conftest import Story
from tests.queue.test_cluster import ask, free_ports

from ecs_queue.client import Queue
from ecs_queue.connection import connect, connect_sync
from ecs_queue.embedded import EmbeddedValkey, server_binary
from ecs_queue.errors import InvalidRedisUrl, QueueUnreachable, UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.rewinding import Remembered
from ecs_queue.states import (
    InstanceArn,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Succeeded,
    TaskArn,
    TaskFailed,
)

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
A = JobId("a")
LEASE_MS = 60_000


def job(job_id: str) -> Job:
    return Job(id=JobId(job_id), task_definition="t")


async def test_a_restart_is_noticed(tmp_path: Path) -> None:
    """Everything is loaded again; all the same the leader must compare before it goes on."""
    with EmbeddedValkey(data_dir=tmp_path) as server:
        queue = Queue(connect(server.url))
        await queue.submit([job("a")])
        fence = await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
        assert await queue.lead(ALICE, "c", lease_ms=LEASE_MS) == fence
        assert await queue.rewinding.mark() is None
        word = await queue.rewinding.identity("word")
        await queue.aclose()
    with EmbeddedValkey(data_dir=tmp_path) as server:
        queue = Queue(connect(server.url))
        later = await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
        assert later != fence
        mark = await queue.rewinding.mark()
        assert mark is not None
        assert await queue.lead(ALICE, "c", lease_ms=LEASE_MS) == later
        await queue.rewinding.compared(mark)
        assert await queue.rewinding.mark() is None
        assert await queue.rewinding.identity("other") == word
        assert (await queue.job(A)).state is JobState.RUNNABLE
        await queue.aclose()


async def test_who_took_the_lead_in_the_time_that_is_lost_notices_it(tmp_path: Path) -> None:
    """The server comes back as it was before that; the number that Bob gets for leading now must
    not be the one that he got then, or he would take it for his lead and compare nothing.
    """
    now, before = tmp_path / "now", tmp_path / "before"
    now.mkdir()
    await led(now, ALICE)
    shutil.copytree(now, before)
    assert await led(now, BOB) != await led(before, BOB)


async def led(data: Path, owner: OwnerId) -> int | None:
    """The number of a lead that is over at once, on a server of its own."""
    with EmbeddedValkey(data_dir=data) as server:
        queue = Queue(connect(server.url))
        fence = await queue.lead(owner, "c", lease_ms=1)
        await queue.aclose()
    return fence


async def test_another_server_accepts_no_launch_before_the_next_bid_for_the_lead(
    tmp_path: Path,
) -> None:
    """Until then the leader does not know that what it claims may have been launched before."""
    with EmbeddedValkey(data_dir=tmp_path) as server:
        queue = Queue(connect(server.url))
        await queue.submit([job("a")])
        await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
        await queue.aclose()
    with EmbeddedValkey(data_dir=tmp_path) as server:
        queue = Queue(connect(server.url))
        assert await intended(queue, "early") == set()
        await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
        assert await intended(queue, "in time") == {"a"}
        await queue.aclose()


async def intended(queue: Queue, token: str) -> frozenset[JobId]:
    """Claim what there is, and ask to launch it."""
    (claim,) = await queue.claim(ALICE, 10)
    intent = Intent(claim.job.id, claim.epoch, InstanceArn("i"))
    return await queue.intend(ALICE, LaunchToken(token), "StartTask", [intent])


async def test_a_launch_that_the_queue_forgot_is_entered_again(story: Story) -> None:
    """It ends as it would have; and what the queue knows better is left alone."""
    await story.submit("a", "b")
    await story.queue.cancel([JobId("b")])
    task = TaskArn("forgotten")
    tasks = [Remembered(A, task), Remembered(JobId("b"), TaskArn("x"))]
    assert await story.queue.rewinding.restore(tasks) == 1
    assert await story.claim() == {}
    record = await story.queue.job(A)
    assert (record.state, record.launches, record.task_arn) == (JobState.STARTING, 1, task)
    assert await story.queue.finish(task, Succeeded()) is JobState.SUCCEEDED
    assert await story.queue.rewinding.restore(tasks) == 0


async def test_what_the_books_know_better_is_not_restored(story: Story) -> None:
    """The attempt that we remember has failed, and the job waits for the next one."""
    await story.submit("a", attempts=2)
    task = await story.run("a")
    await story.queue.finish(task, TaskFailed("exit 1", 1))
    assert await story.queue.rewinding.restore([Remembered(A, task)]) == 0
    assert list(await story.claim()) == ["a"]


@pytest.mark.parametrize(
    "url", ["sentinel://", "sentinel://host", "sentinel://host:x/s", "sentinel://h:1/s/x"]
)
def test_a_sentinel_url_that_is_none_is_refused(url: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidRedisUrl, match="is no Redis URL"):
        connect(url)


class Group:
    """A primary, its replica, and a sentinel that watches them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        first, second, third = free_ports(3)
        self.primary = stack.enter_context(EmbeddedValkey(port=first))
        follow = ["--replicaof", "127.0.0.1", str(first)]
        self.replica = stack.enter_context(EmbeddedValkey(port=second, options=follow))
        conf = folder / "sentinel.conf"
        conf.write_text(
            f"port {third}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor jobs 127.0.0.1 {first} 1\n"
            "sentinel down-after-milliseconds jobs 500\n"
            "sentinel failover-timeout jobs 3000\n"
        )
        command = [str(server_binary()), str(conf), "--sentinel"]
        self.sentinel = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(self.sentinel.wait)
        stack.callback(self.sentinel.terminate)
        self.url = f"sentinel://127.0.0.1:{third}/jobs/0"
        self.sentinel_url = f"redis://127.0.0.1:{third}"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with ExitStack() as stack:
        yield Group(stack, tmp_path)


async def replicated(client: redis.asyncio.Redis) -> None:
    """The replica has everything, and the sentinel knows of it."""
    async with asyncio.timeout(20):
        while not await client.execute_command("WAIT", 1, 100):  # type: ignore[no-untyped-call]
            pass


async def promotable(group: Group) -> None:
    async with asyncio.timeout(30):
        sentinel = redis.asyncio.Redis.from_url(group.sentinel_url)
        while True:
            answer = await sentinel.execute_command("SENTINEL", "REPLICAS", "jobs")  # type: ignore[no-untyped-call]
            if answer and "ok" in str(answer[0]):
                break
            await asyncio.sleep(0.1)
        await sentinel.aclose()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_fail_over_is_noticed(group: Group) -> None:
    """The primary dies with a write that its replica never got. The replica takes over; the write
    is lost, and whoever leads knows that something may be.
    """
    queue = Queue(connect(group.url))
    async with asyncio.timeout(30):
        while True:
            try:
                await queue.submit([job("a")])
                break
            except QueueUnreachable:
                continue
    fence = await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
    direct = connect(group.primary.url)
    inbox = Queue(direct)
    await inbox.job(A)  # its connection is in before there is a password, and the script is there
    await replicated(direct)
    await promotable(group)
    with connect_sync(group.replica.url) as node:
        ask(node, "CONFIG", "SET", "primaryauth", "wrong")
    with connect_sync(group.primary.url) as node:
        ask(node, "CONFIG", "SET", "requirepass", "right")
        ask(node, "AUTH", "right")
        ask(node, "CLIENT", "KILL", "TYPE", "replica")
        await inbox.submit([job("b")])
        assert (await inbox.job(JobId("b"))).state is JobState.RUNNABLE
    await direct.aclose()
    group.primary.stop()
    later = None
    async with asyncio.timeout(60):
        while later is None:
            try:
                later = await queue.lead(ALICE, "c", lease_ms=LEASE_MS)
            except QueueUnreachable:
                continue
    assert later not in (None, fence)
    assert await queue.rewinding.mark() is not None
    assert (await queue.job(A)).state is JobState.RUNNABLE
    with pytest.raises(UnknownJob):
        await queue.job(JobId("b"))
    await queue.aclose()
