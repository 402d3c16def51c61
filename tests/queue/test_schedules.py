"""Stories of recurring submissions: when their ticks come, and that each is submitted once."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from ecs_queue.errors import InvalidSchedule
from ecs_queue.job import JobId
from ecs_queue.schedule import Fire, Kept, Miss, Schedule, decide, parse_schedule
from ecs_queue.schedules import Schedules, Unread
from ecs_queue.script import Command
from ecs_queue.states import Succeeded

if TYPE_CHECKING:
    from tests.queue.conftest import Story

MINUTE_MS = 60_000
JOB = {"task_definition": "report:7"}


def ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def every(cron: str, zone: str = "UTC", **fields: Any) -> Schedule:
    document = {"name": "s", "cron": cron, "time_zone": zone, "job": JOB, **fields}
    return parse_schedule(to_json(document))


def kept(schedule: Schedule, next_ms: int, begun_ms: int | None = None) -> Kept:
    return Kept(schedule, next_ms, begun_ms, None, None, 0, 0, "")


def ticks(schedule: Schedule, since: str, number: int) -> list[str]:
    at_ms, found = ms(since), []
    for _ in range(number):
        at_ms = schedule.after(at_ms)
        found.append(schedule.job_id_at(at_ms).removeprefix("s-"))
    return found


def test_ticks_are_named_in_utc() -> None:
    """Three o'clock in Berlin is one in UTC in summer and two in winter."""
    daily = every("0 3 * * *", "Europe/Berlin")
    assert ticks(daily, "2026-10-23T12:00Z", 3) == [
        "20261024T0100Z",
        "20261025T0200Z",
        "20261026T0200Z",
    ]


def test_an_hour_that_is_left_out_loses_no_tick() -> None:
    """02:30 does not exist on 29 March 2026 in Berlin: it comes at 03:00 summer time."""
    daily = every("30 2 * * *", "Europe/Berlin")
    assert ticks(daily, "2026-03-28T00:00Z", 3) == [
        "20260328T0130Z",
        "20260329T0100Z",
        "20260330T0030Z",
    ]


def test_an_hour_that_comes_twice_repeats_no_fixed_tick() -> None:
    """02:30 happens twice on 25 October 2026 in Berlin: only the first counts. Every half hour is
    every half hour, though.
    """
    daily = every("30 2 * * *", "Europe/Berlin")
    assert ticks(daily, "2026-10-24T12:00Z", 2) == ["20261025T0030Z", "20261026T0130Z"]
    often = every("*/30 * * * *", "Europe/Berlin")
    assert ticks(often, "2026-10-24T23:59Z", 5) == [
        "20261025T0000Z",
        "20261025T0030Z",
        "20261025T0100Z",
        "20261025T0130Z",
        "20261025T0200Z",
    ]


@given(
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 0 31 * *", "5 4 * * 1-5", "@monthly"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(ms("2026-01-01T00:00Z"), ms("2028-12-31T00:00Z")),
)
def test_no_tick_lies_between_the_latest_and_the_next(cron: str, zone: str, now_ms: int) -> None:
    """Whatever the moment: latest ≤ now < next, and the next after the latest is the same."""
    schedule = every(cron, zone)
    latest, following = schedule.latest(now_ms), schedule.after(now_ms)
    assert latest <= now_ms < following
    assert schedule.after(latest) == following
    assert latest % MINUTE_MS == following % MINUTE_MS == 0
    assert schedule.job_id_at(latest) != schedule.job_id_at(following)


