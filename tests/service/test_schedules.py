"""Recurring submissions in a whole service, in virtual time: crashes, gaps, clocks set back."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import structlog
from pydantic_core import to_json

from ecs_queue.schedule import Fire, Kept, decide, parse_schedule
from ecs_queue.schedules import Schedules
from ecs_queue.script import Command

Run = Callable[..., None]
CALM = {"pass_interval_s": 1.3, "track_interval_s": 5.0, "sweep_interval_s": 60.0}
"""These stories last minutes, and have little to place."""


def ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def document(cron: str, seconds: int = 5, **fields: Any) -> bytes:
    words = {"containerOverrides": [{"name": "main", "command": ["sleep", str(seconds)]}]}
    job = {"task_definition": "batch", "overrides": words}
    return to_json({"name": "s", "cron": cron, "job": job, **fields})


async def added(w: Any, cron: str, seconds: int = 5, **fields: Any) -> Schedules:
    """A schedule, beside the service that runs."""
    schedules = Schedules(w.queue.run)
    now_ms = round(w.clock.now() * 1000)
    assert await schedules.put(parse_schedule(document(cron, seconds, **fields)), now_ms)
    return schedules


async def submitted(w: Any) -> list[Any]:
    """All jobs, by the time of their submission."""
    return sorted(await w.queue.jobs(limit=1000), key=lambda each: each.submitted_at_ms)


def test_every_tick_is_one_job_at_its_time(world: Run) -> None:
    """Each minute a job, submitted within two seconds of it."""

    async def story(w: Any) -> None:
        schedules = await added(w, "* * * * *")
        await asyncio.sleep(190)
        records = await submitted(w)
        assert len(records) == 3
        for each in records:
            assert each.submitted_at_ms % 60_000 <= 2000
        assert records[0].job.id == "s-20260101T0001Z"
        (kept,) = await schedules.all()
        assert (kept.fired, kept.skipped, kept.last_job) == (3, 0, records[-1].job.id)

    world(story, **CALM)


def test_no_tick_is_lost_or_doubled_when_leaders_change(world: Run) -> None:
    """Leaders are killed just before, at, and just after a tick: still one job a minute."""

    async def story(w: Any) -> None:
        await added(w, "* * * * *")
        await asyncio.sleep(59.5)
        for lives_s in (60.7, 59.3, 61.0):
            await w.kill()
            async with w.another_service():
                await asyncio.sleep(lives_s)
                await w.kill()
        async with w.another_service():
            await asyncio.sleep(20)
            names = sorted(each.job.id for each in await submitted(w))
        assert names == [f"s-20260101T000{minute}Z" for minute in (1, 2, 3, 4)]

    world(story, **CALM)


def test_a_tick_that_broke_off_is_finished_by_the_next_leader(world: Run) -> None:
    """The first one died after it had begun, and before or after the job was submitted."""

    async def story(w: Any) -> None:
        schedules = await added(w, "* * * * *")
        await w.kill()
        await asyncio.sleep(60)
        (due,) = await schedules.due()
        assert isinstance(due, Kept)
        fire = decide(due, round(w.clock.now() * 1000))
        assert isinstance(fire, Fire)
        assert await schedules.begin(due, fire) == "FIRE"
        await asyncio.sleep(300)
        async with w.another_service():
            await asyncio.sleep(10)
        names = [each.job.id for each in await submitted(w)]
        assert names == ["s-20260101T0001Z", "s-20260101T0006Z"]

    world(story, **CALM)


def test_missed_ticks_are_submitted_once_or_not_at_all(world: Run) -> None:
    """Nobody runs for five hours: the latest tick is made up for, or all are left out."""

    async def after_the_gap(w: Any, missed: str) -> tuple[list[str], str]:
        schedules = await added(w, "0 * * * *", missed=missed)
        await w.kill()
        await asyncio.sleep(5 * 3600 + 1800)
        async with w.another_service():
            await asyncio.sleep(10)
        (kept,) = await schedules.all()
        assert kept.next_ms == ms("2026-01-01T06:00Z")
        return [each.job.id for each in await submitted(w)], kept.note

    async def once(w: Any) -> None:
        assert await after_the_gap(w, "once") == (["s-20260101T0500Z"], "")

    async def skip(w: Any) -> None:
        late = "missed 2026-01-01T05:00Z: no scheduler ran"
        assert await after_the_gap(w, "skip") == ([], late)

    world(once, **CALM)
    world(skip, **CALM)


@pytest.mark.slow
def test_a_job_that_runs_long_is_not_joined_by_the_next(world: Run) -> None:
    """Overlap forbidden: of 80 seconds of work a minute, every second tick is left out."""

    async def story(w: Any) -> None:
        schedules = await added(w, "* * * * *", 80, overlap="forbid")
        await asyncio.sleep(250)
        names = [each.job.id for each in await submitted(w)]
        assert names == ["s-20260101T0001Z", "s-20260101T0003Z"]
        (kept,) = await schedules.all()
        assert kept.skipped == 2
        assert kept.note == "left out: s-20260101T0003Z is RUNNING"

    world(story, **CALM)


@pytest.mark.slow
def test_clocks_that_are_set_back_submit_no_job_twice(world: Run) -> None:
    """02:30 comes twice on 25 October 2026 in Berlin: half-hourly work twice, a fixed time once."""

    async def story(w: Any) -> None:
        await added(w, "30 2 * * *", name="fixed", time_zone="Europe/Berlin")
        await added(w, "*/30 * * * *", name="often", time_zone="Europe/Berlin", missed="skip")
        await asyncio.sleep(90)
        await w.kill()
        await asyncio.sleep(3600 - 90)
        async with w.another_service():
            await asyncio.sleep(90)
        assert {each.job.id for each in await submitted(w)} == {
            "fixed-20261025T0030Z",
            "often-20261025T0030Z",
            "often-20261025T0130Z",
        }

    world(story, **CALM, start=ms("2026-10-25T00:29Z") / 1000)


@pytest.mark.slow
def test_a_schedule_whose_job_cannot_be_submitted_says_so(world: Run) -> None:
    """Its id is taken by another job: noted, and the next tick comes all the same."""

    async def story(w: Any) -> None:
        schedules = await added(w, "* * * * *")
        await w.submit({"id": "s-20260101T0001Z"})
        await asyncio.sleep(70)
        (kept,) = await schedules.all()
        assert kept.note == "another job was submitted as s-20260101T0001Z before"
        await asyncio.sleep(60)
        (kept,) = await schedules.all()
        assert (kept.last_job, kept.note) == ("s-20260101T0002Z", "")

    world(story, **CALM)


def test_a_schedule_that_cannot_be_read_is_told_once(world: Run) -> None:
    """Set aside at its first tick, counted once; the others go on, and so does it once replaced."""

    async def story(w: Any) -> None:
        schedules = await added(w, "* * * * *")
        strange = document("* * * * *", name="odd", moon="full")
        now_ms = round(w.clock.now() * 1000)
        await w.queue.run(Command("schedule_put", ("odd", strange, now_ms, 0), bool))
        with structlog.testing.capture_logs() as logs:
            await asyncio.sleep(190)
        told = [each for each in logs if each["event"] == "schedule set aside"]
        assert [each["schedule"] for each in told] == ["odd"]
        assert "moon: unknown field" in told[0]["reason"]
        counted = b'ecs_scheduler_schedule_ticks_total{outcome="unreadable"} 1.0'
        assert counted in w.metrics.render()
        assert len(await submitted(w)) == 3
        mended = parse_schedule(document("* * * * *", name="odd"))
        assert await schedules.put(mended, round(w.clock.now() * 1000), replace=True)
        await asyncio.sleep(60)
        names = [each.job.id for each in await submitted(w)]
        assert [each for each in names if each.startswith("odd")] == ["odd-20260101T0004Z"]

    world(story, **CALM)
