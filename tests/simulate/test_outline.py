"""A run in outline agrees with the whole service where the service adds nothing."""

from pathlib import Path

import numpy as np
import pytest

from ecs_placement.policy import DEFAULT_POLICY, Policy, Strategy
from ecs_scheduler.cli import main
from ecs_scheduler.policies.book import NamedPolicy, PolicyBook
from ecs_scheduler.simulate.measures import measure
from ecs_scheduler.simulate.outline import play_outline
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.workload import Wanted, Workload, prepare
from ecs_scheduler.simulate.world import Case, play
from ecs_simulator.fleet import InstanceGroup
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document

SPREAD = Policy(strategies=(Strategy("spread", "instanceId"),))


def case(workload: Workload, policy: Policy = DEFAULT_POLICY, seed: int = 1) -> Case:
    return Case("p", PolicyBook((NamedPolicy("default", policy),)), workload, seed)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Two sizes, far apart in time, on six instances: whoever places them has all the time."""
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    write_trace(
        [
            Arrival(
                20.0 * number,
                job_document(f"j{number}", Size(1024 + 1024 * (number % 2), 512), Run(100)),
            )
            for number in range(30)
        ],
        path,
    )
    fleet = (InstanceGroup(count=6, instance_type="m5.xlarge"),)
    return Workload(prepare(Wanted(trace=path), 1).submissions, fleet)


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, SPREAD], ids=["best fit", "spread"])
def test_instance_hours_are_those_of_the_whole_service(quiet: Workload, policy: Policy) -> None:
    """Within a few percent, which is how late the service hears of an end."""
    outline = measure(play_outline(case(quiet, policy)), Prices(), 60.0)
    whole = measure(play(case(quiet, policy), lambda ended: None), Prices(), 60.0)
    assert outline.succeeded == whole.succeeded == 30
    assert outline.instance_hours == pytest.approx(whole.instance_hours, rel=0.05)
    assert outline.cost == pytest.approx(whole.cost, rel=0.05)
    assert outline.waiting.median_s <= whole.waiting.median_s


def test_no_instance_ever_holds_more_than_it_has() -> None:
    """At every start, what runs there fits; every job runs once, after it came."""
    workload = prepare(Wanted(jobs=300, instances=6), 1)
    record = play_outline(case(workload))
    tasks = record.tasks
    assert record.unfinished == 0
    assert len(tasks.instance) == len(record.jobs.ids)
    assert (record.jobs.launched_s >= record.jobs.submitted_s).all()
    for now_s in tasks.start_s:
        running = (tasks.start_s <= now_s) & (now_s < tasks.stop_s)
        used = np.zeros_like(record.instances.capacity)
        np.add.at(used, tasks.instance[running], tasks.demand[running])
        assert (used <= record.instances.capacity).all()


def test_equal_cases_leave_equal_records() -> None:
    """The same seed gives the same run; another seed another."""
    workload = prepare(Wanted(jobs=60, instances=6), 1)
    one, same = (play_outline(case(workload, SPREAD)) for _ in range(2))
    np.testing.assert_array_equal(one.tasks.instance, same.tasks.instance)
    other = play_outline(case(workload, SPREAD, seed=2))
    assert not np.array_equal(one.tasks.instance, other.tasks.instance)


def test_what_no_instance_can_take_is_reported_as_unfinished(tmp_path: Path) -> None:
    """The run ends; the exit code says that not all was done."""
    path = tmp_path / "trace.jsonl"
    write_trace([Arrival(0.0, job_document("huge", Size(999_999, 512), Run(30)))], path)
    flags = ["--trace", str(path), "--instances", "3", "--seeds", "1", "--processes", "1"]
    assert main(["simulate", *flags, "--outline", "--policy", "default"]) == 1
