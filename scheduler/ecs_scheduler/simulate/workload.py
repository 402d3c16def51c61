"""What a simulation plays: arrivals and a fleet, from files or made up, a variation for each seed.

Seed 1 of a trace is the trace as it was recorded; each further seed stretches every gap and every
run time by a factor of its own, so that a policy has to be good at more than one course of events.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ecs_queue.document import canonical, job_from_json, parse_job
from ecs_queue.errors import InvalidJob
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.simulate import history
from ecs_scheduler.simulate.submissions import Submission, Submissions
from ecs_simulator.errors import SimulatorError
from ecs_simulator.fleet import Fleet, load_fleet
from ecs_simulator.workloads.arrivals import Arrival, iter_trace
from ecs_simulator.workloads.batch import FAMILY, Run, run_of, size_of, with_run
from ecs_simulator.workloads.generate import drawn_jobs
from ecs_simulator.workloads.groups import scaled_fleet
from ecs_simulator.workloads.mixes import MIXES
from ecs_simulator.workloads.timeline import compress

INDEX_VARIABLE = "AWS_BATCH_JOB_ARRAY_INDEX"

SURELY_SHORT = 10_000
"""Characters of a document that is within all limits of its size."""

DAY_S = 86_400.0
VARIATION = 0.1
"""Standard deviation of the logarithm of a gap's or a run time's factor."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the workload comes from; the fields are the command's flags."""

    trace: Path | None = None
    fleet: Path | None = None
    mix: str = "small"
    jobs: int = 2000
    instances: int = 100
    hours: float | None = None
    history: Path | None = None
    last_s: float | None = None
    since_s: float = 0.0
    until_s: float = math.inf
    live: Fleet = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """Submissions in order of time, and the instances to run them on."""

    submissions: Submissions
    fleet: Fleet


def prepare(wanted: Wanted, seed: int) -> Workload:
    """The workload of one seed. Raises InvalidInput, whose message names the flag."""
    arrivals, fleet = _arrivals(wanted, seed), _fleet(wanted)
    if wanted.hours is not None and (known := tuple(arrivals)):
        arrivals = compress(known, wanted.hours * 60).arrivals
    submissions = Submissions(
        _submission(number, each)
        for number, one in enumerate(arrivals, start=1)
        for each in _children(one)
    )
    if not submissions:
        raise InvalidInput(f"--trace: no jobs in {wanted.trace}")
    if len(set(submissions.ids)) < len(submissions):
        twice = [name for name, times in Counter(submissions.ids).items() if times > 1]
        raise InvalidInput(
            f"--trace: {len(twice)} job ids are used more than once, such as {twice[0]}"
        )
    return Workload(submissions, fleet)


class Workloads:
    """Workloads as they are wanted, each prepared once and kept while it is among the last ones."""

    def __init__(self) -> None:
        self._kept: list[tuple[Wanted, int, Workload]] = []

    def of(self, wanted: Wanted, seed: int, most: int) -> Workload:
        """The workload of one seed; from now on the last `most` are kept. Raises as `prepare`."""
        found = [each for each in self._kept if each[:2] == (wanted, seed)]
        others = [each for each in self._kept if each[:2] != (wanted, seed)]
        self._kept = others[-(most - 1) :] if most > 1 else []
        workload = found[0][2] if found else prepare(wanted, seed)
        self._kept.append((wanted, seed, workload))
        return workload

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def _arrivals(wanted: Wanted, seed: int) -> Iterable[Arrival]:
    recorded: Iterable[Arrival]
    if wanted.history is not None:
        recorded = history.arrivals(wanted.history, wanted.last_s)
    elif wanted.trace is not None:
        with _named("--trace: "):
            recorded = iter_trace(wanted.trace)
    else:
        return drawn_jobs(seed, wanted.jobs, MIXES[wanted.mix])
    return _varied(_part(recorded, wanted), seed)


def _fleet(wanted: Wanted) -> Fleet:
    if wanted.live:
        return wanted.live
    if wanted.fleet is None and wanted.history is None:
        return scaled_fleet(MIXES[wanted.mix].machines, wanted.instances)
    with _named("--fleet: " if wanted.fleet is not None else "--history: "):
        return load_fleet(wanted.fleet or history.fleet_file(wanted.history or Path()))


