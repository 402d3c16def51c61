"""From a plan to calls."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ecs_placement import place
from ecs_placement.request import Shape
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_queue.job import JobId
from ecs_queue.states import InstanceArn
from ecs_scheduler.config import Config
from ecs_scheduler.ecs.launch_answer import LaunchAnswer, LaunchFailure, RunTarget
from ecs_scheduler.ecs.tasks import Task, parse_task
from ecs_scheduler.launching.launch import Launch, Slot, match
from ecs_scheduler.passes.deciding import search_s
from ecs_scheduler.passes.kinds import API_BUDGET, NO_INSTANCES, UNPLACEABLE
from ecs_scheduler.passes.planning import (
    Decided,
    decide,
    fallback_launches,
    postpone,
)
from ecs_scheduler.passes.window import Held, Window

Hold = Callable[..., Held]

BIG, SMALL, HUGE = Shape(cpu_units=60), Shape(cpu_units=10), Shape(cpu_units=1000)


def snapshot(*cpu_units: int) -> Snapshot:
    return Snapshot.of(
        Instance(
            InstanceId(f"arn:container-instance/{row}"),
            total=(units, 1000, 0, 0),
            free=(units, 1000, 0, 0),
        )
        for row, units in enumerate(cpu_units)
    )


def planned(jobs: Iterable[Held], cluster: Snapshot, now: float = 0.0) -> tuple[Window, Decided]:
    window = Window(1000)
    for each in jobs:
        window.add(each)
    return window, decide(place(window.requests(100), cluster), window, cluster, now)


def jobs_of(launch: Launch) -> list[str]:
    return sorted(slot.job_id for slot in launch.slots)


def test_equal_jobs_on_different_instances_share_a_call(held: Hold) -> None:
    """Three instances of 60, three jobs of 60: one call."""
    jobs = [held(str(order), order=order, shape=BIG) for order in range(3)]
    _, decided = planned(jobs, snapshot(60, 60, 60))
    assert [jobs_of(launch) for launch in decided.launches] == [["0", "1", "2"]]
    assert (decided.start, decided.wait, decided.reject) == (3, 0, 0)


def test_jobs_with_other_overrides_are_launched_apart(held: Hold) -> None:
    """One StartTask carries one set of overrides."""
    other = {"containerOverrides": [{"name": "main", "command": ["x"]}]}
    jobs = [held("a", shape=SMALL), held("b", order=1, shape=SMALL, overrides=other)]
    _, decided = planned(jobs, snapshot(60, 60))
    assert sorted(jobs_of(launch) for launch in decided.launches) == [["a"], ["b"]]


def test_higher_priority_is_launched_first_then_the_fuller_call(held: Hold) -> None:
    """The urgent job alone comes before the call of two, and that before the lone one in front."""
    jobs = [
        held("lone", order=0, shape=BIG, group="other"),
        held("pair-1", order=1, shape=BIG),
        held("pair-2", order=2, shape=BIG),
        held("urgent", order=9, priority=7, shape=BIG, group="urgent"),
    ]
    _, decided = planned(jobs, snapshot(60, 60, 60, 60))
    launched = [jobs_of(launch) for launch in decided.launches]
    assert launched == [["urgent"], ["pair-1", "pair-2"], ["lone"]]


def test_a_job_that_gets_room_is_not_sent_to_the_fallback_as_well(held: Hold) -> None:
    """It waited in an earlier pass; now it starts, or has room and waits for the budget."""
    fallback = {"after_s": 0}
    window, decided = planned([held("a", shape=BIG, fallback=fallback)], snapshot(10))
    assert fallback_launches(window.waiting_jobs(), lambda _: None, now_ms=1) != []
    decided = decide(place(window.requests(9), snapshot(60)), window, snapshot(60), 9.0)
    assert decided.start == 1
    assert fallback_launches(window.waiting_jobs(), lambda _: None, now_ms=1) == []
    postpone(decided.launches, rate_per_s=40.0)
    assert fallback_launches(window.waiting_jobs(), lambda _: None, now_ms=1) == []


def test_waiting_jobs_learn_why(held: Hold) -> None:
    """One of two big jobs fits; the whole lane carries the other's reason."""
    jobs = [held("a", shape=BIG), held("b", order=1, shape=BIG)]
    window, decided = planned(jobs, snapshot(60))
    assert (decided.start, decided.wait) == (1, 1)
    assert window[JobId("b")].kind == "RESOURCE:CPU"
    assert "60 units" in window[JobId("b")].reason


def test_an_empty_cluster_says_so(held: Hold) -> None:
    """Not a lack of CPU: there is nothing at all."""
    window, _ = planned([held("a", shape=SMALL)], snapshot())
    assert (window[JobId("a")].kind, window[JobId("a")].reason) == (
        NO_INSTANCES,
        "the cluster has no container instances",
    )


