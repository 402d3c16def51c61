"""The account's budget as several schedulers share it: never over what ECS allows, hardly under."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ecs_queue.client import Queue
from ecs_scheduler.ecs.budget import Budget, TokenBucket
from ecs_scheduler.ecs.shared_bucket import SharedBucket
from ecs_simulator import VirtualClock, run_virtual

RATE, BURST = 40.0, 100


class DistantRedis(FakeAsyncRedis):
    """Answers after a few milliseconds; counts what it is asked."""

    def __init__(self, rng: Random, server: FakeServer) -> None:
        super().__init__(server=server)
        self._rng = rng
        self.asked = 0

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(self._rng.uniform(0.0005, 0.03))
        reply = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        await asyncio.sleep(self._rng.uniform(0.0005, 0.03))
        return reply


@dataclass
class Region:
    """ECS's own bucket, which refuses, and the schedulers before it."""

    clock: VirtualClock
    seed: int = 1
    server: FakeServer = field(default_factory=FakeServer)
    calls: int = 0
    refused: int = 0
    tokens: float = float(BURST)
    filled_at: float = 0.0
    redises: list[DistantRedis] = field(default_factory=list)

    def scheduler(self, name: str, rate: float = RATE, burst: int = BURST) -> SharedBucket:
        redis = DistantRedis(Random(f"{self.seed}{name}"), self.server)
        self.redises.append(redis)
        queue = Queue(redis, now_ms=lambda: round(self.clock.now() * 1000))
        own = TokenBucket("modify", rate, burst, self.clock.monotonic)
        return SharedBucket(own, queue.token_bank("1:r"), name, self.clock.monotonic)

    def call(self, rate: float = RATE) -> bool:
        """Whether ECS takes one more call now."""
        now = self.clock.monotonic()
        self.tokens = min(BURST, self.tokens + (now - self.filled_at) * rate)
        self.filled_at = now
        self.calls += 1
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        return True


def play(story: Callable[[Region], Awaitable[None]], seed: int = 1) -> Region:
    async def main(clock: VirtualClock) -> Region:
        region = Region(clock, seed)
        await story(region)
        for redis in region.redises:
            await redis.aclose()
        return region

    return run_virtual(main)


async def greedy(region: Region, bucket: SharedBucket, reserve: int) -> None:
    """Call as fast as the budget allows."""
    while True:
        await bucket.take(reserve)
        region.call()


async def for_a_while(seconds: float, *work: Any) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [each for each in ended if isinstance(each, Exception)]
    assert not failed, failed


MOODS = st.tuples(
    st.integers(0, 2),  # greedy takers
    st.floats(0.05, 3.0),
    st.integers(1, 60),  # as many others, who pause between two calls
    st.sampled_from([0, 5, 20]),
)


