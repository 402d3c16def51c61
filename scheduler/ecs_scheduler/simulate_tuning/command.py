"""The command `ecs-scheduler tune`."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import OK, Failed, InvalidInput, Stopped
from ecs_scheduler.cli.output import print_lines, report
from ecs_scheduler.simulate.command import (
    DEFAULT_WORKLOAD,
    WorkloadFlags,
    command_line,
    described,
    writable,
)
from ecs_scheduler.simulate.history import span_s
from ecs_scheduler.simulate.policies import parse_policy
from ecs_scheduler.simulate.study import PREPARED, Study
from ecs_scheduler.simulate_tuning.choosing import Least, chosen, contributions, front
from ecs_scheduler.simulate_tuning.report import Found, html, verdict
from ecs_scheduler.simulate_tuning.search import (
    OBJECTIVES,
    Search,
    Tried,
    evaluate,
    open_study,
    search,
    tries,
)

REFERENCES = ("default", "ecs:binpack(memory)", "ecs:binpack(cpu)", "ecs:spread", "ecs:random")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TuneFlags:
    """How to search."""

    study: str = "policy"
    """Name of the search; the same name in the same storage goes on with it, here or elsewhere."""
    storage: str = "sqlite:///tune.db"
    """sqlite:///FILE for the processes of one machine, redis://HOST:PORT for many machines."""
    trials: Annotated[int, Parameter(validator=Number(gte=0, lte=1_000_000))] = 30
    """Policies to try now; 0 only reports on what was tried before."""
    sampler_seed: int = 1
    """The same seed tries the same policies, with one process and from the start."""
    least: Least = "instance_hours"
    """What to take the least of, among policies that beat ECS's own in the other and in wait."""
    judge_seeds: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 3
    """Number of fresh seeds, after those of the search, on which its outcome is judged."""
    judge_since: str | None = None
    """Judge on another part of the trace: jobs that come so long after its start, such as 130d."""
    judge_until: str | None = None
    """Judge on jobs that come before that."""
    out: Path = Path("tuned.toml")
    """The policy file that comes of it."""
    report: Path | None = None
    """Write a report with the Pareto front here, one HTML file."""

    def judge(self, searched: Study) -> Study:
        """What the search does not see: fresh seeds, and another part of the trace if given."""
        wanted, first = searched.wanted, searched.seeds[-1] + 1
        since, until = self.judge_since, self.judge_until
        if wanted.trace is None and wanted.history is None and (since or until):
            raise InvalidInput("--judge-since and --judge-until are for a --trace or a --history")
        if since is not None:
            wanted = replace(wanted, since_s=span_s(since, "--judge-since"), until_s=math.inf)
        if until is not None:
            wanted = replace(wanted, until_s=span_s(until, "--judge-until"))
        return replace(searched, wanted=wanted, seeds=tuple(range(first, first + self.judge_seeds)))


def tune(*, workload: WorkloadFlags = DEFAULT_WORKLOAD, flags: TuneFlags = TuneFlags()) -> int:
    """Search the weights of a policy: less cost, less waiting, fuller instances.

    Stop it at any time and start it again: it goes on. Needs the extra `tune` (Optuna).
    """
    writable(flags.out, "--out")
    writable(flags.report, "--report")
    try:
        found = _found(workload, flags)
    except KeyboardInterrupt:
        raise Stopped(
            "stopped; what was tried is kept in the storage, where the same command goes on"
        ) from None
    if flags.report is not None:
        flags.report.write_text(html(found), encoding="utf-8")
    _say(found, flags)
    return OK


def _found(workload: WorkloadFlags, flags: TuneFlags) -> Found:
    """Search, write the policy down, and judge it."""
    simulations = workload.study(())
    played = PREPARED.of(simulations.wanted, 1, most=1)
    prices = simulations.prices.table(played.fleet)
    wanted = Search(
        simulations, flags.study, flags.storage, flags.trials, flags.sampler_seed, prices
    )
    searched, judge = described(simulations.wanted, played), flags.judge(simulations)
    judged = described(judge.wanted, PREPARED.of(judge.wanted, 1, most=2))
    study = open_study(wanted)
    search(wanted, _tell)
    tried = tries(study, prices)
    if not tried:
        raise Failed("nothing was tried yet; give --trials")
    own = [(name, parse_policy(name)) for name in REFERENCES if name.startswith("ecs:")]
    choice, _ = chosen(tried, evaluate(simulations, own), flags.least)
    text = choice.text(f"Found by tuning on {searched}, best of {len(tried)}.")
    flags.out.write_text(text, encoding="utf-8")
    parts = list(choice.parts())
    references = evaluate(judge, [(name, parse_policy(name)) for name in REFERENCES])
    whole, *without = evaluate(
        judge, [("chosen", choice.book()), *((name, each.book()) for name, each in parts)]
    )
    return Found(
        workload=f"searched on {searched}, {_seeds(simulations)}",
        judged=f"judged on {judged}, {_seeds(judge)}",
        command=command_line(),
        tried=len(tried),
        front=front(tried),
        chosen=whole,
        references=references,
        parts=contributions(whole, without),
        text=text,
    )


def _seeds(study: Study) -> str:
    first, last = study.seeds[0], study.seeds[-1]
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


def _say(found: Found, flags: TuneFlags) -> None:
    lines = [*verdict(found), "without one of its parts, instance-hours and mean wait change by:"]
    lines += [
        f"  {part.instance_hours.mean:+9.2f} h  {part.wait_mean_s.mean:+8.2f} s  {part.name}"
        for part in found.parts
    ]
    lines.append(f"policy: {flags.out}")
    if flags.report is not None:
        lines.append(f"report: {flags.report}")
    print_lines(lines)


def _tell(tried: Tried) -> None:
    figures = tried.figures.metrics
    shown = ", ".join(f"{key} {figures[key].mean:.3g}" for key in OBJECTIVES if key in figures)
    report(f"trial {tried.number}: {shown}")
    sys.stderr.flush()
