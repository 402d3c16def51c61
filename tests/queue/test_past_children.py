"""Stories of children that have ended: what is told of them, for how long, and of how many."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.queue.conftest import SETTINGS, Clock, Story

from ecs_queue import assignment
from ecs_queue.children import look_at_children
from ecs_queue.client import Queue
from ecs_queue.job import Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.script import QueueSettings
from ecs_queue.states import (
    InfrastructureFailed,
    InstanceArn,
    JobRecord,
    JobState,
    OwnerId,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)

if TYPE_CHECKING:
    import redis.asyncio

ALICE = OwnerId("alice")
FAILS = TaskFailed("exit code 3", 3)
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


async def submit(story: Story, size: int, job_id: str = "p", **members: Any) -> None:
    await story.queue.submit(
        [Job(id=JobId(job_id), task_definition="t", array_size=size, **members)]
    )


async def run(story: Story, *ids: str, verdict: Verdict, result: bytes = b"") -> None:
    """Each is launched, RUNNING a second later, and ends a second after that."""
    claims = await story.claim(count=100)
    for each in ids:
        token = await story.intend(claims[each])
        task = TaskArn(f"arn:aws:ecs:eu-west-1:123456789012:task/c/{token}")
        await story.queue.settle(token, [Started(JobId(each), task, InstanceArn("i"))])
        story.clock.advance(1000)
        await story.queue.running([Sighting(task, story.clock(), InstanceArn("i"))])
        if result:
            await story.queue.run(assignment.ask("result", task, token, result))
        story.clock.advance(1000)
        await story.queue.finish(task, verdict)
    await story.queue.hand_back(ALICE)


async def child(story: Story, index: int, job_id: str = "p") -> JobRecord:
    return await story.queue.job(JobId(f"{job_id}:{index}"))


def with_settings(story: Story, **settings: Any) -> Story:
    queue = Queue(story.redis, now_ms=story.clock, settings=QueueSettings(**settings))
    return Story(queue, story.redis, story.clock)


@pytest.mark.parametrize("size", [2, 3])
async def test_a_child_is_told_of_after_its_end_and_the_arrays(story: Story, size: int) -> None:
    """Attempts, times, task, exit code and result, as of any job; also when all have ended."""
    await submit(story, size, retry=Retry(attempts=3))
    begun = story.clock()
    await run(story, "p:0", verdict=InfrastructureFailed("Spot took it"))
    await run(story, "p:0", verdict=FAILS)
    await run(story, "p:0", verdict=Succeeded(), result=b'{"frames": 7}')
    await run(story, "p:1", verdict=Succeeded())
    assert (await story.state("p") is SUCCEEDED) is (size == 2)
    record = await child(story, 0)
    assert (record.state, record.launches, record.failures) == (SUCCEEDED, 3, 1)
    assert (record.infrastructure_failures, record.forgotten) == (1, False)
    assert record.result == {"frames": 7}
    reasons = [each.reason for each in record.attempts]
    assert reasons == ["Spot took it", "exit code 3", ""]
    assert [each.ended_at_ms - begun for each in record.attempts] == [2000, 4000, 6000]
    assert (record.starting_at_ms, record.running_at_ms) == (begun + 4000, begun + 5000)
    assert (record.ended_at_ms, record.exit_code) == (begun + 6000, 0)
    assert record.task_arn == record.attempts[-1].task_arn
    assert record.instance_arn == "i"
    listed = (await look_at_children(story.queue.run, JobId("p"), limit=2)).found
    assert [(each.launches, each.exit_code) for each in listed] == [(3, 0), (1, 0)]


async def test_a_job_and_a_child_read_alike(story: Story) -> None:
    """The same life, the same record, but for what an array's child has from its array."""
    await submit(story, 2, retry=Retry(attempts=2))
    await story.queue.submit([Job(id=JobId("a"), task_definition="t", retry=Retry(attempts=2))])
    stories = {}
    for job_id in ("p:0", "a"):
        since = story.clock()
        for _ in range(2):
            await run(story, job_id, verdict=FAILS)
        record = await story.queue.job(JobId(job_id))
        stories[job_id] = (
            record.state,
            record.reason,
            record.launches,
            record.failures,
            record.exit_code,
            [each and each - since for each in (record.starting_at_ms, record.running_at_ms)],
            [(each.ended_at_ms - since, each.reason) for each in record.attempts],
            record.task_arn == record.attempts[-1].task_arn,
            (record.ended_at_ms or 0) - since,
        )
    assert stories["p:0"] == stories["a"]


