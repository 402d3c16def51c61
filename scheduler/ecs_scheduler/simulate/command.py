"""The command `ecs-scheduler simulate`: flags, progress, table, files."""

import asyncio
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ecs_scheduler.cli.failures import FAILED, OK, STOPPED, InvalidInput, Stopped
from ecs_scheduler.cli.output import report
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.compare import Comparison
from ecs_scheduler.simulate.history import named, span_s
from ecs_scheduler.simulate.live import live_fleet
from ecs_scheduler.simulate.policies import parse_policy, short
from ecs_scheduler.simulate.prices import Prices, load_prices
from ecs_scheduler.simulate.report import Told as Reported
from ecs_scheduler.simulate.report import as_json, drawn, html
from ecs_scheduler.simulate.study import (
    PREPARED,
    Played,
    Study,
    Told,
    cores,
    play_all,
    side_by_side,
)
from ecs_scheduler.simulate.table import table
from ecs_scheduler.simulate.verdict import verdict
from ecs_scheduler.simulate.workload import DAY_S, Wanted, Workload

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=10_000_000))]
Hours = Annotated[float | None, Parameter(validator=Number(gt=0, lte=100_000))]
REDRAWN_PER_S = 2.0
PACE_OF_S = 180.0
"""How far back the bar's estimate looks: what is told comes minutes of virtual time apart."""

DEFAULT_POLICIES = ("default", "ecs:binpack(memory)", "ecs:spread", "ecs:random")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WorkloadFlags:
    """What to play, and what it costs."""

    trace: Path | None = None
    """Jobs of this trace file; see `ecs-scheduler trace`. Without it, jobs are made up."""
    fleet: Path | None = None
    """Instances of this fleet file (JSON lines or TOML)."""
    history: str | None = None
    """Jobs and instances of this folder instead, which `ecs-scheduler record` wrote; or last-7d,
    for the last seven days of the folder `history`."""
    last: str | None = None
    """Only the last days or hours of the history, such as 7d or 12h."""
    snapshot: Literal["live"] | None = None
    """live: on the instances that the cluster of the settings (as for `run`) has now."""
    since: str | None = None
    """Only jobs that come so long after the start of the trace or history, such as 112d or 6h."""
    until: str | None = None
    """Only jobs that come before that."""
    mix: Literal["small", "openb"] = "small"
    """What to make up jobs and instances from."""
    jobs: Count = 2000
    """Number of made-up jobs."""
    instances: Count = 100
    """Number of made-up instances."""
    hours: Hours = None
    """Compress the time line to so many hours, closing idle stretches first."""
    seeds: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 3
    """Number of seeds; a trace is varied by 10 % in every seed but seed 1."""
    first_seed: Annotated[int, Parameter(validator=Number(gte=1))] = 1
    """The first of them; the others follow it."""
    look_s: Annotated[float, Parameter(validator=Number(gte=0.2, lte=20))] = 0.2
    """Time between two looks of the service at its queue. Less often is cheaper to simulate, and
    waits are accurate to about that."""
    idle_s: Annotated[float, Parameter(validator=Number(gte=0, lte=1e6))] = 300.0
    """An instance is paid for until it has been empty for so many seconds."""
    outline: bool = False
    """Play the placement alone, without the service, API rates and Redis around it: some hundred
    times cheaper, for a first look and for tuning."""
    prices: Path | None = None
    """TOML table [per_hour] of instance types and prices."""
    processes: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None
    """Processes to use; all cores unless given."""

    @property
    def wanted(self) -> Wanted:
        """The workload as a value."""
        if self.history is not None and self.trace is not None:
            raise InvalidInput("give --trace or --history, not both")
        if self.snapshot is not None and self.fleet is not None:
            raise InvalidInput("give --fleet or --snapshot, not both")
        recorded = self.trace is not None or self.history is not None
        if not recorded and (self.since is not None or self.until is not None):
            raise InvalidInput("--since and --until are for a --trace or a --history")
        history, last_s = (None, None) if self.history is None else named(self.history, self.last)
        return Wanted(
            self.trace,
            self.fleet,
            self.mix,
            self.jobs,
            self.instances,
            self.hours,
            history,
            last_s,
            since_s=0.0 if self.since is None else span_s(self.since, "--since"),
            until_s=math.inf if self.until is None else span_s(self.until, "--until"),
            live=() if self.snapshot is None else asyncio.run(live_fleet()),
        )

    def study(self, policies: tuple[tuple[str, PolicyBook], ...]) -> Study:
        """These policies on this workload. Raises InvalidInput."""
        return Study(
            policies=policies,
            wanted=self.wanted,
            seeds=tuple(range(self.first_seed, self.first_seed + self.seeds)),
            prices=load_prices(self.prices) if self.prices is not None else Prices(),
            idle_s=self.idle_s,
            processes=self.processes or cores(),
            look_s=self.look_s,
            outline=self.outline,
        )


