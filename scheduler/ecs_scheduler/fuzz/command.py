"""The command itself: seeds over all cores, a line each, and the history of what went wrong."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_queue.errors import EmbeddedServerFailed
from ecs_scheduler.cli.failures import FAILED, OK, Failed

if TYPE_CHECKING:
    from ecs_scheduler.fuzz.playing import Verdict


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
    jobs: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 40
    """Jobs in each run."""
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=256))] = None
    """Processes that play; as many as there are cores by default."""
    quiet: bool = False
    """Say nothing of seeds that keep every promise."""
    stop: bool = False
    """Stop at the first seed that breaks a promise."""
    history: Path | None = None
    """Write the history of the last run shown to this file."""


def fuzz(*, flags: FuzzFlags = FuzzFlags()) -> int:
    """Try to break the service: faults from a seed, in virtual time.

    The production service runs against the simulated ECS and real Valkey servers while calls and
    replies get lost, processes die and freeze, and instances vanish; afterwards nothing may be lost
    or done twice. Exit code 1 if a seed breaks a promise; --seed replays it.
    """
    seeds: Sequence[int] = range(flags.first, flags.first + flags.seeds)
    if flags.seed is not None:
        seeds = (flags.seed,)
    failed: list[int] = []
    total: Counter[str] = Counter()
    played, cpu_s = 0, 0.0
    try:
        for verdict in _verdicts(seeds, flags):
            total.update(verdict.covered)
            played, cpu_s = played + 1, cpu_s + verdict.cpu_s
            if verdict.violations:
                failed.append(verdict.seed)
            _say(*_told(verdict, flags))
            if failed and flags.stop:
                break
    except EmbeddedServerFailed as error:
        raise Failed(str(error)) from error
    _say(*_table(total), f"{played} seeds, {cpu_s / played:.2f} s of CPU each")
    if failed:
        _say(f"{len(failed)} of {played} seeds broke a promise: {failed}")
    return FAILED if failed else OK


def _verdicts(seeds: Sequence[int], flags: FuzzFlags) -> Iterator[Verdict]:
    from ecs_scheduler.fuzz.playing import Size, verdicts  # the simulator, which only this needs

    size = Size(flags.minutes, flags.jobs, flags.replicas)
    whole = flags.seed is not None or flags.history is not None
    return verdicts(seeds, size, flags.workers or os.cpu_count() or 1, whole=whole)


def _told(verdict: Verdict, flags: FuzzFlags) -> Iterator[str]:
    if verdict.violations or not flags.quiet:
        yield verdict.summary
    if flags.history is not None:
        flags.history.write_text(verdict.history + "\n", encoding="utf-8")
    if flags.seed is not None or (verdict.violations and flags.history is None):
        yield verdict.history
    if not verdict.violations:
        return
    for violation in verdict.violations:
        yield f"  {violation}"
    again = f"ecs-scheduler fuzz --seed {verdict.seed} --minutes {flags.minutes:g}"
    more = "" if flags.replicas is None else f" --replicas {flags.replicas}"
    yield f"  replay with: {again} --jobs {flags.jobs}{more}"


def _table(total: Mapping[str, int]) -> Iterator[str]:
    """How often each kind of thing happened in all seeds together."""
    for name, times in total.items():
        yield f"{times:>9,}  {name}" if times else f"    never  {name}"


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
