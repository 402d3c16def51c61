"""The command itself: flags, signals, the order of things, and what it all comes to."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import FAILED, OK
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.demo import report
from ecs_scheduler.demo.playing import kept_running
from ecs_scheduler.demo.run import Performance
from ecs_scheduler.demo.show import screen
from ecs_scheduler.demo.stage import built, served
from ecs_scheduler.demo.workload import Wanted, prepare

TERMINATED = 128 + signal.SIGTERM

Count = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]
Minutes = Annotated[float | None, Parameter(validator=Number(gt=0, lte=10_000))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DemoFlags:
    """What to run, and where."""

    jobs: Count = 500
    """Number of generated jobs."""
    instances: Count = 40
    """Number of container instances."""
    seed: int = 1
    """The same seed gives the same jobs."""
    trace: Path | None = None
    """Run the jobs of this trace file instead; see `ecs-scheduler trace`."""
    fleet: Path | None = None
    """Take the instances of this fleet file instead."""
    minutes: Minutes = None
    """Compress the time line to fit; 5 for a --trace, as it is for generated jobs."""
    keep_running: bool = False
    """Stay up in the end, to play with; the commands for it are printed."""
    redis_url: str | None = None
    """Redis or Valkey to use instead of an embedded one; the demo takes a queue of its own."""


async def demo(*, flags: DemoFlags = DemoFlags()) -> int:
    """Try everything in one go: Valkey, a simulated ECS, the service, and a workload.

    Ends by itself when every job has ended, with exit code 1 if one was lost or ran twice. AWS is
    not involved, and nothing is left behind.
    """
    clock = SystemClock()
    started_s = clock.monotonic_s()
    workload = prepare(
        Wanted(flags.jobs, flags.instances, flags.seed, flags.trace, flags.fleet, flags.minutes)
    )
    out = sys.stdout
    with _ended_by_sigterm() as terminated:
        try:
            async with AsyncExitStack() as stack:
                stage = await stack.enter_async_context(
                    built(workload, flags.redis_url, flags.seed, clock)
                )
                service = await stack.enter_async_context(served(stage.service))
                _say(out, *workload.remarks)
                with screen(out) as show:
                    ending = await Performance(stage, workload, show, started_s).run(service)
                _say(out, *report.lines(ending))
                if flags.keep_running:
                    await kept_running(stage, service, lambda line: _say(out, line))
        except asyncio.CancelledError:
            elapsed_s = clock.monotonic_s() - started_s
            _say(out, f"stopped after {elapsed_s:.0f} s; nothing is left behind")
            if terminated:
                return TERMINATED
            raise
    return FAILED if ending.problems else OK


@contextmanager
def _ended_by_sigterm() -> Iterator[list[bool]]:
    """SIGTERM ends the demo in order, as Ctrl-C does; the list is no longer empty then."""
    terminated: list[bool] = []
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def end() -> None:
        terminated.append(True)
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield terminated
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _say(out: TextIO, *lines: str) -> None:
    for line in lines:
        out.write(line + "\n")
    out.flush()
