"""`ecs-scheduler trace`: recorded or generated workloads as files for `demo --trace --fleet`.

The work is done in `ecs_simulator.workloads`; here are flags, messages and the mapping of errors.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import InvalidInput
from ecs_simulator.errors import SimulatorError
from ecs_simulator.fleet import Fleet
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.generate import generate as generate_arrivals
from ecs_simulator.workloads.groups import scaled_fleet, write_fleet
from ecs_simulator.workloads.mixes import MIXES
from ecs_simulator.workloads.openb import GPU_MODEL, GpuShares, ImportReport, import_openb

trace = App(
    name="trace",
    help="Turn recorded workloads into jobs and instances, or make some up.",
    default_parameter=Parameter(negative=()),
)

Count = Annotated[int, Parameter(validator=Number(gte=1))]


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
class Openb:
    """The two tables of the openb trace and how to read them.

    Attributes:
        pods: CSV of pods, such as openb_pod_list_default.csv.
        nodes: CSV of nodes, such as openb_node_list_all_node.csv.
        gpu_shares: What becomes of pods that ask for a part of a GPU, which ECS does not have: each
            gets a whole GPU, or is left out.
        skip_bad_rows: Leave out rows that make no sense instead of refusing the file.
    """

    pods: Path
    nodes: Path
    gpu_shares: GpuShares = "round-up"
    skip_bad_rows: bool = False


@trace.command(name="import")
def import_trace(
    *,
    trace_format: Annotated[Literal["openb"], Parameter(name="--format")],
    tables: Annotated[Openb, Parameter(name="*")],
    outputs: Annotated[Outputs, Parameter(name="*")],
) -> int:
    """Turn a published cluster trace into jobs and an instance fleet.

    Args:
        trace_format: The trace's format; openb is Alibaba's of 2023.
    """
    del trace_format  # one so far
    with told_apart():
        imported = import_openb(
            tables.pods,
            tables.nodes,
            gpu_shares=tables.gpu_shares,
            skip_bad_rows=tables.skip_bad_rows,
        )
        _write(outputs, imported.arrivals, imported.fleet)
    for line in report_lines(imported.report, tables.gpu_shares):
        sys.stdout.write(line + "\n")
    return 0


@trace.command
def generate(
    *,
    outputs: Annotated[Outputs, Parameter(name="*")],
    mix: Literal["small", "openb"] = "small",
    jobs: Count = 500,
    instances: Count = 40,
    seed: int = 1,
) -> int:
    """Make up a workload and the instances to run it on.

    Args:
        mix: small is the demo's own; openb has the statistics of the openb trace, on its time line.
        jobs: Number of jobs.
        instances: Number of container instances in the fleet file.
        seed: The same seed gives the same workload.
    """
    chosen = MIXES[mix]
    arrivals = generate_arrivals(seed, jobs, chosen)
    with told_apart():
        _write(outputs, arrivals, scaled_fleet(chosen.machines, instances))
    sys.stdout.write(f"{len(arrivals)} jobs over {arrivals[-1].at_s:.0f} s\n")
    return 0


def report_lines(report: ImportReport, gpu_shares: GpuShares) -> Iterator[str]:
    """What a person should know of an import, one fact a line; nothing that did not happen."""
    yield f"{report.pods} pods became {report.jobs} jobs on {report.nodes} instances"
    share = "given a whole GPU each" if gpu_shares == "round-up" else "left out"
    facts = (
        (report.gpu_shares, f"asked for a share of a GPU and were {share}"),
        (report.failed, "failed in the trace: their jobs exit with 1"),
        (report.never_scheduled, "never got a node: they run for as long as they waited for one"),
        (report.never_ended, "have no end: they run to the end of the trace"),
        (report.with_gpu_spec, f"name GPU models, which is not honoured (see {GPU_MODEL})"),
        (report.fit_nowhere, "are larger than every instance and can never be placed"),
        (len(report.bad_rows), "bad rows were skipped:"),
    )
    yield from (f"  {number} {what}" for number, what in facts if number)
    yield from (f"    {row}" for row in report.bad_rows[:10])


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
