"""What a demo runs: the jobs with their times, the instances, and what to expect of them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs_queue.document import parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import Job
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.demo.account import Asked
from ecs_simulator.errors import SimulatorError
from ecs_simulator.fleet import Fleet, load_fleet
from ecs_simulator.workloads.arrivals import Arrival, read_trace
from ecs_simulator.workloads.batch import FAMILY, Run, Size, run_of, size_of
from ecs_simulator.workloads.generate import generate
from ecs_simulator.workloads.groups import scaled_fleet
from ecs_simulator.workloads.mixes import SMALL
from ecs_simulator.workloads.timeline import Compressed, compress

DEFAULT_MINUTES = 5.0
WORST_BACKLOG_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run: `trace` and `fleet` files, or so many generated jobs and instances.

    `minutes` compresses the time line; None leaves a generated one as it is.
    """

    jobs: int = 500
    instances: int = 40
    seed: int = 1
    trace: Path | None = None
    fleet: Path | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """One job and when to submit it; `document` is what a producer would write."""

    at_s: float
    job: Job
    document: str


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything a demo has to know beforehand.

    `limit_s` is a generous time for the whole: whoever needs longer is stuck. `longest_run_s` is
    what the longest job takes. `remarks` are for the
    user.
    """

    dues: tuple[Due, ...]
    asked: tuple[Asked, ...]
    fleet: Fleet
    limit_s: float
    longest_run_s: float
    remarks: tuple[str, ...]


def prepare(wanted: Wanted) -> Workload:
    """Read or generate jobs and instances. Raises InvalidInput."""
    flag = "" if wanted.trace is None else "--trace: "
    try:
        if wanted.trace is None:
            arrivals = generate(wanted.seed, wanted.jobs, SMALL)
        else:
            arrivals = read_trace(wanted.trace)
        flag = "" if wanted.fleet is None else "--fleet: "
        if wanted.fleet is None:
            fleet = scaled_fleet(SMALL.machines, wanted.instances)
        else:
            fleet = load_fleet(wanted.fleet)
    except SimulatorError as error:
        raise InvalidInput(f"{flag}{error}") from error
    if not arrivals:
        raise InvalidInput(f"--trace: no jobs in {wanted.trace}")
    remarks: list[str] = []
    minutes = DEFAULT_MINUTES if wanted.trace and wanted.minutes is None else wanted.minutes
    if minutes is not None:
        compressed = compress(arrivals, minutes)
        arrivals = compressed.arrivals
        remarks += _compression(compressed, minutes)
    dues = tuple(_dues(arrivals))
    unplaceable = [arrival for arrival in arrivals if not _fits(size_of(arrival.job), fleet)]
    if unplaceable:
        remarks.append(
            f"jobs that fit no instance of the fleet, and have to FAIL: {len(unplaceable)}"
        )
    hopeless = {arrival.job["id"] for arrival in unplaceable}
    return Workload(
        dues=dues,
        asked=tuple(
            _asked(due.job, run_of(arrival.job), due.job.id in hopeless)
            for due, arrival in zip(dues, arrivals, strict=True)
        ),
        fleet=fleet,
        limit_s=_limit_s(arrivals, fleet),
        longest_run_s=max(run.run_time_s for each in arrivals if (run := run_of(each.job))),
        remarks=tuple(remarks),
    )


def _dues(arrivals: Sequence[Arrival]) -> Iterator[Due]:
    for number, arrival in enumerate(arrivals, start=1):
        where = f"job {number} of the trace ({arrival.job.get('id', 'without id')})"
        document = json.dumps(arrival.job)
        try:
            job = parse_job(document)
        except InvalidJob as error:
            raise InvalidInput(f"{where}: {error}") from error
        if job.task_definition != FAMILY or run_of(arrival.job) is None:
            raise InvalidInput(
                f"{where}: the demo only runs jobs of task definition {FAMILY!r} whose container "
                "sleeps, as `ecs-scheduler trace` makes them"
            )
        if job.array_size is not None:
            raise InvalidInput(f"{where}: the demo plays no arrays; its books go job by job")
        yield Due(arrival.at_s, job, document)
    twice = [
        name for name, times in Counter(one.job["id"] for one in arrivals).items() if times > 1
    ]
    if twice:
        raise InvalidInput(f"{len(twice)} job ids are used more than once, such as {twice[0]}")


def _asked(job: Job, run: Run | None, hopeless: bool) -> Asked:
    exit_code = None if run is None or hopeless else run.exit_code
    return Asked(job.id, exit_code, job.retry.attempts)


def _fits(size: Size, fleet: Fleet) -> bool:
    return any(
        size.cpu_units <= kind.cpu_units
        and size.memory_mib <= kind.memory_mib
        and size.gpus <= kind.gpus
        for kind in (group.sized() for group in fleet)
    )


def _limit_s(arrivals: Sequence[Arrival], fleet: Fleet) -> float:
    """A minute, and three times what the time line and the work itself take at least."""
    kinds = [(group.sized(), group.count) for group in fleet]
    there = (
        sum(kind.cpu_units * count for kind, count in kinds),
        sum(kind.memory_mib * count for kind, count in kinds),
        sum(kind.gpus * count for kind, count in kinds),
    )
    work = [0.0, 0.0, 0.0]
    end_s = 0.0
    for arrival in arrivals:
        run, size = run_of(arrival.job), size_of(arrival.job)
        run_s = run.run_time_s + 1 if run else 0.0
        end_s = max(end_s, arrival.at_s + run_s)
        for row, units in enumerate((size.cpu_units, size.memory_mib, size.gpus)):
            work[row] += units * run_s
    busy_s = max(done / units for done, units in zip(work, there, strict=True) if units)
    return 60 + 3 * (end_s + busy_s)


def _compression(compressed: Compressed, minutes: float) -> Iterator[str]:
    if compressed.factor < 1:
        yield (
            f"time line compressed 1:{1 / compressed.factor:,.0f} into {minutes:g} minutes, after "
            f"closing {compressed.idle_closed_s / 86_400:.1f} idle days; {compressed.floored} of "
            f"{len(compressed.arrivals)} run times raised to 1 s"
        )
    if compressed.backlog_s > WORST_BACKLOG_S:
        yield (
            f"so many jobs in {minutes:g} minutes exceed ECS's 40 launch calls a second: launches "
            f"may run {compressed.backlog_s:.0f} s late where jobs cannot share a call"
        )
