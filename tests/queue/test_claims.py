"""Stories of claims: order, leases, fencing."""

from typing import TYPE_CHECKING

import pytest
from tests.queue.claimed_jobs import as_said

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.errors import LeaseLost
from ecs_queue.job import Job, JobId
from ecs_queue.states import (
    Intent,
    JobState,
    LaunchToken,
    Note,
    OwnerId,
    Release,
    TaskFailed,
)

if TYPE_CHECKING:
    from tests.queue.conftest import Story

    from ecs_queue.embedded import EmbeddedValkey

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
NOON = 1_800_000_000_000


async def waiting(story: "Story") -> list[str]:
    return [record.job.id for record in await story.queue.jobs(JobState.RUNNABLE)]


async def test_higher_priority_first(story: "Story") -> None:
    """Priority decides, and within one priority the order of submission."""
    await story.submit("low-1", "low-2")
    await story.submit("high-1", "high-2", priority=1000)
    await story.submit("middle", priority=500)
    claims = await story.claim()
    assert list(claims) == ["high-1", "high-2", "middle", "low-1", "low-2"]


async def test_a_full_server_still_tells_what_is_claimed(valkey: "EmbeddedValkey") -> None:
    """Whoever only looks writes nothing, also right after a claim."""
    async with connect(valkey.url) as redis:
        await redis.flushall()
        queue = Queue(redis)
        await queue.submit([Job(id=JobId(each), task_definition="t") for each in ("a", "ab", "b")])
        await queue.open_lease(ALICE, lease_ms=30_000)
        await queue.claim(ALICE, 2)
        await redis.config_set("maxmemory", "1")
        try:
            assert await queue.held(ALICE) == {"a", "ab"}
            assert (await queue.counts())[JobState.RUNNABLE] == 3
            reasons = [record.reason for record in await queue.jobs()]
            assert reasons == ["being placed", "being placed", "waiting for its turn"]
            assert (await queue.job(JobId("a"))).reason == "being placed"
            assert (await queue.job(JobId("b"))).reason == "waiting for its turn"
        finally:
            await redis.config_set("maxmemory", "0")


async def test_one_document_that_cannot_be_read_holds_up_nobody(story: "Story") -> None:
    """Another version wrote it, say: it waits, visibly, and the others are claimed and listed."""
    sound = Job(id=JobId("sound"), task_definition="t")
    odd = sound.model_copy(update={"id": JobId("odd"), "priority": -5})
    await story.queue.submit([odd, sound])
    assert set(await story.claim()) == {"sound"}
    reason = (
        "its document cannot be read by this version:"
        " priority: must be greater than or equal to 0, got -5"
    )
    record = await story.queue.job(JobId("odd"))
    assert (record.state, record.reason) == (JobState.RUNNABLE, reason)
    assert {each.job.id for each in await story.queue.jobs()} == {"odd", "sound"}
    story.clock.advance(60_000)
    assert set(await story.claim()) == {"sound"}
    await story.queue.cancel([JobId("odd")])
    assert await story.state("odd") == JobState.CANCELLED


async def test_a_job_whose_document_is_gone_holds_up_nobody(story: "Story") -> None:
    """Redis evicted it, say: a dead letter names it, the others are claimed, and its id is free."""
    await story.submit("a", "c")
    await story.queue.submit([Job(id=JobId("b"), task_definition="t", payload={"old": 1})])
    await story.redis.delete("{q:default}:doc:b")
    assert set(await story.claim()) == {"a", "c"}
    (letter,) = await story.queue.dead_letters()
    assert letter.document == '{"id":"b"}'
    assert letter.reason.startswith("its document is gone from Redis: evicted")
    await story.submit("b")
    assert set(await story.claim()) == {"a", "b", "c"}
    assert await story.redis.exists("{q:default}:payload:b") == 0


async def test_a_document_that_goes_while_its_job_is_claimed(story: "Story") -> None:
    """Whoever gives the claim back is not held up; the next claim finds out."""
    await story.submit("a", "b")
    await story.claim()
    await story.redis.delete("{q:default}:doc:b")
    assert len(await story.queue.jobs()) == 1
    assert list(await story.claim()) == ["a"]
    (letter,) = await story.queue.dead_letters()
    assert letter.document == '{"id":"b"}'


