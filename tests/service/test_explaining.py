"""Why a job waits, why an instance stays half empty, what would happen to a job: as stories."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.errors import UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState
from ecs_scheduler.errors import NotReady, TaskDefinitionNotFound, UnknownInstance
from ecs_scheduler.explaining.forecast import Forecast
from ecs_simulator import InstanceGroup

if TYPE_CHECKING:
    from tests.service.conftest import World

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)  # 4,096 CPU units


def sized(name: str, cpu: int, seconds: int = 600, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "cpu": cpu, "command": ["sleep", str(seconds)]}
    return {"id": name, "overrides": {"containerOverrides": [container]}, **more}


def job(**document: Any) -> Job:
    return Job.model_validate({"task_definition": "batch", **document})


def test_a_waiting_job_is_told_what_is_missing_and_what_would_help(world: Run) -> None:
    """Room for 3,072 of 4,096 units is taken: 1,024 units are missing, and less by as many fits."""

    async def story(w: "World") -> None:
        await w.submit(sized("first", 3072))
        await w.until("first", JobState.RUNNING)
        await w.submit(sized("second", 2048))
        await w.until_noted("second")
        told = await w.service.explainer.job(JobId("second"))
        assert told.state == "RUNNABLE"
        assert "short of CPU" in told.summary
        assert told.queue is not None
        assert (told.queue.ahead, told.queue.equal) == (0, 1)
        assert told.placement is not None
        [near] = told.placement.nearest
        assert [(each.reason.value, each.short_by) for each in near.lacks] == [
            ("RESOURCE:CPU", 1024)
        ]
        assert [(each.instances, each.short_by) for each in told.placement.changes] == [(1, 1024)]
        assert [(each.name, each.would_do) for each in told.placement.types] == [("m5.xlarge", 1)]
        assert told.launching is not None

    world(story, fleet=ONE)


def test_jobs_ahead_are_counted_in_all_and_among_equals(world: Run) -> None:
    """Of two jobs ahead one is equal to it, the other has a higher priority."""

    async def story(w: "World") -> None:
        await w.submit(sized("runs", 4096))
        await w.until("runs", JobState.RUNNING)
        await w.submit(
            sized("urgent", 4096, priority=5), sized("before", 2048), sized("last", 2048)
        )
        await w.until_noted("last")
        told = await w.service.explainer.job(JobId("last"))
        assert told.queue is not None
        assert (told.queue.ahead, told.queue.ahead_equal, told.queue.equal) == (2, 1, 2)

    world(story, fleet=ONE)


def test_a_job_that_depends_on_another_is_told_on_which(world: Run) -> None:
    """PENDING says for whom it waits, and in which state that one is."""

    async def story(w: "World") -> None:
        await w.submit(sized("a", 1024), sized("b", 1024, depends_on=[{"job": "a"}]))
        await w.until("a", JobState.RUNNING)
        told = await w.service.explainer.job(JobId("b"))
        assert told.state == "PENDING"
        assert told.summary == "waits for a (RUNNING)"
        with pytest.raises(UnknownJob):
            await w.service.explainer.job(JobId("nobody"))

    world(story, fleet=ONE)


def test_a_half_empty_instance_says_what_each_waiting_job_lacks_there(world: Run) -> None:
    """A quarter is free, and the job that waits needs half."""

    async def story(w: "World") -> None:
        await w.submit(sized("first", 3072))
        await w.until("first", JobState.RUNNING)
        await w.submit(sized("second", 2048), sized("third", 2048))
        await w.until_noted("third")
        [task] = w.sim.tasks()
        told = w.service.explainer.instance(str(task.instance_arn))
        assert told.free["CPU"] == 1024
        assert told.summary == "none of the 2 waiting jobs fits: each lacks something here"
        [waiting] = told.waiting
        assert (waiting.jobs, waiting.lacks) == (2, ("1024 CPU units too few",))
        with pytest.raises(UnknownInstance, match="no container instance 'i-nobody' among the 1"):
            w.service.explainer.instance("i-nobody")

    world(story, fleet=ONE)


def test_a_plan_says_now_later_in_part_or_never_and_submits_nothing(world: Run) -> None:
    """The same job against a cluster that is a quarter free."""

    async def story(w: "World") -> None:
        await w.submit(sized("first", 3072))
        await w.until("first", JobState.RUNNING)
        plan = w.service.explainer.plan
        now = await plan(job(**sized("p", 1024)))
        assert (now.verdict, now.fit_now, now.tasks) == ("now", 1, 1)
        assert str(now.placement.ranked[0].instance_id) == str(w.sim.tasks()[0].instance_arn)
        later = await plan(job(**sized("p", 2048)))
        assert later.verdict == "later"
        assert "short of CPU" in later.summary
        part = await plan(job(**sized("p", 512), array_size=5))
        assert (part.verdict, part.fit_now, part.tasks) == ("in part", 2, 5)
        never = await plan(job(**sized("p", 8192)))
        assert never.verdict == "never"
        assert never.eta is None
        with pytest.raises(TaskDefinitionNotFound):
            await plan(Job.model_validate({"id": "p", "task_definition": "nobody"}))
        with pytest.raises(UnknownJob):
            await w.queue.job(JobId("p"))

    world(story, fleet=ONE)


def test_room_is_not_all_that_a_plan_looks_at(world: Run) -> None:
    """Its share's quota, a time to come, a job before it: nothing that starts now is promised."""

    async def story(w: "World") -> None:
        await w.submit(sized("first", 1024, share="small"), sized("second", 1024, share="small"))
        await w.until_noted("second")
        told = await w.service.explainer.job(JobId("second"))
        assert told.summary == "share small runs 1 task, the most allowed"
        assert told.placement is not None
        assert told.placement.ranked, "there is room"
        plan = w.service.explainer.plan
        for more, why in (
            ({"share": "small"}, "has room now, but share small runs 1 task, the most allowed"),
            ({"depends_on": [{"job": "first"}]}, "it waits for first, which is "),
            ({"depends_on": [{"job": "no"}]}, "it depends on no, which the queue does not know"),
            ({"not_before": "2099-01-01T00:00:00Z"}, "it starts not before 2099-01-01T00:00:00Z"),
        ):
            found = await plan(job(**sized("p", 512, **more)))
            assert (found.verdict, found.fit_now, found.eta) == ("later", 1, None)
            assert why in found.summary
        free = await plan(job(**sized("p", 512, policy="nope")))
        assert (free.verdict, free.held_back) == ("now", ())
        assert free.policy.endswith("(policy 'nope' is not in built in)")

    world(story, fleet=ONE, shares={"small": {"max_running": 1}})


