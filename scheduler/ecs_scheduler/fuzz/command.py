"""The command itself: seeds one after another, a line each, and the history of what went wrong."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import FAILED, OK, Failed
from ecs_scheduler.clock import SystemClock

if TYPE_CHECKING:
    from ecs_scheduler.fuzz.run import Played
    from ecs_scheduler.fuzz.scenario import Scenario

LINES_SHOWN = 200
NAMES = re.compile(r"\bj\d{3,}\b|\b[0-9a-f]{32}\b")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FuzzFlags:
    """How much to try."""

    seeds: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000_000))] = 20
    """Number of seeds, one after another."""
    minutes: Annotated[float, Parameter(validator=Number(gt=0, lte=1000))] = 10.0
    """Virtual minutes of faults in each; the run goes on until everything has ended."""
    first: int = 1
    """The first of the seeds."""
    seed: int | None = None
    """Replay this one seed and show its whole history."""
    replicas: Annotated[int | None, Parameter(validator=Number(gte=1, lte=10))] = None
    """Schedulers on the queue; drawn from the seed, 1 to 3, by default."""
    jobs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 100
    """Jobs in each run."""
    history: Path | None = None
    """Write the history of the last run shown to this file."""


def fuzz(*, flags: FuzzFlags = FuzzFlags()) -> int:
    """Try to break the service: faults from a seed, in virtual time.

    The production service runs against the simulated ECS and an in-process Redis while calls and
    replies get lost, processes die and freeze, and instances vanish; afterwards nothing may be lost
    or done twice. Exit code 1 if a seed breaks a promise; --seed replays it.
    """
    draw, play = _imported()
    failed = []
    seeds: Sequence[int] = range(flags.first, flags.first + flags.seeds)
    if flags.seed is not None:
        seeds = (flags.seed,)
    clock = SystemClock()
    for seed in seeds:
        began_s = clock.monotonic_s()
        played = play(draw(seed, flags.minutes, flags.replicas, flags.jobs))
        _say(_summary(played, clock.monotonic_s() - began_s))
        if flags.history is not None:
            flags.history.write_text(played.history.text() + "\n", encoding="utf-8")
        if flags.seed is not None:
            _say(played.history.text())
        elif played.violations:
            _say(played.history.about(_named(played), LINES_SHOWN))
        if played.violations:
            failed.append(seed)
            _say(*_explained(played, flags))
    if failed:
        _say(f"{len(failed)} of {len(seeds)} seeds broke a promise: {failed}")
    return FAILED if failed else OK


def _imported() -> tuple[Callable[..., "Scenario"], Callable[["Scenario"], "Played"]]:
    """The parts that need what only tests need otherwise."""
    try:
        from ecs_scheduler.fuzz.run import play
        from ecs_scheduler.fuzz.scenario import draw
    except ImportError as error:
        raise Failed(f"fuzz needs {error.name}; pip install 'fakeredis[lua]>=2.40'") from error
    return draw, play


def _summary(played: "Played", seconds: float) -> str:
    figures = " ".join(f"{name}={value}" for name, value in played.figures.items())
    verdict = "VIOLATED" if played.violations else "ok"
    scenario = played.scenario
    return (
        f"seed {scenario.seed}: {verdict} replicas={scenario.replicas} {figures} "
        f"history={played.history.fingerprint()} {seconds:.1f} s"
    )


def _named(played: "Played") -> set[str]:
    """Jobs and tokens that the violations speak of."""
    return {name for text in played.violations for name in NAMES.findall(text)}


def _explained(played: "Played", flags: FuzzFlags) -> Iterator[str]:
    for violation in played.violations:
        yield f"  {violation}"
    again = f"ecs-scheduler fuzz --seed {played.scenario.seed} --minutes {flags.minutes:g}"
    more = "" if flags.replicas is None else f" --replicas {flags.replicas}"
    yield f"  replay with: {again} --jobs {flags.jobs}{more}"


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