async def test_an_array_knows_of_a_child_whose_document_is_gone(story: "Story") -> None:
    """The child has failed, with the reason, and the array can end."""
    await story.queue.submit([Job(id=JobId("p"), task_definition="t", array_size=2)])
    claims = await story.claim()
    releases = [Release(each.job.id, each.epoch, "") for each in claims.values()]
    await story.queue.release(ALICE, releases)
    await story.redis.delete("{q:default}:doc:p:0")
    assert list(await story.claim()) == ["p:1"]
    record = await story.queue.job(JobId("p:0"))
    assert record.state is JobState.FAILED
    assert record.reason.startswith("its document is gone from Redis")


async def test_a_claim_is_bounded(story: "Story") -> None:
    """No more than asked for, and nobody gets what another holds."""
    await story.submit("a", "b", "c")
    assert list(await story.claim(ALICE, 2)) == ["a", "b"]
    assert list(await story.claim(BOB, 2)) == ["c"]


async def test_the_same_claim_id_answers_the_same(story: "Story") -> None:
    """A claim repeated by its id takes nothing more."""
    await story.submit("a", "b")
    await story.queue.open_lease(ALICE, lease_ms=1000)
    first = await story.queue.claim(ALICE, 1, claim_id="one")
    assert first == await story.queue.claim(ALICE, 1, claim_id="one")
    assert [c.job.id for c in await story.queue.claim(ALICE, 1, claim_id="two")] == ["b"]


async def test_a_straggling_claim_takes_nothing(story: "Story") -> None:
    """An old claim that the network delivers late has no reader, so it must not hold jobs."""
    await story.submit("a", "b", "c")
    await story.queue.open_lease(ALICE, lease_ms=1000)
    await story.queue.claim(ALICE, 1, claim_id="one")
    await story.queue.claim(ALICE, 1, claim_id="two")
    assert await story.queue.claim(ALICE, 1, claim_id="one") == ()
    assert [c.job.id for c in await story.queue.claim(ALICE, 9)] == ["c"]


async def test_a_straggler_is_known_for_sixty_claims(story: "Story") -> None:
    """So long may the network hold back a claim whose owner goes on with others."""
    await story.submit("a", "b")
    await story.queue.open_lease(ALICE, lease_ms=1000)
    first, *others = (f"claim-{number}" for number in range(61))
    await story.queue.claim(ALICE, 1, claim_id=first)
    for each in others:
        await story.queue.claim(ALICE, 0, claim_id=each)
    assert await story.queue.claim(ALICE, 1, claim_id=first) == ()


async def test_a_claim_says_what_has_become_of_the_job(story: "Story") -> None:
    """Launches and the time since which it is RUNNABLE, of a new job and of one that failed."""
    await story.submit("new")
    await story.submit("failed", attempts=2)
    begin = story.clock()
    task = await story.run("failed")
    story.clock.advance(60_000)
    await story.queue.finish(task, TaskFailed("exit code 1", 1))
    claims = await story.claim()
    assert (claims["new"].launches, claims["new"].runnable_at_ms) == (0, begin)
    assert (claims["failed"].launches, claims["failed"].runnable_at_ms) == (1, begin + 60_000)
    assert as_said(claims["failed"].job) == (await story.queue.job(JobId("failed"))).job


@pytest.mark.parametrize("before", ["", str(NOON)])
async def test_a_claim_of_what_an_earlier_version_stored(story: "Story", before: str) -> None:
    """Its document has one number before it, or none, and it has a hash; the job tells the same."""
    await story.submit("a")
    new = (await story.claim())["a"]
    await story.queue.release(ALICE, [Release(JobId("a"), new.epoch, "")])
    document = await story.redis.get("{q:default}:doc:a")
    assert isinstance(document, bytes)
    times, score = document[: document.index(b"{")].decode().split()
    assert times == str(NOON)
    await story.redis.set("{q:default}:doc:a", before.encode() + document[document.index(b"{") :])
    for name, value in {"s": "RUNNABLE", "o": score, "t": times}.items():
        await story.redis.hset("{q:default}:job:a", name, value)
    old = (await story.claim())["a"]
    assert old._replace(epoch=new.epoch) == new