def test_a_gang_that_does_not_fit_as_a_whole_is_not_said_to_start(world: Run) -> None:
    """Sixteen of its twenty members fit, which is no use to any of them."""

    async def story(w: "World") -> None:
        await w.submit(sized("a", 256, 1))
        await w.until("a")
        gang = job(**sized("p", 256, gang={"id": "g", "size": 20}))
        found = await w.service.explainer.plan(gang)
        assert (found.verdict, found.fit_now) == ("later", 0)
        assert found.summary.startswith("gang g starts whole or not at all: ")
        assert "of its 20 members fit" in found.summary

    world(story, fleet=ONE)


def test_who_stands_by_or_has_not_looked_yet_guesses_nothing(world: Run) -> None:
    """It would take an empty window and model for an empty queue and cluster. What the queue
    itself tells, of a job that has ended, anyone can say.
    """

    async def story(w: "World") -> None:
        await w.submit(sized("done", 256, 1), sized("large", 4097))
        await w.until("done")
        async with w.another_service() as standby:
            explain, plan = standby.explainer.job, standby.explainer.plan
            assert (await explain(JobId("done"))).state == "SUCCEEDED"
            for question in (explain(JobId("large")), plan(job(**sized("p", 256)))):
                with pytest.raises(NotReady, match="stands by for the one that leads"):
                    await question
            with pytest.raises(NotReady):
                standby.explainer.instance("any")
        leader = w.services[0]
        leader._around.model.complete_at = None
        with pytest.raises(NotReady, match="the first complete look"):
            leader.explainer.instance("any")

    world(story, fleet=ONE)


