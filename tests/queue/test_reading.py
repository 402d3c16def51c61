"""Stories of looking on: lists, counts, events, and how long they are kept."""

import json
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from ecs_queue.client import Queue
from ecs_queue.document import parse_job
from ecs_queue.errors import UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.listing import Filter, Found, family_of, look_through
from ecs_queue.records import attempts
from ecs_queue.script import QueueSettings
from ecs_queue.states import JobState, OwnerId, QueueName, Release, Succeeded, TaskFailed

if TYPE_CHECKING:
    from tests.queue.conftest import Story

WEEK_MS = 7 * 86_400_000


async def one_of_each(story: "Story") -> None:
    await story.submit("succeeded", "failed", "cancelled", "running", "starting", priority=9)
    await story.queue.finish(await story.run("succeeded"), Succeeded())
    await story.queue.finish(await story.run("failed"), TaskFailed("exit code 1", 1))
    await story.queue.cancel([JobId("cancelled")])
    await story.run("running")
    await story.start("starting")
    await story.submit("ready")
    await story.redis.xadd("{q:default}:inbox", {"job": "{}"})


async def test_counts(story: "Story") -> None:
    """Every state is counted, also those with no job in them."""
    await one_of_each(story)
    expected = dict.fromkeys(JobState, 1) | {JobState.PENDING: 0}
    assert expected == await story.queue.counts()


async def test_every_state_can_be_listed(story: "Story") -> None:
    """A list of one state holds that state's jobs and no others."""
    await one_of_each(story)
    for state in set(JobState) - {JobState.PENDING, JobState.SUBMITTED, JobState.RUNNABLE}:
        assert [state.lower()] == [record.job.id for record in await story.queue.jobs(state)]
    assert [record.job.id for record in await story.queue.jobs(JobState.RUNNABLE)] == ["ready"]
    assert len(await story.queue.jobs()) == 6


async def test_the_order_of_the_queue(story: "Story") -> None:
    """RUNNABLE lists what is claimed, then what is ready, then what is delayed, page by page."""
    await story.submit("delayed", "claimed-1", "claimed-2", "ready-1", "ready-2")
    claims = await story.claim(count=3)
    release = Release(JobId("delayed"), claims["delayed"].epoch, "", delay_ms=1)
    await story.queue.release(OwnerId("alice"), [release])
    expected = ["claimed-1", "claimed-2", "ready-1", "ready-2", "delayed"]
    for size in (1, 2, 5):
        pages = [
            record.job.id
            for offset in range(0, 6, size)
            for record in await story.queue.jobs(JobState.RUNNABLE, limit=size, offset=offset)
        ]
        assert expected == pages


async def test_newest_endings_first(story: "Story") -> None:
    """The latest ending leads the list of a terminal state."""
    await story.submit("a", "b")
    await story.queue.cancel([JobId("b")])
    story.clock.advance(1)
    await story.queue.cancel([JobId("a")])
    records = await story.queue.jobs(JobState.CANCELLED)
    assert [record.job.id for record in records] == ["a", "b"]


async def test_events_tell_the_life_of_a_job(story: "Story") -> None:
    """One event a transition, in order, to be followed from any point."""
    await story.submit("a")
    story.clock.advance(1000)
    await story.queue.finish(await story.run("a"), TaskFailed("exit code 1", 1))
    events = await story.queue.events()
    expected = [JobState.RUNNABLE, JobState.STARTING, JobState.RUNNING, JobState.FAILED]
    assert expected == [event.state for event in events]
    assert (story.clock.ms, "exit code 1") == (events[-1].at_ms, events[-1].reason)
    assert events[2:] == await story.queue.events(events[1].entry_id)
    assert events[:1] == await story.queue.events(limit=1)
    assert await story.queue.events(events[-1].entry_id) == ()


async def test_no_job_waits_without_a_reason(story: "Story") -> None:
    """Every state that waits for something says for what."""
    await story.submit("a")
    reasons = [(await story.queue.job(JobId("a"))).reason]
    claim = (await story.claim())["a"]
    reasons.append((await story.queue.job(JobId("a"))).reason)
    await story.intend(claim)
    reasons.append((await story.queue.job(JobId("a"))).reason)
    assert reasons == [
        "waiting for its turn",
        "being placed",
        "launch requested, not acknowledged yet",
    ]


