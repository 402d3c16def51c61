"""The token buckets, on virtual time."""

import asyncio

from ecs_scheduler.ecs.budget import READ_RESERVES, Budget, ReadPurpose, TokenBucket
from ecs_simulator import VirtualClock, run_virtual


class Watch:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def bucket(watch: Watch, rate: float = 10.0, burst: int = 5) -> TokenBucket:
    return TokenBucket("modify", rate, burst, watch)


async def test_a_burst_is_at_once_and_then_the_rate_holds() -> None:
    """5 tokens at once; after 0.25 s at 10/s, 2 more (and a half)."""
    watch = Watch()
    modify = bucket(watch)
    for _ in range(5):
        await modify.take()
    assert modify.available() == 0
    watch.now += 0.25
    assert modify.available() == 2


async def test_the_reserve_is_left_for_more_urgent_calls() -> None:
    """With 20 tokens and 5 in reserve, only 15 launches; a stop still finds a token."""
    modify = bucket(Watch(), burst=21)  # of which one is the margin
    assert modify.available(reserve=5) == 15
    for _ in range(15):
        await modify.take(reserve=5)
    assert modify.available(reserve=5) == 0
    await modify.take()


async def test_of_a_small_burst_a_quarter_is_left() -> None:
    """Five tokens less five would be none for ever, and no launch would ever begin."""
    modify = bucket(Watch(), burst=5)
    assert modify.available(reserve=5) == 4
    await asyncio.wait_for(modify.take(reserve=5), timeout=1)


async def test_a_taker_waits_while_the_bucket_is_empty() -> None:
    """Nobody gets a token that is not there yet."""
    watch = Watch()
    modify = bucket(watch, rate=1000.0, burst=1)
    await modify.take()
    waiting = asyncio.create_task(modify.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    watch.now += 1
    await waiting


async def test_a_throttle_halves_the_rate_and_time_wins_it_back() -> None:
    """10/s → 5/s at once; 5 % of 10 per second: back at 10/s after 10 s, never above."""
    watch = Watch()
    modify = bucket(watch)
    modify.throttled()
    assert (modify.available(), modify.status().rate_per_s) == (0, 5.0)
    watch.now += 4
    assert modify.status().rate_per_s == 7.0
    watch.now += 60
    assert modify.status().rate_per_s == 10.0


async def test_a_slowed_bucket_never_stops() -> None:
    """A tenth of the rate is left, so that the end of the pressure is noticed."""
    modify = bucket(Watch())
    for _ in range(20):
        modify.throttled()
    assert modify.status().rate_per_s == 1.0


async def test_instances_come_before_tasks_until_the_model_is_complete() -> None:
    """Nothing can be placed before; afterwards, news of tasks is the more urgent."""
    assert READ_RESERVES["first sweep"] < READ_RESERVES["track"] < READ_RESERVES["sweep"]
    watch = Watch()
    read = bucket(watch, rate=20.0, burst=100)
    budget = Budget(modify=bucket(watch), read=read, task_definition_read=bucket(watch))
    while read.available(READ_RESERVES["track"]):
        await budget.read_for("track")
    tracking = asyncio.create_task(budget.read_for("track"))
    await budget.read_for("first sweep")
    await asyncio.sleep(0)
    assert not tracking.done()
    tracking.cancel()


def test_when_reads_are_short_the_most_urgent_comes_first() -> None:
    """All wait for an empty bucket: unknown outcomes are asked for first, then tasks, instances and
    strays.
    """
    served: list[str] = []

    async def story(clock: VirtualClock) -> None:
        buckets = [TokenBucket("read", 20.0, 100, clock.monotonic) for _ in range(3)]
        budget = Budget(*buckets)
        while budget.read.available():
            await budget.read.take()

        async def read(purpose: ReadPurpose) -> None:
            await budget.read_for(purpose)
            served.append(purpose)

        await asyncio.gather(read("strays"), read("sweep"), read("track"), read("reconcile"))

    run_virtual(story)
    assert served == ["reconcile", "track", "sweep", "strays"]