@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(schedulers=st.lists(MOODS, min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_schedulers_together_never_exceed_the_limit(
    schedulers: list[tuple[int, float, int, int]], seed: int
) -> None:
    """Whatever their demand, ECS refuses none of their calls."""

    async def story(region: Region) -> None:
        work: list[Any] = []
        for number, (takers, pause_s, size, reserve) in enumerate(schedulers):
            bucket = region.scheduler(f"s{number}")
            work += [greedy(region, bucket, reserve) for _ in range(takers)]
            work.append(in_bursts(region, bucket, (reserve, size, pause_s)))
        await for_a_while(8, *work)

    async def in_bursts(region: Region, bucket: SharedBucket, mood: tuple[int, int, float]) -> None:
        reserve, size, pause_s = mood
        while True:
            await asyncio.gather(*(once(region, bucket, reserve) for _ in range(size)))
            await asyncio.sleep(pause_s)

    async def once(region: Region, bucket: SharedBucket, reserve: int) -> None:
        await bucket.take(reserve)
        region.call()

    assert play(story, seed).refused == 0


def test_leased_tokens_are_not_kept_for_later() -> None:
    """One expects to go on and holds two dozen tokens, but pauses until the bucket is full again.
    Spending the old tokens beside a full bucket would be too much.
    """

    async def once(region: Region, bucket: SharedBucket) -> None:
        await bucket.take()
        region.call()

    async def story(region: Region) -> None:
        one, other = region.scheduler("one"), region.scheduler("other")
        await asyncio.gather(*(once(region, one) for _ in range(30)))
        for _ in range(2):
            await once(region, one)
        await asyncio.sleep(4)
        full = [once(region, other) for _ in range(other.burst)]
        await asyncio.gather(*full, *(once(region, one) for _ in range(25)))

    assert play(story).refused == 0


def test_who_comes_together_is_asked_for_together() -> None:
    """Thirty launches of one pass cost a single request to Redis."""

    async def story(region: Region) -> None:
        bucket = region.scheduler("one")
        await asyncio.gather(*(bucket.take(5) for _ in range(30)))
        assert bucket.status().calls == 30

    assert sum(redis.asked for redis in play(story).redises) == 3  # with its first loading


def test_three_greedy_schedulers_use_it_all_and_share_it() -> None:
    """At least 95 % of what ECS would have taken, nobody less than half his part, and a round trip
    to Redis for several calls.
    """
    spent: list[int] = []

    async def story(region: Region) -> None:
        buckets = [region.scheduler(f"s{number}") for number in range(3)]
        await for_a_while(60, *(greedy(region, each, 5) for each in buckets for _ in range(20)))
        spent.extend(bucket.status().calls for bucket in buckets)

    region = play(story)
    assert region.refused == 0
    assert region.calls >= 0.95 * (60 * RATE + BURST)
    assert min(spent) > region.calls / 6
    asked = sum(redis.asked for redis in region.redises)
    assert asked < 0.9 * region.calls, (asked, region.calls)


@pytest.mark.parametrize(
    ("schedulers", "rate", "burst"),
    [(1, 2.0, 5), (8, 4.0, 10)],
    ids=["a-twentieth-of-the-account", "eight-share-a-tenth"],
)
def test_however_little_each_can_have_nobody_starves(
    schedulers: int, rate: float, burst: int
) -> None:
    """Launches leave five tokens for stops; where there are hardly more, or less than one for each,
    the rate is used all the same, and no scheduler thinks that it may never launch.
    """
    never: list[SharedBucket] = []

    async def story(region: Region) -> None:
        buckets = [region.scheduler(f"s{n}", rate, burst) for n in range(schedulers)]
        hopeful = [asyncio.ensure_future(hopes(each)) for each in buckets]
        await for_a_while(25, *(greedy(region, each, Budget.STOP_RESERVE) for each in buckets))
        never.extend(b for b, task in zip(buckets, hopeful, strict=True) if not task.done())
        for task in hopeful:
            task.cancel()

    async def hopes(bucket: SharedBucket) -> None:
        for _ in range(400):
            await asyncio.sleep(0.05)
            if bucket.available(Budget.STOP_RESERVE):
                return
        await asyncio.Event().wait()

    region = play(story)
    assert region.calls >= 0.9 * 25 * rate
    assert never == []


def test_one_who_was_told_to_take_little_does_not_keep_the_others_from_all() -> None:
    """His burst of four holds for both, and is less than the five that launches leave."""

    async def story(region: Region) -> None:
        careful, other = region.scheduler("careful", 10.0, 4), region.scheduler("other")
        await for_a_while(30, greedy(region, careful, 0), greedy(region, other, 5))
        assert min(careful.status().calls, other.status().calls) > 50

    play(story)


def test_a_stop_finds_a_token_in_the_worst_throng() -> None:
    """Forty launches wait at each of three schedulers; a StopTask is paid for within 150 ms."""

    async def story(region: Region) -> None:
        buckets = [region.scheduler(f"s{number}") for number in range(3)]
        worst = 0.0

        async def stop_now_and_then() -> None:
            nonlocal worst
            while True:
                await asyncio.sleep(0.7)
                asked_at = region.clock.monotonic()
                await buckets[0].take()
                worst = max(worst, region.clock.monotonic() - asked_at)

        throng = (greedy(region, each, Budget.STOP_RESERVE) for each in buckets for _ in range(40))
        await for_a_while(30, stop_now_and_then(), *throng)
        assert 0 < worst < 0.15

    play(story)


def test_a_lower_real_limit_is_learnt_together() -> None:
    """ECS allows half of what is configured. One minute on, one call in fifty is refused at most,
    and nine tenths of what there is gets used.
    """
    real = RATE / 2

    async def caller(region: Region, bucket: SharedBucket) -> None:
        while True:
            await bucket.take(5)
            if not region.call(real):
                bucket.throttled()

    async def story(region: Region) -> None:
        buckets = [region.scheduler(f"s{number}") for number in range(2)]
        await for_a_while(60, *(caller(region, each) for each in buckets for _ in range(5)))
        before = region.calls, region.refused
        await for_a_while(60, *(caller(region, each) for each in buckets for _ in range(5)))
        calls, refused = region.calls - before[0], region.refused - before[1]
        assert refused < calls / 50
        assert calls - refused > 0.9 * 60 * real

    play(story)


def test_without_redis_calls_trickle_and_recover() -> None:
    """Each goes on at his part of two per cent, and at full speed soon after."""

    async def story(region: Region) -> None:
        buckets = [region.scheduler(f"s{number}") for number in range(2)]
        calls = [greedy(region, each, 0) for each in buckets]
        calls += [greedy(region, each, 5) for each in buckets]
        work = asyncio.ensure_future(for_a_while(90, *calls))
        await asyncio.sleep(20)
        region.server.connected = False
        await asyncio.sleep(1)
        before = region.calls
        await asyncio.sleep(30)
        assert 20 <= region.calls - before <= 30
        assert [each.status().sharing for each in buckets] == [0, 0]
        region.server.connected = True
        await asyncio.sleep(3)
        before = region.calls
        await asyncio.sleep(30)
        assert region.calls - before > 0.9 * 30 * RATE
        await work

    assert play(story).refused == 0


def test_a_throttle_does_not_stop_the_trickle() -> None:
    """ECS refuses a call while Redis is away, so that nobody can be told; calls go on."""

    async def story(region: Region) -> None:
        bucket = region.scheduler("one")
        work = asyncio.ensure_future(for_a_while(60, greedy(region, bucket, 0)))
        await asyncio.sleep(10)
        region.server.connected = False
        await asyncio.sleep(1)
        bucket.throttled()
        before = region.calls
        await asyncio.sleep(30)
        assert 15 <= region.calls - before <= 30
        assert bucket.status().throttled == 1
        region.server.connected = True
        await asyncio.sleep(10)
        assert bucket.status().rate_per_s < RATE * 0.98  # the others were told
        await work

    play(story)