def test_an_unknown_job_is_told_with_the_queue_that_was_asked(world: Run) -> None:
    """It may be a job of another queue, whose scheduler has another address."""

    async def story(w: "World") -> None:
        with pytest.raises(UnknownJob, match=f"the queue is '{w.config.queue}'"):
            await w.service.explainer.job(JobId("elsewhere"))

    world(story, fleet=ONE)


def test_the_kinds_of_jobs_that_explain_knows(world: Run) -> None:
    """Ended ones, children of an array, members of gangs, and jobs whose time is to come."""

    async def story(w: "World") -> None:
        await w.submit(
            sized("done", 256, 1),
            sized("many", 4096, array_size=3),
            sized("alone", 256, gang={"id": "g", "size": 2}),
            sized("late", 256, not_before="2099-01-01T00:00:00Z"),
        )
        await w.until("done")
        await w.until_noted("many:2")
        explain = w.service.explainer.job
        for name, state, words in (
            ("done", "SUCCEEDED", "every essential container exited with 0"),
            ("many", "RUNNING", "children under way"),
            ("many:2", "RUNNABLE", "no room on 1 instance"),
            ("alone", "RUNNABLE", "gang g: 1 of 2 members came"),
            ("late", "RUNNABLE", "which comes not before 2099-01-01T00:00:00Z"),
        ):
            told = await explain(JobId(name))
            assert told.state == state
            assert words in told.summary
        with pytest.raises(UnknownJob):
            await explain(JobId("many:7"))

    world(story, fleet=ONE)


def test_launches_of_the_last_minutes_say_when_a_job_may_start(world: Run) -> None:
    """Four jobs at a time, 20 s each: some jobs on, the forecast exists and forecasts come true."""

    async def story(w: "World") -> None:
        await w.submit(*(sized(f"j{number:02}", 1024, 20) for number in range(20)))
        await w.until("j09")
        told = await w.service.explainer.job(JobId("j19"))
        assert told.eta is not None
        assert told.eta.by == "launches of equal jobs"
        assert told.eta.low_s < told.eta.in_s < told.eta.high_s
        before = w.clock.monotonic()
        await w.until("j19", JobState.STARTING, JobState.RUNNING)
        waited_s = w.clock.monotonic() - before
        assert told.eta.in_s / 3 <= waited_s <= told.eta.in_s * 3
        record = w.service.explainer.forecast.track_record()
        assert record is not None
        assert record.forecasts >= 1

    world(story, fleet=ONE)


def test_a_forecast_needs_launches_and_gets_surer_with_them() -> None:
    """None at first; with a launch a second, the hundredth is due in about 100 s."""
    forecast = Forecast(0.0)
    assert forecast.eta("lane", 99, 99, 10.0) is None
    for second in range(1, 601):
        forecast.launched("lane", f"j{second}", float(second))
    eta = forecast.eta("lane", 99, 99, 600.0)
    assert eta is not None
    assert eta.in_s == pytest.approx(100, rel=0.02)
    next_one = forecast.eta("lane", 0, 0, 600.0)
    assert next_one is not None
    assert eta.high_s / eta.low_s < next_one.high_s / next_one.low_s


def test_a_lane_that_was_never_launched_goes_by_all_launches() -> None:
    """What little is known of other jobs is said to be of them."""
    forecast = Forecast(0.0)
    for second in range(1, 11):
        forecast.launched("other", f"j{second}", float(second))
    eta = forecast.eta("mine", 0, 9, 10.0)
    assert eta is not None
    assert eta.by == "all launches"
    assert eta.in_s == pytest.approx(10, rel=0.1)


def test_the_track_record_counts_what_came_true_within_its_range() -> None:
    """One launch as forecast, one far too late."""
    forecast = Forecast(0.0)
    for second in range(1, 101):
        forecast.launched("lane", f"j{second}", float(second))
    eta = forecast.eta("lane", 9, 9, 100.0)
    assert eta is not None
    for name in ("good", "late"):
        forecast.watch(name, eta, 100.0)
    forecast.launched("lane", "good", 100.0 + eta.in_s)
    forecast.launched("lane", "late", 100.0 + 10 * eta.high_s)
    record = forecast.track_record()
    assert record is not None
    assert (record.forecasts, record.within) == (2, 0.5)