def test_what_is_due() -> None:
    """Nothing before the tick, the tick itself, and of several missed ones the latest or none."""
    hourly, skips = every("0 * * * *"), every("0 * * * *", missed="skip")
    noon, hour = ms("2026-11-26T12:00Z"), 60 * MINUTE_MS
    assert decide(kept(hourly, noon), noon - 1) is None
    for each in (hourly, skips):
        assert decide(kept(each, noon), noon + 1000) == Fire(noon, noon + hour)
    late = noon + 5 * hour + 10 * MINUTE_MS
    assert decide(kept(hourly, noon), late) == Fire(noon + 5 * hour, noon + 6 * hour)
    missed = decide(kept(skips, noon), late)
    assert missed == Miss(noon + 6 * hour, "missed 2026-11-26T17:00Z: no scheduler ran")
    assert decide(kept(skips, noon), noon + 5 * hour + 1000) == Fire(
        noon + 5 * hour, noon + 6 * hour
    )


def test_what_was_begun_is_finished_first() -> None:
    """Even if its tick is long past, and whatever the policy: it may have been submitted."""
    skips = every("0 * * * *", missed="skip")
    noon, hour = ms("2026-11-26T12:00Z"), 60 * MINUTE_MS
    assert decide(kept(skips, noon, noon), noon + 9 * hour) == Fire(noon, noon + hour)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"cron": "0 3 * *"}, "cron: .*has 4 fields; cron has five"),
        ({"cron": "0 0 3 * * *"}, "has 6 fields"),
        ({"cron": "61 * * * *"}, "is no cron expression: Bad minute"),
        ({"cron": "0 0 30 2 *"}, "is no cron expression"),
        ({"cron": "@never"}, "has 1 fields"),
        ({"zone": "Mars/Olympus"}, "time_zone: .*is no time zone"),
        ({"zone": "../etc/passwd"}, "is no time zone"),
        ({"name": "a/b"}, "name: must have 1 to 100 letters"),
        ({"missed": "twice"}, "missed: expected 'once' or 'skip'"),
        ({"job": {}}, "task_definition: required"),
        ({"job": {**JOB, "id": "x"}}, "job.id: cannot be the same for every tick"),
        ({"job": {**JOB, "deadline": 5}}, "job.deadline: cannot be the same"),
        ({"job": {**JOB, "gang": {"id": "g", "size": 2}}}, "job.gang: cannot be the same"),
        ({"job": {**JOB, "priority": "5"}}, "priority: must be a valid integer"),
        ({"extra": 1}, "extra: unknown field; known here: name, cron"),
        ({"overlaps": "x"}, r"overlaps: unknown field; did you mean overlap\\?"),
    ],
)
def test_what_is_no_schedule(fields: dict[str, Any], complaint: str) -> None:
    """The message names the field and what is expected there."""
    given_fields = {"cron": "0 3 * * *", **fields}
    with pytest.raises(InvalidSchedule, match=complaint):
        every(**given_fields)


async def submit_due(story: "Story", schedules: Schedules) -> list[str]:
    """What the service does at each look; the ids that were submitted."""
    done = []
    for each in await schedules.due():
        if isinstance(each, Unread):
            done.append(f"ASIDE {await schedules.set_aside(each)} {each.shown.schedule.name}")
            continue
        fire = decide(each, story.clock())
        assert isinstance(fire, Fire)
        answer = await schedules.begin(each, fire)
        if answer == "FIRE":
            job = each.schedule.job_at(fire.tick_ms)
            await story.queue.submit([job])
            await schedules.end(each, fire.go_on_ms, job.id)
        done.append(f"{answer} {each.schedule.job_id_at(fire.tick_ms)}")
    return done


