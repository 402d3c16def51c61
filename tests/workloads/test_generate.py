"""Generated workloads: reproducible, as large as asked for, and shaped like what they stand for."""

from collections import Counter
from itertools import pairwise
from statistics import mean, median

import pytest

from ecs_simulator.workloads.batch import run_of, size_of
from ecs_simulator.workloads.generate import drawn, generate
from ecs_simulator.workloads.groups import scaled_fleet
from ecs_simulator.workloads.mixes import MIXES, OPENB, SMALL, Mix


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
def test_the_same_seed_gives_the_same_workload(mix: Mix) -> None:
    """Seed, mix and number decide everything; another seed gives another workload."""
    assert generate(7, 50, mix) == generate(7, 50, mix)
    assert generate(7, 50, mix) != generate(8, 50, mix)


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
@pytest.mark.parametrize("jobs", [0, 1, 333])
def test_a_workload_has_as_many_jobs_as_asked_for(mix: Mix, jobs: int) -> None:
    """Every job has an id of its own, in order of arrival, the first at once."""
    arrivals = generate(1, jobs, mix)
    assert len({arrival.job["id"] for arrival in arrivals}) == jobs
    times = [arrival.at_s for arrival in arrivals]
    assert times == sorted(times)
    assert times[:1] == [0.0][:jobs]


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
def test_the_first_machine_can_run_every_kind(mix: Mix) -> None:
    """A fleet of a single instance must not leave jobs unplaceable for ever."""
    machine = scaled_fleet(mix.machines, 1)[0].sized()
    for kind in mix.kinds:
        assert kind.size.cpu_units <= machine.cpu_units, kind.name
        assert kind.size.memory_mib <= machine.memory_mib, kind.name
        assert kind.size.gpus <= machine.gpus, kind.name


@pytest.mark.parametrize("instances", [1, 3, 4, 5, 17, 40, 1523])
def test_a_scaled_fleet_has_as_many_instances_as_asked_for(instances: int) -> None:
    """Every group keeps an instance as long as there are enough of them."""
    fleet = scaled_fleet(SMALL.machines, instances)
    assert sum(group.count for group in fleet) == instances
    assert len(fleet) == min(instances, len(SMALL.machines))


def test_the_small_mix_shares_launches() -> None:
    """500 jobs come as few different launches, so that StartTask calls can be shared."""
    kinds = Counter(str(arrival.job["overrides"]) for arrival in generate(1, 500, SMALL))
    assert len(kinds) < 30
    assert kinds.most_common(1)[0][1] > 50


def test_the_openb_mix_has_the_trace_s_statistics() -> None:
    """Means and quantiles of 20,000 drawn jobs against those counted in the trace's tables."""
    arrivals = generate(1, 20_000, OPENB)
    sizes = [size_of(arrival.job) for arrival in arrivals]
    runs = [run_of(arrival.job) for arrival in arrivals]
    gaps = [after.at_s - before.at_s for before, after in pairwise(arrivals)]
    assert mean(size.cpu_units for size in sizes) == pytest.approx(10_732, rel=0.05)
    assert mean(size.memory_mib for size in sizes) == pytest.approx(37_236, rel=0.05)
    assert mean(size.gpus for size in sizes) == pytest.approx(0.912, rel=0.05)
    assert median(run.run_time_s for run in runs if run) == pytest.approx(485, rel=0.1)
    assert median(gaps) == pytest.approx(161, rel=0.1)
    assert mean(run.exit_code != 0 for run in runs if run) == pytest.approx(0.229, rel=0.05)
    assert sum(group.count for group in OPENB.machines) == 1436


@pytest.mark.parametrize(
    ("share", "value"), [(0, 0), (0.25, 1), (0.5, 2), (0.75, 6), (0.9, 8.4), (1, 10)]
)
def test_quantiles_are_interpolated(share: float, value: float) -> None:
    """Between (0, 0), (0.5, 2) and (1, 10) values lie on straight lines."""
    assert drawn(((0, 0), (0.5, 2), (1, 10)), share) == pytest.approx(value)