async def test_an_unknown_job(story: "Story") -> None:
    """Asking for a job that is not there names it."""
    with pytest.raises(UnknownJob, match="no job 'nobody' in this queue"):
        await story.queue.job(JobId("nobody"))


async def test_old_endings_leave_the_lists(story: "Story") -> None:
    """After the retention a job is neither counted nor kept in an index."""
    await story.submit("a", "b")
    await story.queue.cancel([JobId("a")])
    story.clock.advance(WEEK_MS)
    assert (await story.queue.counts())[JobState.CANCELLED] == 0
    await story.queue.cancel([JobId("b")])
    assert await story.redis.zcard("{q:default}:in:CANCELLED") == 1


async def test_old_records_expire(story: "Story") -> None:
    """Both keys of an ended job carry an expiry; those of a waiting one don't."""
    await story.submit("ended", "waiting")
    await story.queue.cancel([JobId("ended")])
    await story.queue.steering.suspend([JobId("waiting")])
    for kind in ("job", "doc"):
        assert await story.redis.ttl(f"{{q:default}}:{kind}:ended") == WEEK_MS // 1000
        assert await story.redis.ttl(f"{{q:default}}:{kind}:waiting") == -1


async def test_no_key_outside_the_hash_tag(story: "Story") -> None:
    """Whatever a queue writes lives in one slot of a cluster."""
    await one_of_each(story)
    keys = [str(key) for key in await story.redis.keys("*")]
    assert [key for key in keys if "{q:default}:" not in key] == []


async def test_queues_do_not_share(story: "Story", client: redis.asyncio.Redis) -> None:
    """Two queues of one server know nothing of each other."""
    await story.submit("a")
    other = Queue(client, QueueName("other"))
    assert sum((await other.counts()).values()) == 0


@pytest.mark.parametrize("name", ["", "a b", "{x}", "a:b", "ä"])
async def test_names_that_would_break_the_keys(client: redis.asyncio.Redis, name: str) -> None:
    """A queue's name can't change the hash tag."""
    with pytest.raises(ValueError, match="a queue's name has"):
        Queue(client, QueueName(name))


def test_settings_are_checked() -> None:
    """A setting out of range is refused before anything is stored under it."""
    with pytest.raises(ValueError, match="retention_s must be at least 1, not 0"):
        QueueSettings(retention_s=0)


async def test_the_servers_clock(client: redis.asyncio.Redis) -> None:
    """Without an injected clock the times are the server's."""
    queue = Queue(client)
    await queue.cancel([JobId("nobody")])
    await queue.open_lease(OwnerId("alice"), lease_ms=60_000)
    seconds, _ = await client.time()
    expiry = await client.zscore("{q:default}:owners", "alice")
    assert expiry is not None
    assert 0 < expiry - seconds * 1000 <= 61_000


async def test_the_events_stream_is_bounded(client: redis.asyncio.Redis) -> None:
    """Old transitions make room for new ones."""
    queue = Queue(client, settings=QueueSettings(events_kept=200))
    for batch in range(4):
        ids = [JobId(f"job-{batch}-{i}") for i in range(300)]
        await queue.submit([Job(id=i, task_definition="t") for i in ids])
    assert 300 <= await client.xlen("{q:default}:events") < 900


async def test_the_newest_ended_jobs_are_kept(story: "Story", client: redis.asyncio.Redis) -> None:
    """Beyond the number that is kept, of each state, the oldest go with all their keys."""
    story.queue = Queue(client, now_ms=story.clock, settings=QueueSettings(ended_kept=2))
    ids = [JobId(f"j{i}") for i in range(5)]
    payloads = [Job(id=each, task_definition="t", payload=1) for each in ids]
    await story.queue.submit(payloads)
    await story.submit("other")
    for each in ids:
        story.clock.advance(1)
        await story.queue.cancel([each])
    await story.queue.finish(await story.run("other"), Succeeded())
    counts = await story.queue.counts()
    assert (counts[JobState.CANCELLED], counts[JobState.SUCCEEDED]) == (2, 1)
    assert [each.job.id for each in await story.queue.jobs(JobState.CANCELLED)] == ["j4", "j3"]
    left = sorted(await client.keys("*:j[0-9]"))
    assert len(left) == 6
    assert all(bytes(key)[-2:] in (b"j3", b"j4") for key in left if isinstance(key, bytes))