async def test_a_schedule_is_kept_and_fired(story: "Story") -> None:
    """Added twice it is one; each tick becomes one job; removed, it submits nothing more."""
    schedules = Schedules(story.queue.run)
    hourly = every("0 * * * *")
    for _ in range(2):
        assert await schedules.put(hourly, story.clock())
    assert not await schedules.put(every("5 * * * *"), story.clock())
    assert await submit_due(story, schedules) == []
    story.clock.advance(61 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0900Z"]
    assert await submit_due(story, schedules) == []
    (found,) = await schedules.all()
    assert (found.last_job, found.fired, found.skipped) == ("s-20270115T0900Z", 1, 0)
    assert (await story.queue.job(JobId("s-20270115T0900Z"))).job.task_definition == "report:7"
    await schedules.remove("s")
    story.clock.advance(61 * MINUTE_MS)
    assert await submit_due(story, schedules) == []
    assert await schedules.all() == ()


async def put_by_another_version(story: "Story", name: str) -> None:
    """A schedule that this version cannot read: `odd` a little, any other not at all."""
    odd = every("0 * * * *").model_copy(update={"name": "odd", "time_zone": "Mars/Olympus"})
    document = odd.model_dump_json().encode() if name == "odd" else b"\x00 by another version"
    await story.queue.run(Command("schedule_put", (name, document, story.clock(), 0), bool))


async def test_a_stale_scheduler_submits_nothing_new(story: "Story") -> None:
    """It may repeat the job of its tick, which is a no-op, and moves nothing on."""
    schedules = Schedules(story.queue.run)
    await schedules.put(every("0 * * * *"), story.clock())
    story.clock.advance(61 * MINUTE_MS)
    (stale,) = await schedules.due()
    assert isinstance(stale, Kept)
    fire = decide(stale, story.clock())
    assert isinstance(fire, Fire)
    assert await schedules.begin(stale, fire) == "FIRE"
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0900Z"]
    await story.queue.submit([stale.schedule.job_at(fire.tick_ms)])
    await schedules.end(stale, fire.go_on_ms, JobId("wrong"))
    assert await schedules.begin(stale, fire) == "GONE"
    found = await schedules.one("s")
    assert found is not None
    assert (found.last_job, found.fired) == ("s-20270115T0900Z", 1)
    assert len(await story.queue.jobs()) == 1


async def test_a_tick_is_left_out_while_the_last_job_runs(story: "Story") -> None:
    """Overlap forbidden: skipped, with the reason; after its end the next tick comes as usual."""
    schedules = Schedules(story.queue.run)
    await schedules.put(every("0 * * * *", overlap="forbid"), story.clock())
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0900Z"]
    task = await story.run("s-20270115T0900Z")
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["SKIP s-20270115T1000Z"]
    found = await schedules.one("s")
    assert found is not None
    assert (found.note, found.skipped) == ("left out: s-20270115T0900Z is RUNNING", 1)
    await story.queue.finish(task, Succeeded())
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T1100Z"]


async def test_a_schedule_that_cannot_be_read_holds_up_no_other(story: "Story") -> None:
    """This version knows no such time zone: it is set aside with the reason, once, and listed so;
    it cannot be resumed before it can be read, but paused and removed."""
    schedules = Schedules(story.queue.run)
    await schedules.put(every("0 * * * *"), story.clock())
    for name in ("odd", "garbled"):
        await put_by_another_version(story, name)
    story.clock.advance(61 * MINUTE_MS)
    assert set(await submit_due(story, schedules)) == {
        *("FIRE s-20270115T0900Z", "ASIDE True odd", "ASIDE True garbled")
    }
    story.clock.advance(61 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T1000Z"]
    by_name = {each.schedule.name: each for each in await schedules.all()}
    assert set(by_name) == {"s", "odd", "garbled"}
    reason = 'cannot be read by this version: time_zone: "Mars/Olympus" is no time zone'
    assert (by_name["odd"].aside or "").startswith(reason)
    assert by_name["odd"].schedule.cron == "0 * * * *"
    assert (by_name["garbled"].aside or "").startswith("cannot be read by this version: ")
    assert await schedules.one("odd") == by_name["odd"]
    with pytest.raises(InvalidSchedule, match="odd cannot be read by this version"):
        await schedules.resume("odd", story.clock())
    assert await schedules.pause("odd")
    for name in ("odd", "garbled"):
        await schedules.remove(name)
    assert [each.schedule.name for each in await schedules.all()] == ["s"]


async def test_a_schedule_that_another_version_wrote_otherwise(story: "Story") -> None:
    """It says the same as this version would, in other words: its ticks come all the same."""
    schedules, hourly = Schedules(story.queue.run), every("0 * * * *")
    document = hourly.model_dump_json().encode()  # with the defaults
    await story.queue.run(Command("schedule_put", ("s", document, story.clock(), 0), bool))
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0800Z"]
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0900Z"]


@pytest.mark.parametrize("back", ["replaced", "added again", "resumed", "resumed after a pause"])
async def test_a_schedule_that_was_set_aside_comes_back(story: "Story", back: str) -> None:
    """Once it can be read, by another document or another version; what came meanwhile is left
    out, and who still knows the old state changes nothing."""
    schedules, hourly = Schedules(story.queue.run), every("0 * * * *")
    await schedules.put(hourly, story.clock())
    story.clock.advance(60 * MINUTE_MS)
    (due,) = await schedules.due()
    assert isinstance(due, Kept)
    written = hourly.model_dump_json(exclude_defaults=True).encode()
    assert await schedules.set_aside(Unread(due, written, "cannot be read by that version"))
    assert not await schedules.set_aside(Unread(due, b"another", "cannot be read by that version"))
    fire = decide(due, story.clock())
    assert isinstance(fire, Fire)
    assert await schedules.begin(due, fire) == "GONE"
    assert await submit_due(story, schedules) == []
    found = await schedules.one("s")
    assert found is not None
    assert found.aside == "cannot be read by that version"
    await schedules.end(due, fire.go_on_ms, None, "too late")
    story.clock.advance(120 * MINUTE_MS)
    assert await submit_due(story, schedules) == []
    if back == "replaced":
        again = every("0 * * * *", overlap="forbid")
        assert await schedules.put(again, story.clock(), replace=True)
    elif back == "added again":
        assert await schedules.put(hourly, story.clock())
    else:
        assert back == "resumed" or await schedules.pause("s")
        assert await schedules.resume("s", story.clock())
    assert await submit_due(story, schedules) == []
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T1200Z"]
    found = await schedules.one("s")
    assert found is not None
    assert (found.aside, found.paused) == (None, None)


async def test_a_paused_schedule_goes_on_with_the_next_tick(story: "Story") -> None:
    """What came meanwhile is left out, also one that was begun."""
    schedules = Schedules(story.queue.run)
    await schedules.put(every("0 * * * *"), story.clock())
    story.clock.advance(60 * MINUTE_MS)
    (due,) = await schedules.due()
    assert isinstance(due, Kept)
    fire = decide(due, story.clock())
    assert isinstance(fire, Fire)
    assert await schedules.pause("s", "audit")
    assert await schedules.begin(due, fire) == "GONE"
    story.clock.advance(300 * MINUTE_MS)
    assert await schedules.due() == ()
    assert await schedules.resume("s", story.clock())
    assert await submit_due(story, schedules) == []
    story.clock.advance(60 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T1500Z"]
    assert not await schedules.pause("nobody")
    assert not await schedules.resume("nobody", 0)


async def test_a_replaced_schedule_forgets_what_was_begun(story: "Story") -> None:
    """The old one's tick is nobody's; the new one's ticks count from now."""
    schedules = Schedules(story.queue.run)
    await schedules.put(every("0 * * * *"), story.clock())
    story.clock.advance(60 * MINUTE_MS)
    (old,) = await schedules.due()
    assert isinstance(old, Kept)
    fire = decide(old, story.clock())
    assert isinstance(fire, Fire)
    assert await schedules.begin(old, fire) == "FIRE"
    assert await schedules.put(every("30 * * * *"), story.clock(), replace=True)
    await schedules.end(old, fire.go_on_ms, JobId("x"))
    assert await submit_due(story, schedules) == []
    story.clock.advance(30 * MINUTE_MS)
    assert await submit_due(story, schedules) == ["FIRE s-20270115T0930Z"]
