"""What a policy experiment costs: the real service in virtual time, and how that grows.

`run` returns rows of name, value, unit and note; `python -m benchmarks.simulate_bench [--json]`.
With `--full` also a million jobs on 10,000 instances, which takes as long as all others together,
several times.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import structlog
from benchmarks.report import Row, show

from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.workload import Wanted, prepare
from ecs_scheduler.simulate.world import Case, play

QUIET = 40
OFTEN, MILLION_S = 0.2, 1.21
"""How far apart the service looks at its queue: as always, and as a million jobs get by themselves,
whose submissions take six hours.
"""
QUICK = ((250, 25, OFTEN), (500, 50, OFTEN))
USUAL = ((1_000, 100, OFTEN), (10_000, 1_000, OFTEN), (100_000, 10_000, MILLION_S))
MILLION = (1_000_000, 10_000, MILLION_S)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took: CPU seconds and the peak of memory, of the process and of its Valkey."""

    wall_s: float
    cpu_s: float
    valkey_s: float
    rss_mib: float
    valkey_mib: float
    virtual_s: float
    unfinished: int

    @property
    def all_s(self) -> float:
        """What one core would take for both."""
        return self.cpu_s + self.valkey_s


def cost_of(jobs: int, instances: int, look_s: float) -> Cost:
    """Play a workload as `ecs-scheduler simulate` does, from making it up to the last record, on
    one core: the queue's Valkey inherits it.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(QUIET))
    began, began_cpu = time.perf_counter(), time.process_time()
    workload = prepare(Wanted(jobs=jobs, instances=instances), 1)
    record = play(Case("default", PolicyBook(), workload, 1, look_s), lambda ended: None)
    own, valkey = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return Cost(
        time.perf_counter() - began,
        time.process_time() - began_cpu,
        valkey.ru_utime + valkey.ru_stime,
        own.ru_maxrss / 1024,
        valkey.ru_maxrss / 1024,
        record.ended_s,
        record.unfinished,
    )


def rows_of(sizes: Sequence[tuple[int, int, float]]) -> list[Row]:
    """Each size in a process of its own, so that peaks of memory are its own."""
    rows: list[Row] = []
    first: float | None = None
    for jobs, instances, look_s in sizes:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            cost = pool.submit(cost_of, jobs, instances, look_s).result()
        each_ms = cost.all_s / jobs * 1000
        first = first or each_ms
        rows += [
            Row(
                name=f"simulate {jobs:,} jobs on {instances:,} instances",
                value=cost.all_s,
                unit="s of CPU",
                note=f"{cost.valkey_s:.1f} s of it Valkey's; {cost.virtual_s / cost.wall_s:.0f} × "
                f"real time; {cost.unfinished} jobs unfinished",
            ),
            Row(
                name="  for each job",
                value=each_ms,
                unit="ms",
                note=f"{each_ms / first:.2f} × what a job costs in the smallest",
            ),
            Row(
                name="  memory, peak, of both",
                value=cost.rss_mib + cost.valkey_mib,
                unit="MiB",
                note=f"{cost.valkey_mib:.0f} MiB of it Valkey's",
            ),
        ]
    return rows


def run(quick: bool) -> list[Row]:
    """Rows for `python -m benchmarks`."""
    return rows_of(QUICK if quick else USUAL)


def main() -> None:
    """The command line of every benchmark, and --full."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--full", action="store_true", help="a million jobs as well")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    arguments = parser.parse_args()
    rows = run(arguments.quick)
    if arguments.full:
        rows += rows_of([MILLION])
    if arguments.json:
        print(json.dumps(rows))
    else:
        show(rows)


if __name__ == "__main__":
    main()