def test_what_could_never_fit_is_remembered_since_when(held: Hold) -> None:
    """Needs 1000 of 60; the time of the first rejection stays."""
    window, decided = planned([held("a", shape=HUGE)], snapshot(60), now=5.0)
    decide(place(window.requests(9), snapshot(60)), window, snapshot(60), 9.0)
    assert decided.reject == 1
    assert (window[JobId("a")].kind, window[JobId("a")].rejected_since) == (UNPLACEABLE, 5.0)


def test_a_bigger_instance_takes_the_verdict_back(held: Hold) -> None:
    """Once it could fit, the clock of giving up starts anew."""
    window, _ = planned([held("a", shape=HUGE)], snapshot(60), now=5.0)
    decide(place(window.requests(9), snapshot(1000)), window, snapshot(1000), 9.0)
    assert window[JobId("a")].rejected_since is None


def test_postponed_jobs_say_that_they_wait_for_the_budget(held: Hold) -> None:
    """They have room; the calls are what is scarce."""
    window, decided = planned([held("a", shape=SMALL)], snapshot(60))
    postpone(decided.launches, rate_per_s=40.0)
    assert window[JobId("a")].kind == API_BUDGET
    assert "40 launch calls a second" in window[JobId("a")].reason


def test_fallback_waits_its_time_and_groups_by_ten(held: Hold) -> None:
    """After 60 s: 25 equal jobs are RunTask calls of 10, 10 and 5."""
    strategy = [{"capacityProvider": "spot", "weight": 2}]
    fallback = {"after_s": 60, "capacity_provider_strategy": strategy}
    jobs = [held(str(order), order=order, fallback=fallback) for order in range(25)]
    for each in jobs:
        each.kind = "RESOURCE:CPU"
    assert fallback_launches(jobs, lambda _: None, now_ms=59_999) == []
    launches = fallback_launches(jobs, lambda _: None, now_ms=60_000)
    assert [len(launch.slots) for launch in launches] == [10, 10, 5]
    assert launches[0].api == "RunTask"
    assert launches[0].target is not None
    assert launches[0].target.parameters() == {
        "capacityProviderStrategy": [{"capacityProvider": "spot", "weight": 2, "base": 0}]
    }


def start_task(held: Hold, *instances: str) -> Launch:
    slots = tuple(
        Slot(held(f"job-{instance}", order=row), InstanceArn(f"arn:container-instance/{instance}"))
        for row, instance in enumerate(instances)
    )
    return Launch(slots[0].held.signature, slots)


def task(name: str, instance: str | None = None) -> Task:
    raw: Any = {"taskArn": f"arn:task/{name}"}
    if instance is not None:
        raw["containerInstanceArn"] = f"arn:container-instance/{instance}"
    return parse_task(raw)


def test_answers_are_matched_by_instance_whatever_their_order(held: Hold) -> None:
    """Tasks and failures name the instance; a bare id is as good as an ARN."""
    launch = start_task(held, "a", "b", "c")
    answer = LaunchAnswer(
        tasks=(task("2", "c"), task("1", "a")),
        failures=(LaunchFailure("b", "RESOURCE:CPU", ""),),
    )
    matched = {slot.job_id: result for slot, result in match(launch, answer)}
    assert matched == {
        "job-a": answer.tasks[1],
        "job-b": answer.failures[0],
        "job-c": answer.tasks[0],
    }


def test_what_the_answer_leaves_out_stays_unknown(held: Hold) -> None:
    """Neither a task nor a failure for b: no pair, so its intent stands."""
    launch = start_task(held, "a", "b")
    answer = LaunchAnswer(tasks=(task("1", "a"),), failures=())
    assert [slot.job_id for slot, _ in match(launch, answer)] == ["job-a"]


def test_run_task_answers_go_to_interchangeable_jobs_in_order(held: Hold) -> None:
    """Two tasks, one failure, three jobs."""
    slots = tuple(Slot(held(name, order=row), None) for row, name in enumerate("abc"))
    launch = Launch(slots[0].held.signature, slots, target=RunTarget(launch_type="FARGATE"))
    failure = LaunchFailure("", "RESOURCE:MEMORY", "")
    answer = LaunchAnswer(tasks=(task("1"), task("2")), failures=(failure,))
    matched = [(slot.job_id, result) for slot, result in match(launch, answer)]
    assert matched == [("a", answer.tasks[0]), ("b", answer.tasks[1]), ("c", failure)]


@pytest.mark.parametrize(
    ("requests", "share", "expected_s"),
    [(49, 0.5, 0.0), (50, 0.5, 0.01), (5_000, 0.5, 0.1), (5_000, 0.25, 0.05), (5_000, 0.0, 0.0)],
)
def test_only_large_batches_are_searched_and_within_the_pass_interval(
    requests: int, share: float, expected_s: float
) -> None:
    """From 50 jobs on, a fifth of a millisecond a job, at most the share of 0.2 s."""
    config = Config(pass_interval_s=0.2, thorough_share=share)
    assert search_s(requests, config) == pytest.approx(expected_s)