def described(wanted: Wanted, workload: Workload) -> str:
    """The workload in words."""
    instances = sum(group.count for group in workload.fleet)
    source = f"trace {wanted.trace.name}" if wanted.trace else f"made up like {wanted.mix}"
    source = f"history of {wanted.history}" if wanted.history else source
    part = [f"from day {wanted.since_s / DAY_S:g}"] if wanted.since_s else []
    part += [f"to day {wanted.until_s / DAY_S:g}"] if wanted.until_s < math.inf else []
    source = ", ".join([source, " ".join(part)]) if part else source
    end_s = workload.submissions[-1].at_s
    return (
        f"{len(workload.submissions):,} jobs ({source}) submitted over {end_s / 3600:.2f} h "
        f"on {instances:,} instances{' that the cluster has now' if wanted.live else ''}"
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SimulateFlags:
    """What to compare, and where to write it."""

    policy: tuple[str, ...] = DEFAULT_POLICIES
    """A policy file, default, or ECS's own: ecs:binpack(memory), ecs:spread, ecs:random. Repeat it;
    the others are compared with the first."""
    report: Path | None = None
    """Write the report here, one HTML file that needs no network."""
    json: Path | None = None
    """Write all figures here as JSON."""
    picture: Path | None = None
    """Draw what 1,000 jobs cost and how long they wait under each policy here, as SVG."""
    title: str = ""
    """The picture's title; the workload in words, unless given."""


DEFAULT_WORKLOAD = WorkloadFlags()


def simulate(
    *, workload: WorkloadFlags = DEFAULT_WORKLOAD, flags: SimulateFlags = SimulateFlags()
) -> int:
    """Compare placement policies on a workload, with the real scheduler in virtual time.

    Nothing is sent to AWS or to your Redis. The same flags give the same figures. Exit code 1 if
    jobs did not end in the simulated time.
    """
    policies = tuple((short(text), parse_policy(text)) for text in dict.fromkeys(flags.policy))
    if len({name for name, _ in policies}) < len(policies):
        raise InvalidInput("--policy: two files have the same name; reports could not tell them")
    writable(flags.report, "--report")
    writable(flags.json, "--json")
    writable(flags.picture, "--picture")
    study = workload.study(policies)
    played = _read(study.wanted)  # the first check of its files
    reported = Reported(
        described(study.wanted, played),
        command_line(),
        study.idle_s,
        played.fleet,
        study.prices,
        study.outline,
        flags.title,
    )
    comparison, stopped = _played(study)
    reported = replace(reported, workload=reported.workload + stopped)
    if flags.report is not None:
        flags.report.write_text(html(comparison, reported), encoding="utf-8")
    if flags.json is not None:
        flags.json.write_text(as_json(comparison, reported), encoding="utf-8")
    if flags.picture is not None:
        flags.picture.write_text(drawn(comparison, reported), encoding="utf-8")
    _say(comparison, flags)
    if stopped:
        return STOPPED
    return FAILED if any(each.metrics["unfinished"].mean for each in comparison.policies) else OK


def _played(study: Study) -> tuple[Comparison, str]:
    """Everything side by side, and nothing to add; or, since somebody pressed Ctrl-C, what there is
    until then, and what is to be said of it. Raises Stopped when no seed was played under every
    policy.
    """
    played: list[Played] = []
    with _progress() as bars:
        try:
            play_all(study, bars.tell, played)
            stopped = False
        except KeyboardInterrupt:
            stopped = True
    comparison = side_by_side(study, played)
    ended = f"{len(played)} of {len(study.policies) * len(study.seeds)} runs had ended"
    if comparison is None:
        raise Stopped(
            f"stopped: {ended}{bars.under_way()}; nothing to compare, and no file was written"
        )
    if not stopped:
        return comparison, ""
    report(f"stopped: {ended}; the figures are those of the seeds that all policies have played")
    return comparison, f"; stopped when {ended}"


def _say(comparison: Comparison, flags: SimulateFlags) -> None:
    console = Console(highlight=False)
    console.print(table(comparison))
    for sentence in verdict(comparison):
        console.print(sentence)
    if flags.report is not None:
        console.print(f"report: {flags.report}")


def command_line() -> str:
    """How this was asked for."""
    return shlex.join(["ecs-scheduler", *sys.argv[1:]])


def writable(path: Path | None, flag: str) -> None:
    """Refuse a file in no folder before an hour of work rather than after it."""
    if path is not None and not path.parent.is_dir():
        raise InvalidInput(f"{flag}: the folder {path.parent} does not exist")


def _read(wanted: Wanted) -> Workload:
    """The workload of seed 1; a million jobs take most of a minute."""
    console = Console(stderr=True)
    shown = console.status("reading the workload", refresh_per_second=REDRAWN_PER_S)
    try:
        with shown if console.is_terminal else nullcontext():
            return PREPARED.of(wanted, 1, most=1)
    except KeyboardInterrupt:
        raise Stopped("stopped while the workload was read; nothing was played") from None


class _Bars:
    """A bar for each run under way: jobs ended of all, the time it took and what is left at the
    pace of the last minutes.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._rows: dict[tuple[str, int], TaskID] = {}
        self._latest: dict[tuple[str, int], Told] = {}

    def tell(self, told: Told) -> None:
        """How far a run is."""
        key = (told.policy, told.seed)
        self._latest[key] = told
        if key not in self._rows:
            name = f"{told.policy}, seed {told.seed}"
            self._rows[key] = self._bar.add_task(name, total=told.total)
        self._bar.update(self._rows[key], completed=told.ended)
        if told.ended >= told.total:
            self._bar.remove_task(self._rows.pop(key))
            del self._latest[key]

    def under_way(self) -> str:
        """How far those are that have not ended, in words."""
        return "".join(
            f"; {each.policy}, seed {each.seed}: {each.ended:,} of {each.total:,} jobs"
            for each in self._latest.values()
        )


@contextmanager
def _progress() -> Iterator[_Bars]:
    """On stderr; nothing where that is no terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        refresh_per_second=REDRAWN_PER_S,
        speed_estimate_period=PACE_OF_S,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Bars(bar)