async def test_a_job_with_nothing_special_has_no_hash_until_something_is_said_of_it(
    story: "Story",
) -> None:
    """It takes a third less room, and reading it, claiming it and giving it back change nothing."""
    await story.submit("a", "b")
    held = (await story.claim())["a"]
    await story.queue.release(ALICE, [Release(JobId("a"), held.epoch, "")])
    await story.queue.hand_back(ALICE)
    record = await story.queue.job(JobId("a"))
    assert (record.state, record.submitted_at_ms, record.order) == (JobState.RUNNABLE, NOON, 1)
    assert [each.job.id for each in await story.queue.jobs(JobState.RUNNABLE)] == ["a", "b"]
    assert await story.redis.exists("{q:default}:job:a", "{q:default}:job:b") == 0
    held = (await story.claim())["a"]
    await story.queue.note(ALICE, [Note(JobId("a"), held.epoch, "no room")])
    assert (await story.queue.job(JobId("a"))).reason == "no room"
    assert await story.redis.exists("{q:default}:job:a", "{q:default}:job:b") == 1


async def test_a_place_that_redis_writes_as_a_power_of_ten(story: "Story") -> None:
    """Scores are floating-point numbers to Redis; the order of submission is not."""
    await story.redis.set("{q:default}:seq", 10**11 - 1)
    await story.submit("a", "b")
    claims = await story.claim()
    assert [(c.priority, c.order) for c in claims.values()] == [(0, 10**11), (0, 10**11 + 1)]


async def test_no_claim_without_a_lease(story: "Story") -> None:
    """A lease that was never opened or ran out claims and renews nothing."""
    await story.submit("a")
    with pytest.raises(LeaseLost, match="alice ran out"):
        await story.queue.claim(ALICE, 1)
    await story.queue.open_lease(ALICE, lease_ms=1000)
    story.clock.advance(1000)
    with pytest.raises(LeaseLost):
        await story.queue.claim(ALICE, 1)
    with pytest.raises(LeaseLost):
        await story.queue.renew(ALICE, lease_ms=1000)
    assert await waiting(story) == ["a"]


async def test_one_heartbeat_renews_everything(story: "Story") -> None:
    """A renewed lease keeps all claims beyond the first expiry."""
    await story.submit("a", "b")
    await story.claim()
    story.clock.advance(20_000)
    await story.queue.renew(ALICE, lease_ms=30_000)
    story.clock.advance(20_000)
    await story.queue.reclaim_expired()
    await story.queue.open_lease(BOB, lease_ms=1000)
    assert await story.queue.claim(BOB, 10) == ()


async def test_expired_claims_go_back_under_their_old_score(story: "Story") -> None:
    """What a dead owner held is claimed next, in its old order."""
    await story.submit("a", "b")
    await story.claim(ALICE)
    await story.submit("later")
    story.clock.advance(30_000)
    await story.queue.reclaim_expired()
    assert list(await story.claim(BOB)) == ["a", "b", "later"]


async def test_a_live_lease_is_not_reclaimed(story: "Story") -> None:
    """Until the last millisecond the claims stay with their owner."""
    await story.submit("a")
    await story.claim(ALICE)
    story.clock.advance(29_999)
    assert await story.queue.reclaim_expired() == 0


async def test_counting_what_went_back(story: "Story", sends_twice: bool) -> None:
    """Handing back and reclaiming say how many jobs went back with this call."""
    await story.submit("a", "b")
    await story.claim(ALICE)
    assert (0 if sends_twice else 2) == await story.queue.hand_back(ALICE)
    await story.claim(ALICE)
    story.clock.advance(30_000)
    assert (0 if sends_twice else 2) == await story.queue.reclaim_expired()


