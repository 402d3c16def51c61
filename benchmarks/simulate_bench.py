"""What a policy experiment costs: the real service in virtual time, and how that grows.

`run` returns rows of name, value, unit and note; `python -m benchmarks.simulate_bench [--json]`.
"""

import resource
import time

import structlog
from benchmarks.report import Row, main

from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.workload import Wanted, prepare
from ecs_scheduler.simulate.world import Case, play

QUIET = 40


def run(quick: bool) -> list[Row]:
    """Rows for `python -m benchmarks`."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(QUIET))
    sizes = ((250, 25), (500, 50)) if quick else ((2_500, 250), (5_000, 500), (10_000, 1_000))
    rows: list[Row] = []
    first: float | None = None
    for jobs, instances in sizes:
        workload = prepare(Wanted(jobs=jobs, instances=instances), 1)
        began, began_cpu = time.perf_counter(), time.process_time()
        record = play(Case("default", PolicyBook(), workload, 1), lambda ended: None)
        wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        each = wall / jobs
        first = first or each
        rows.append(
            Row(
                name=f"simulate {jobs:,} jobs on {instances:,} instances",
                value=wall,
                unit="s",
                note=f"{cpu:.1f} s of CPU beside Valkey's; "
                f"{record.ended_s / wall:.0f} × real time; "
                f"a job costs {each / first:.2f} × what it costs in the smallest",
            )
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(Row(name="memory, peak", value=peak, unit="MiB", note="of the process"))
    return rows


if __name__ == "__main__":
    main(run)
