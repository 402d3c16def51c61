"""Generated workloads: reproducible, as large as asked for, and shaped like what they stand for."""

import json
from collections import Counter
from itertools import pairwise, takewhile
from random import Random
from statistics import mean, median, pvariance

import pytest

from ecs_queue.document import parse_job
from ecs_simulator.workloads.batch import run_of, size_of
from ecs_simulator.workloads.generate import Shape, generate
from ecs_simulator.workloads.groups import scaled_fleet
from ecs_simulator.workloads.mixes import GPU, MIXES, OPENB, SMALL, Mix
from ecs_simulator.workloads.processes import Arriving, Bursts, Diurnal, HeavyTail, Poisson, drawn


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
def test_the_same_seed_gives_the_same_workload(mix: Mix) -> None:
    """Seed, mix and number decide everything; another seed gives another workload."""
    assert generate(7, 50, mix) == generate(7, 50, mix)
    assert generate(7, 50, mix) != generate(8, 50, mix)


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
@pytest.mark.parametrize("jobs", [0, 1, 333])
def test_a_workload_has_as_many_jobs_as_asked_for(mix: Mix, jobs: int) -> None:
    """Every job has an id of its own, in order of arrival, the first at once; an array counts its
    children."""
    arrivals = generate(1, jobs, mix)
    assert sum(arrival.job.get("array_size", 1) for arrival in arrivals) == jobs
    assert len({arrival.job["id"] for arrival in arrivals}) == len(arrivals)
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


# Shapes ------------------------------------------------------------------------------------------

PROCESSES: list[Arriving] = [Poisson(600), Diurnal(600), Bursts(600)]


def first_days(process: Arriving, days: int) -> list[float]:
    """The times of a process in its first days."""
    return list(takewhile(lambda at_s: at_s < days * 86_400, process.times(Random(3))))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)
def test_every_process_keeps_its_rate_and_its_seed(process: Arriving) -> None:
    """600 an hour over ten days, rising from 0, and the same again for the same seed."""
    times = first_days(process, 10)
    assert times[0] == 0.0
    assert times == sorted(times)
    assert len(times) == pytest.approx(600 * 240, rel=0.05)
    again = process.times(Random(3))
    assert [next(again) for _ in range(100)] == times[:100]


def counts_in(times: list[float], bin_s: float) -> list[int]:
    """How many times fall into each bin, empty ones included."""
    counted = Counter(int(at_s // bin_s) for at_s in times)
    return [counted[number] for number in range(int(times[-1] // bin_s))]


def test_a_poisson_process_has_no_memory() -> None:
    """The number in each minute varies as much as its mean says: their ratio is 1."""
    counts = counts_in(first_days(Poisson(600), 10), 60)
    assert pvariance(counts) / mean(counts) == pytest.approx(1.0, abs=0.1)


def test_bursts_come_in_bursts() -> None:
    """The number in each minute varies far more than that of a Poisson process."""
    counts = counts_in(first_days(Bursts(600), 10), 60)
    assert pvariance(counts) / mean(counts) > 10


def test_a_day_has_its_rush_hour() -> None:
    """Nine times as many at two in the afternoon as at two in the night."""
    hours = Counter(int(at_s % 86_400 // 3600) for at_s in first_days(Diurnal(600), 30))
    around_two_pm = hours[13] + hours[14]
    around_two_am = hours[1] + hours[2]
    assert around_two_pm / around_two_am == pytest.approx(1.8 / 0.2, rel=0.15)


def test_heavy_tails_are_heavy() -> None:
    """Most jobs end within half a minute; one in a hundred takes more than a third of the time."""
    arrivals = generate(1, 20_000, SMALL, Shape(runs=HeavyTail()))
    runs = sorted(run.run_time_s for arrival in arrivals if (run := run_of(arrival.job)))
    assert runs[0] >= 5
    assert median(runs) < 30
    assert sum(runs[-200:]) > sum(runs) / 3
    assert HeavyTail().value(0) == 5
    assert HeavyTail().value(1) == pytest.approx(7 * 86_400)


def test_submissions_come_as_arrays_and_gangs_where_that_is_asked_for() -> None:
    """Half of the submissions with several jobs come as arrays, the others as gangs."""
    arrivals = generate(1, 2000, SMALL, Shape(Poisson(600), arrays=0.5, gangs=0.5))
    arrays = [arrival for arrival in arrivals if "array_size" in arrival.job]
    gangs = Counter(
        (arrival.job["gang"]["id"], arrival.job["gang"]["size"], arrival.at_s)
        for arrival in arrivals
        if "gang" in arrival.job
    )
    assert len(arrays) > 30
    assert len(gangs) > 30
    assert all(size == members >= 2 for (_, size, _), members in gangs.items())
    alone = [job for job in (one.job for one in arrivals) if not {"array_size", "gang"} & set(job)]
    assert len(alone) < len(arrivals) / 4


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
def test_every_drawn_job_is_a_job(mix: Mix) -> None:
    """Arrays, gangs and all: the queue takes every document as it stands."""
    for arrival in generate(2, 300, mix, Shape(Bursts(600), HeavyTail(), arrays=0.3, gangs=0.3)):
        job = parse_job(json.dumps(arrival.job))
        assert job.id == arrival.job["id"]


def test_the_gpu_mix_trains_in_gangs_and_sweeps_in_arrays() -> None:
    """Each kind comes as it is said to, and GPUs are asked for in ones, fours and eights."""
    arrivals = generate(1, 1000, GPU)
    gangs = [arrival.job for arrival in arrivals if "gang" in arrival.job]
    arrays = [arrival.job for arrival in arrivals if "array_size" in arrival.job]
    assert {job["id"].rpartition("-")[2] for job in gangs} == {"pretrain", "finetune"}
    assert {job["id"].rpartition("-")[2] for job in arrays} == {"sweep"}
    assert {size_of(arrival.job).gpus for arrival in arrivals} == {0, 1, 4, 8}
