"""`ecs-scheduler trace`: recorded or generated workloads as files for `demo --trace --fleet`.

The work is done in `ecs_simulator.workloads`; here are flags, messages and the mapping of errors.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from cyclopts import App, Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import InvalidInput
from ecs_simulator.errors import SimulatorError
from ecs_simulator.fleet import Fleet
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.errors import InvalidTable
from ecs_simulator.workloads.generate import Shape
from ecs_simulator.workloads.generate import generate as generate_arrivals
from ecs_simulator.workloads.google2019 import MachineSize, Tables, import_google2019
from ecs_simulator.workloads.groups import scaled_fleet, write_fleet
from ecs_simulator.workloads.mixes import MIXES
from ecs_simulator.workloads.openb import GpuShares, import_openb
from ecs_simulator.workloads.plain import import_plain
from ecs_simulator.workloads.processes import Bursts, Diurnal, HeavyTail, Poisson
from ecs_simulator.workloads.tables import Imported, Report

trace = App(
    name="trace",
    help="Turn recorded workloads into jobs and instances, or make some up.",
    default_parameter=Parameter(negative=()),
)

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the results go; an existing file is replaced.

    Attributes:
        out_trace: The arrivals: JSON lines {"at_s": seconds, "job": {...}}.
        out_fleet: The instances: JSON lines of instance groups.
    """

    out_trace: Path
    out_fleet: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The tables to read: CSV with a header or JSON lines (.jsonl), either of them gzipped (.gz).

    Attributes:
        pods: openb: the pods, such as openb_pod_list_default.csv.
        nodes: openb: the nodes, such as openb_node_list_all_node.csv.
        gpu_shares: openb: what becomes of pods that ask for a part of a GPU, which ECS does not
            have: each gets a whole GPU, or is left out.
        table: plain: jobs with at_s, run_s, cpu_units, memory_mib, and perhaps id, gpus, exit_code,
            priority, share, gang, array_size.
        instance_events: google2019: the export of that table.
        collection_events: google2019: the export of that table; users become shares.
        machine_events: google2019: the export of that table; it is what the fleet is made of.
        machine_cpu_units: google2019: CPU units of the largest machine, which the trace calls 1.0.
        machine_memory_mib: google2019: MiB of the largest machine, which the trace calls 1.0.
        fleet_of: Make the fleet so many instances in the proportions of the recorded one; each of
            its instance types is kept at least once.
        skip_bad_rows: Leave out rows that make no sense instead of refusing the file.
    """

    pods: Path | None = None
    nodes: Path | None = None
    gpu_shares: GpuShares = "round-up"
    table: Path | None = None
    instance_events: Path | None = None
    collection_events: Path | None = None
    machine_events: Path | None = None
    machine_cpu_units: Count | None = None
    machine_memory_mib: Count | None = None
    fleet_of: Count | None = None
    skip_bad_rows: bool = False


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """What is drawn.

    Attributes:
        mix: small is the demo's own; openb has the statistics of the openb trace, on its time line;
            gpu has training in gangs and sweeps as arrays.
        arrivals: When submissions come: as in the mix, by a Poisson process, by one whose rate
            follows the day, or in bursts.
        per_hour: Submissions an hour, on average, for all but the mix's own arrivals.
        runs: How long jobs run: as in the mix, or by a heavy-tailed (bounded Pareto) distribution
            from 5 seconds to a week.
        arrays: Share of the submissions with several jobs that come as one array.
        gangs: Share of the submissions with several jobs that come as one gang.
    """

    mix: Literal["small", "openb", "gpu"] = "small"
    arrivals: Literal["mix", "poisson", "diurnal", "bursts"] = "mix"
    per_hour: Annotated[float, Parameter(validator=Number(gt=0))] = 600.0
    runs: Literal["mix", "heavy-tailed"] = "mix"
    arrays: Share = 0.0
    gangs: Share = 0.0

    def shape(self) -> Shape:
        """The same for the generator."""
        if self.arrays + self.gangs > 1:
            raise InvalidInput("--arrays and --gangs are shares of the same: 1 together at most")
        processes = {"poisson": Poisson, "diurnal": Diurnal, "bursts": Bursts}
        process = processes.get(self.arrivals)
        return Shape(
            arriving=process(self.per_hour) if process is not None else None,
            runs=HeavyTail() if self.runs == "heavy-tailed" else None,
            arrays=self.arrays,
            gangs=self.gangs,
        )


@trace.command(name="import")
def import_trace(
    *,
    trace_format: Annotated[Literal["openb", "google2019", "plain"], Parameter(name="--format")],
    outputs: Annotated[Outputs, Parameter(name="*")],
    sources: Annotated[Sources, Parameter(name="*")] = Sources(),
) -> int:
    """Turn a recorded workload into jobs and, where it tells of machines, an instance fleet.

    Args:
        trace_format: openb is Alibaba's of 2023, google2019 Google's ClusterData2019, plain a table
            of your own.
    """
    with told_apart():
        imported = _IMPORTERS[trace_format](sources)
        if outputs.out_fleet is not None and not imported.fleet:
            raise InvalidInput(
                "--out-fleet: these tables tell of no machines; "
                + ("give --machine-events" if trace_format == "google2019" else "leave it out")
            )
        fleet = imported.fleet
        if sources.fleet_of is not None:
            fleet = scaled_fleet(fleet, sources.fleet_of)
        _write(outputs, imported.arrivals, fleet)
    for line in report_lines(imported.report):
        sys.stdout.write(line + "\n")
    return 0


def _openb(sources: Sources) -> Imported[Report]:
    return import_openb(
        _needed("openb", "pods", sources.pods),
        _needed("openb", "nodes", sources.nodes),
        gpu_shares=sources.gpu_shares,
        skip_bad_rows=sources.skip_bad_rows,
    )


def _google2019(sources: Sources) -> Imported[Report]:
    def needed(flag: str, value: Given | None) -> Given:
        return _needed("google2019", flag, value)

    tables = Tables(
        needed("instance-events", sources.instance_events),
        sources.collection_events,
        sources.machine_events,
    )
    machine = MachineSize(
        needed("machine-cpu-units", sources.machine_cpu_units),
        needed("machine-memory-mib", sources.machine_memory_mib),
    )
    return import_google2019(tables, machine, skip_bad_rows=sources.skip_bad_rows)


def _plain(sources: Sources) -> Imported[Report]:
    table = _needed("plain", "table", sources.table)
    return import_plain(table, skip_bad_rows=sources.skip_bad_rows)


_IMPORTERS: Mapping[str, Callable[[Sources], Imported[Report]]] = {
    "openb": _openb,
    "google2019": _google2019,
    "plain": _plain,
}


def _needed(trace_format: str, flag: str, value: Given | None) -> Given:
    if value is None:
        raise InvalidInput(f"--{flag}: is missing; --format {trace_format} needs it")
    return value


@trace.command
def generate(
    *,
    outputs: Annotated[Outputs, Parameter(name="*")],
    shaping: Annotated[Shaping, Parameter(name="*")] = Shaping(),
    jobs: Count = 500,
    instances: Count = 40,
    seed: int = 1,
) -> int:
    """Make up a workload and the instances to run it on.

    Args:
        jobs: Number of jobs; an array counts as many as it has children.
        instances: Number of container instances in the fleet file.
        seed: The same seed gives the same workload.
    """
    chosen = MIXES[shaping.mix]
    arrivals = generate_arrivals(seed, jobs, chosen, shaping.shape())
    with told_apart():
        _write(outputs, arrivals, scaled_fleet(chosen.machines, instances))
    for line in _drawn_lines(arrivals, jobs):
        sys.stdout.write(line + "\n")
    return 0


def _drawn_lines(arrivals: Sequence[Arrival], jobs: int) -> Iterator[str]:
    yield f"{jobs} jobs over {arrivals[-1].at_s:.0f} s"
    arrays = [arrival.job["array_size"] for arrival in arrivals if "array_size" in arrival.job]
    gangs = {arrival.job["gang"]["id"] for arrival in arrivals if "gang" in arrival.job}
    if arrays:
        yield f"  {sum(arrays)} of them are children of {len(arrays)} arrays"
    if gangs:
        members = sum("gang" in arrival.job for arrival in arrivals)
        yield f"  {members} of them are members of {len(gangs)} gangs"


def report_lines(report: Report) -> Iterator[str]:
    """What a person should know of an import, one fact a line; nothing that did not happen."""
    yield report.headline()
    yield from (f"  {number} {what}" for number, what in report.facts() if number)
    if report.bad_rows:
        yield f"  {len(report.bad_rows)} bad rows were skipped:"
    yield from (f"    {row}" for row in report.bad_rows[: InvalidTable.SHOWN])


@contextmanager
def told_apart() -> Iterator[None]:
    """Errors in workload and fleet files, as the command line reports them."""
    try:
        yield
    except SimulatorError as error:
        raise InvalidInput(str(error)) from error
    except OSError as error:
        raise InvalidInput(f"{error.filename}: {error.strerror}") from error


def _write(outputs: Outputs, arrivals: Iterable[Arrival], fleet: Fleet) -> None:
    write_trace(arrivals, outputs.out_trace)
    if outputs.out_fleet is not None:
        write_fleet(fleet, outputs.out_fleet)