async def test_handing_back_ends_the_lease(story: "Story") -> None:
    """At the end of a service its jobs are free at once, in their old order."""
    await story.submit("a", "b")
    await story.claim(ALICE)
    await story.queue.hand_back(ALICE)
    with pytest.raises(LeaseLost):
        await story.queue.renew(ALICE, lease_ms=1000)
    assert list(await story.claim(BOB)) == ["a", "b"]


async def test_a_restarted_owner_starts_empty_handed(story: "Story") -> None:
    """Opening a lease gives back what an earlier life of the same owner held."""
    await story.submit("a")
    before = await story.claim(ALICE)
    after = await story.claim(ALICE)
    assert list(after) == ["a"]
    assert after["a"].epoch > before["a"].epoch


async def test_stale_epochs_are_refused(story: "Story") -> None:
    """An owner that lost its claim can neither release, nor note, nor launch the job."""
    await story.submit("a")
    stale = (await story.claim(ALICE))["a"]
    story.clock.advance(30_000)
    await story.queue.reclaim_expired()
    current = (await story.claim(BOB))["a"]
    await story.queue.release(ALICE, [Release(JobId("a"), stale.epoch, "stale")])
    await story.queue.note(ALICE, [Note(JobId("a"), stale.epoch, "stale")])
    intent = Intent(JobId("a"), stale.epoch, None)
    assert frozenset() == await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", [intent])
    assert (await story.queue.job(JobId("a"))).reason == "being placed"
    await story.intend(current, owner=BOB)
    assert await story.state("a") == JobState.STARTING


async def test_an_owner_cannot_borrow_an_epoch(story: "Story") -> None:
    """The right epoch in the wrong hands is refused as well."""
    await story.submit("a")
    claim = (await story.claim(ALICE))["a"]
    await story.queue.release(BOB, [Release(JobId("a"), claim.epoch, "not mine")])
    assert (await story.queue.job(JobId("a"))).reason == "being placed"


async def test_released_with_a_reason(story: "Story") -> None:
    """A released job is first in line again, and says why it waits."""
    await story.submit("a", "b")
    claim = (await story.claim(ALICE, 1))["a"]
    await story.queue.release(ALICE, [Release(JobId("a"), claim.epoch, "no room:\n 3 x CPU")])
    assert await waiting(story) == ["a", "b"]
    assert (await story.queue.job(JobId("a"))).reason == "no room: 3 x CPU"


async def test_released_with_a_delay(story: "Story") -> None:
    """A delayed job is RUNNABLE but not claimed before its time; then its old place counts."""
    await story.submit("a", "b")
    claim = (await story.claim(ALICE, 1))["a"]
    await story.queue.release(ALICE, [Release(JobId("a"), claim.epoch, "later", delay_ms=5000)])
    assert (await story.queue.counts())[JobState.RUNNABLE] == 2
    story.clock.advance(4999)
    assert list(await story.claim(ALICE)) == ["b"]
    await story.queue.hand_back(ALICE)
    story.clock.advance(1)
    assert list(await story.claim(ALICE)) == ["a", "b"]


async def test_a_note_leaves_the_job_claimed(story: "Story") -> None:
    """The reason of a held job can be read while nobody else can claim it; no event is written."""
    await story.submit("a")
    claim = (await story.claim(ALICE))["a"]
    events = await story.queue.events()
    await story.queue.note(ALICE, [Note(JobId("a"), claim.epoch, "12 x RESOURCE:CPU")])
    assert (await story.queue.job(JobId("a"))).reason == "12 x RESOURCE:CPU"
    assert events == await story.queue.events()
    assert await story.claim(BOB) == {}


async def test_cancelled_while_claimed(story: "Story") -> None:
    """A job cancelled between claim and launch is not launched."""
    await story.submit("a", "b")
    claims = await story.claim(ALICE)
    await story.queue.cancel([JobId("a")])
    intents = [Intent(claim.job.id, claim.epoch, None) for claim in claims.values()]
    allowed = await story.queue.intend(ALICE, LaunchToken("t"), "RunTask", intents)
    assert frozenset({"b"}) == allowed