async def test_an_ended_job_stays_until_all_that_depend_on_it_are_told(
    story: "Story", client: redis.asyncio.Redis
) -> None:
    """Otherwise they would wait for a job that nobody knows."""
    story.queue = Queue(client, now_ms=story.clock, settings=QueueSettings(ended_kept=1))
    after = {"depends_on": [{"job": "a"}, {"job": "b"}]}
    await story.submit("a", "b", "c")
    await story.queue.submit([parse_job(json.dumps({"id": "z", "task_definition": "t", **after}))])
    for each in ("a", "b", "c"):
        story.clock.advance(1)
        await story.queue.finish(await story.run(each), Succeeded())
    assert await story.state("z") is JobState.RUNNABLE


async def test_dead_letters_are_bounded(story: "Story", client: redis.asyncio.Redis) -> None:
    """A broken producer fills no Redis; the newest letters stay."""
    story.queue = Queue(client, now_ms=story.clock, settings=QueueSettings(dead_letters_kept=100))
    for start in range(0, 1000, 250):
        for number in range(start, start + 250):
            await client.xadd("{q:default}:inbox", {"job": f"no {number}"})
        await story.queue.admit(OwnerId("alice"))
    assert 100 <= await story.queue.dead_letters_kept() < 350
    (newest,) = await story.queue.dead_letters(limit=1)
    assert newest.document == "no 999"


async def test_a_filter_looks_through_all_pages(story: "Story") -> None:
    """By state, share, prefix, family, tags and time; a bounded look says where to go on."""
    jobs = [
        Job(
            id=JobId(f"{'x' if i % 2 else 'y'}{i}"),
            task_definition="fam:3" if i % 3 else "arn:aws:ecs:eu-west-1:1:task-definition/other:1",
            share="team" if i < 1000 else "default",
            tags={"film": str(i % 5)},
        )
        for i in range(1200)
    ]
    await story.queue.submit(jobs[:1100])
    story.clock.advance(1000)
    await story.queue.submit(jobs[1100:])
    run = story.queue.run
    wanted = Filter(JobState.RUNNABLE, "team", "x", "other", {"film": "0"})
    expected = [each.id for each in jobs if each.share == "team" and each.id[0] == "x"]
    expected = [each for each in expected if int(each[1:]) % 15 == 0]
    found = await look_through(run, wanted, limit=1000)
    assert ([each.job.id for each in found.records], found.go_on_at) == (expected, None)
    some = await look_through(run, wanted, limit=3)
    assert some.go_on_at is not None
    rest = await look_through(run, wanted, limit=1000, offset=some.go_on_at)
    assert (*some.records, *rest.records) == found.records
    late = await look_through(run, Filter(since_ms=story.clock()), limit=1000)
    assert len(late.records) == 100
    nothing = await look_through(run, Filter(prefix="nobody"), limit=1, most=500)
    assert nothing == Found((), 500)
    assert await look_through(run, Filter(JobState.FAILED), limit=1) == Found((), None)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("a", "a"),
        ("a:7", "a"),
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/a-b_c:7", "a-b_c"),
    ],
)
def test_the_family_of_a_task_definition(name: str, family: str) -> None:
    """In each of its three spellings."""
    assert family_of(name) == family


def test_an_attempt_of_an_earlier_version_stays_readable() -> None:
    """Its line ends before the time of the launch."""
    (old,) = attempts(b"task\tinstance\t5\t9\t1\texit code 1")
    assert (old.started_at_ms, old.ended_at_ms, old.launched_at_ms) == (5, 9, None)
    (new,) = attempts(b"task\t\t\t9\t\tlost\t3")
    assert (new.started_at_ms, new.launched_at_ms, new.reason) == (None, 3, "lost")