@contextmanager
def _named(flag: str) -> Iterator[None]:
    try:
        yield
    except SimulatorError as error:
        raise InvalidInput(f"{flag}{error}") from error


def _part(arrivals: Iterable[Arrival], wanted: Wanted) -> Iterator[Arrival]:
    """Those that come between `since_s` and `until_s`; the time line starts at `since_s`."""
    seen, kept, last_s = 0, 0, 0.0
    for each in arrivals:
        seen, last_s = seen + 1, each.at_s
        if wanted.since_s <= each.at_s < wanted.until_s:
            kept += 1
            yield replace(each, at_s=each.at_s - wanted.since_s)
    if seen and not kept:
        raise InvalidInput(
            f"no job comes between --since and --until: the last of {seen} comes at "
            f"{last_s / DAY_S:.2f}d"
        )


def _varied(arrivals: Iterable[Arrival], seed: int) -> Iterator[Arrival]:
    if seed == 1:
        yield from arrivals
        return
    rng = Random(seed)
    before_s, now_s = 0.0, 0.0
    for arrival in arrivals:
        now_s += (arrival.at_s - before_s) * math.exp(rng.gauss(0.0, VARIATION))
        before_s = arrival.at_s
        job, run = arrival.job, run_of(arrival.job)
        if run is not None:
            run_s = max(1.0, round(run.run_time_s * math.exp(rng.gauss(0.0, VARIATION)), 3))
            job = with_run(job, Run(run_s, run.exit_code))
        yield Arrival(round(now_s, 3), job)


def _children(arrival: Arrival) -> Iterator[Arrival]:
    """An array as its children, each a job of its own: the queue keeps no record of the ended ones
    of an array, and their waits are what is measured. As in an array, no two share a launch call.
    """
    size = arrival.job.get("array_size")
    if not isinstance(size, int):
        yield arrival
        return
    rest = {name: value for name, value in arrival.job.items() if name != "array_size"}
    container = rest["overrides"]["containerOverrides"][0]
    for index in range(size):
        environment = [{"name": INDEX_VARIABLE, "value": str(index)}]
        child = {**container, "environment": environment}
        overrides = {"containerOverrides": [child]}
        job = {**rest, "id": f"{rest['id']}-{index}", "overrides": overrides}
        yield Arrival(arrival.at_s, job)


def _submission(number: int, arrival: Arrival) -> Submission:
    where = f"--trace: job {number} ({arrival.job.get('id', 'without id')})"
    document = json.dumps(arrival.job, separators=(",", ":"))
    short = len(document) <= SURELY_SHORT
    try:
        # What was a dictionary has no member twice, which parse_job would look for.
        job = job_from_json(document.encode()) if short else parse_job(document)
    except InvalidJob as error:
        raise InvalidInput(f"{where}: {error}") from error
    run = run_of(arrival.job)
    if job.task_definition != FAMILY or run is None:
        raise InvalidInput(
            f"{where}: only jobs of task definition {FAMILY!r} whose container sleeps can be "
            "simulated, as `ecs-scheduler trace` makes them"
        )
    size = size_of(arrival.job)
    shape = (size.cpu_units, size.memory_mib, size.gpus)
    # Its payload is for its task, and a simulated one asks for nothing.
    bare = job if job.payload is None else job.model_copy(update={"payload": None})
    written = canonical(bare).decode()
    return Submission(arrival.at_s, job.id, written, job.share, shape, run.run_time_s)


def limit_s(workload: Workload) -> float:
    """How long to simulate at most: ten times what the time line and the work take at least, and
    an hour. Whoever needs longer is stuck, and is reported as unfinished.
    """
    kinds = [(group.sized(), group.count) for group in workload.fleet]
    there = [
        sum(kind.cpu_units * count for kind, count in kinds),
        sum(kind.memory_mib * count for kind, count in kinds),
        sum(kind.gpus * count for kind, count in kinds),
    ]
    work = [0.0, 0.0, 0.0]
    end_s = 0.0
    jobs = workload.submissions
    for at_s, run_s, number in zip(jobs.at_s, jobs.run_s, jobs.shapes.numbers, strict=True):
        end_s = max(end_s, at_s + run_s)
        shape = jobs.shapes.in_order[number]
        for row in range(3):
            work[row] += shape[row] * run_s
    busy_s = max(done / units for done, units in zip(work, there, strict=True) if units)
    return 3600 + 10 * (end_s + busy_s)
