"""Compressing a trace's time line: what happens to arrivals, run times and idle stretches."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import Run, Size, job_document, run_of, with_run
from ecs_simulator.workloads.timeline import compress, launch_backlog_s

SIZE = Size(1024, 512)


def arrival(at_s: float, run_s: float, exit_code: int = 0) -> Arrival:
    return Arrival(at_s, job_document("job", SIZE, Run(run_s, exit_code)))


def shown(arrivals: tuple[Arrival, ...]) -> list[tuple[float, float | None]]:
    runs = [(each.at_s, run_of(each.job)) for each in arrivals]
    return [(at_s, run.run_time_s if run else None) for at_s, run in runs]


def test_everything_is_scaled_alike() -> None:
    """3,540 s into 59 s (the last second is kept free): a sixtieth of each time."""
    workload = (arrival(0, 600), arrival(1800, 300), arrival(3000, 540))
    compressed = compress(workload, minutes=1)
    assert shown(compressed.arrivals) == [(0, 10), (30, 5), (50, 9)]
    assert (compressed.floored, compressed.idle_closed_s) == (0, 0)


def test_a_short_workload_keeps_its_time_line() -> None:
    """Nothing is stretched."""
    workload = (arrival(0, 7), arrival(12.5, 3))
    assert shown(compress(workload, minutes=5).arrivals) == [(0, 7), (12.5, 3)]


def test_idle_stretches_are_closed_first() -> None:
    """A day without arrivals counts as an hour, for what runs across it as well."""
    workload = (arrival(0, 90_000), arrival(86_400, 3540))
    compressed = compress(workload, minutes=2)
    assert compressed.idle_closed_s == 86_400 - 3600
    assert shown(compressed.arrivals) == [(0, 119), (59.5, 59)]


def test_short_runs_are_floored_and_counted() -> None:
    """A run never becomes shorter than a second."""
    compressed = compress((arrival(0, 3540), arrival(10, 20)), minutes=1)
    assert shown(compressed.arrivals) == [(0, 59), (0.167, 1)]
    assert compressed.floored == 1


def test_exit_codes_survive() -> None:
    """Compression changes when a job ends, not how."""
    (compressed,) = compress((arrival(0, 3540, exit_code=3),), minutes=1).arrivals
    assert run_of(compressed.job) == Run(59, exit_code=3)


def test_other_commands_are_left_alone_and_counted() -> None:
    """What does not say its run time keeps its command; only its arrival moves."""
    own = with_run(arrival(0, 1).job, Run(1))
    own["overrides"]["containerOverrides"][0]["command"] = ["python", "train.py"]
    compressed = compress((arrival(0, 3540), Arrival(600, own)), minutes=1)
    assert compressed.arrivals[1] == Arrival(10, own)
    assert compressed.left_alone == 1


def test_no_arrivals() -> None:
    """Nothing compresses to nothing."""
    assert compress((), minutes=1).arrivals == ()


def test_a_backlog_of_launches_is_foreseen() -> None:
    """Of 140 launches at once 100 go at once, and the last one waits a second at 40 per second."""
    assert launch_backlog_s([0.0] * 140) == 1.0
    assert launch_backlog_s([n / 40 for n in range(1000)]) == 0.0


times = st.floats(0, 1e7, allow_nan=False)


@given(st.lists(st.tuples(times, times), min_size=1), st.floats(0.1, 30))
def test_compression_never_loses_reorders_or_overruns(
    rows: list[tuple[float, float]], minutes: float
) -> None:
    """Same jobs, same order, no run under a second, and the end inside the given time."""
    workload = in_order(arrival(at_s, run_s) for at_s, run_s in rows)
    compressed = compress(workload, minutes).arrivals
    assert len(compressed) == len(workload)
    for each in compressed:
        run = run_of(each.job)
        assert run is not None
        assert run.run_time_s >= 1
        assert each.at_s + run.run_time_s <= minutes * 60 + 0.5  # run times are rounded
    assert all(before.at_s <= after.at_s for before, after in pairwise(compressed))
