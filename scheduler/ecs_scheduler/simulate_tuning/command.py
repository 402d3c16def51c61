"""The command `ecs-scheduler tune`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import OK, Failed
from ecs_scheduler.cli.output import print_lines, report
from ecs_scheduler.simulate.command import DEFAULT_WORKLOAD, WorkloadFlags, command_line, writable
from ecs_scheduler.simulate.policies import parse_policy
from ecs_scheduler.simulate_tuning.choosing import chosen, contributions, front
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

REFERENCES = ("default", "ecs:binpack(memory)", "ecs:spread", "ecs:random")


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
    out: Path = Path("tuned.toml")
    """The policy file that comes of it."""
    report: Path | None = None
    """Write a report with the Pareto front here, one HTML file."""


def tune(*, workload: WorkloadFlags = DEFAULT_WORKLOAD, flags: TuneFlags = TuneFlags()) -> int:
    """Search the weights of a policy: less cost, less waiting, fuller instances.

    Stop it at any time and start it again: it goes on. Needs the extra `tune` (Optuna).
    """
    writable(flags.out, "--out")
    writable(flags.report, "--report")
    simulations = workload.study(())
    wanted = Search(simulations, flags.study, flags.storage, flags.trials, flags.sampler_seed)
    described = workload.described()
    study = open_study(wanted)
    search(wanted, _tell)
    tried = tries(study)
    if not tried:
        raise Failed("nothing was tried yet; give --trials")
    references = evaluate(wanted.study, [(name, parse_policy(name)) for name in REFERENCES])
    own = [each for each in references if each.policy.startswith("ecs:")]
    choice, _ = chosen(tried, own)
    parts = list(choice.parts())
    whole, *without = evaluate(
        wanted.study, [("chosen", choice.book()), *((name, each.book()) for name, each in parts)]
    )
    text = choice.text(f"Found by tuning on {described}, best of {len(tried)}.")
    flags.out.write_text(text, encoding="utf-8")
    found = Found(
        workload=described,
        command=command_line(),
        tried=len(tried),
        front=front(tried),
        chosen=whole,
        references=references,
        parts=contributions(whole, without),
        text=text,
    )
    if flags.report is not None:
        flags.report.write_text(html(found), encoding="utf-8")
    _say(found, flags)
    return OK


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