async def test_a_child_that_was_never_launched_says_so(story: Story) -> None:
    """Nothing is forgotten of it: it was cancelled while it waited, or ended with its array."""
    await submit(story, 3)
    await story.queue.cancel([JobId("p:1")], "not needed")
    record = await child(story, 1)
    assert (record.state, record.launches, record.forgotten) == (CANCELLED, 0, False)
    await story.queue.cancel([JobId("p")], "enough")
    record = await child(story, 2)
    assert (record.launches, record.forgotten, record.reason) == (0, False, "enough")


async def test_one_that_ended_while_it_waited_to_be_run_again(story: Story) -> None:
    """It has its attempt, and no task of its own any more."""
    await submit(story, 2, retry=Retry(attempts=2))
    await run(story, "p:0", verdict=FAILS)
    await story.queue.cancel([JobId("p:0")], "not needed")
    record = await child(story, 0)
    assert (record.state, record.launches, record.task_arn) == (CANCELLED, 1, None)
    assert [each.reason for each in record.attempts] == ["exit code 3"]


async def test_of_many_children_the_latest_are_kept(story: Story) -> None:
    """Each kind by itself: what went smoothly does not drive out what failed or has a result."""
    story = with_settings(story, ended_kept=3)
    await submit(story, 10)
    await run(story, "p:0", verdict=Succeeded(), result=b"1")
    await run(story, "p:1", verdict=FAILS)
    await run(story, *(f"p:{i}" for i in range(2, 7)), verdict=Succeeded())
    assert [(await child(story, i)).forgotten for i in range(8)] == [
        *[False, False],
        *[True, True, False, False, False],
        False,
    ]
    assert (await child(story, 0)).result == 1
    gone = await child(story, 2)
    assert (gone.state, gone.attempts, gone.ended_at_ms) == (SUCCEEDED, (), None)
    listed = (await look_at_children(story.queue.run, JobId("p"), limit=4)).found
    assert [each.launches for each in listed] == [1, 1, None, None]


async def test_of_many_arrays_the_latest_are_kept(story: Story) -> None:
    """The past of the oldest array goes, when all together have more than is kept of a state."""
    story = with_settings(story, ended_kept=4)
    for job_id in "pqr":
        await submit(story, 2, job_id)
        await run(story, f"{job_id}:0", f"{job_id}:1", verdict=Succeeded(), result=b"1")
    forgotten = [(await child(story, 1, job_id)).forgotten for job_id in "pqr"]
    assert forgotten == [True, False, False]
    assert (await child(story, 1, "p")).result is None
    assert await story.redis.get("{q:default}:kept_children") == b"4"


async def test_the_past_of_children_ends_with_their_array(story: Story) -> None:
    """The retention runs from the array's end; then nothing at all is left."""
    await submit(story, 2)
    await run(story, "p:0", "p:1", verdict=FAILS, result=b"1")
    retention_s = SETTINGS.retention_s
    found = [key async for key in story.redis.scan_iter(match="*:p*")]
    assert len(found) == 7, found
    for key in found:
        if not key.endswith((b"job:p:0", b"job:p:1")):
            assert 0 < await story.redis.ttl(key) <= retention_s, key
    story.clock.advance((retention_s + 1) * 1000)
    await submit(story, 2, "q")
    await run(story, "q:0", "q:1", verdict=FAILS)
    assert await story.redis.llen("{q:default}:kept_arrays") == 1
    assert await story.redis.get("{q:default}:kept_children") == b"2"


async def test_an_id_that_is_used_again_keeps_its_new_past(
    client: "redis.asyncio.Redis", clock: Clock
) -> None:
    """What is due for the array that had the id before does not touch it."""
    story = with_settings(Story(Queue(client, now_ms=clock), client, clock), ended_kept=4)
    await submit(story, 2)
    await run(story, "p:0", "p:1", verdict=FAILS)
    await client.delete(*[f"{{q:default}}:{kind}:p" for kind in ("job", "doc", "past")])
    await client.delete(*[f"{{q:default}}:bits:{word}:p" for word in ("FAILED", "LAUNCHED")])
    await submit(story, 2)
    await run(story, "p:0", "p:1", verdict=FAILS)
    await submit(story, 2, "q")
    await run(story, "q:0", "q:1", verdict=FAILS)
    assert not (await child(story, 0)).forgotten
