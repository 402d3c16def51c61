"""Many seeds over several processes, each with servers of its own; verdicts come in order."""

from __future__ import annotations

import multiprocessing
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.util import Finalize

from ecs_scheduler.clock import SystemClock
from ecs_scheduler.fuzz.coverage import covered
from ecs_scheduler.fuzz.run import Played, play
from ecs_scheduler.fuzz.scenario import draw
from ecs_scheduler.fuzz.servers import Servers

LINES_SHOWN = 200
NAMES = re.compile(r"\b[adgjs]\d+(?:-\w+)?\b|\b[0-9a-f]{32}\b")
AHEAD = 4
"""Seeds in hand for each process."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large each run is; `replicas` None draws their number from the seed."""

    minutes: float
    jobs: int
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one seed, small enough to travel between processes."""

    seed: int
    summary: str
    violations: tuple[str, ...]
    history: str
    """All of it where it was asked for, and otherwise what explains the violations."""
    covered: Mapping[str, int]
    cpu_s: float


def verdicts(
    seeds: Sequence[int], size: Size, workers: int, *, whole: bool = False
) -> Iterator[Verdict]:
    """Play the seeds, in this process where `workers` is 1.

    Raises:
        EmbeddedServerFailed: there is no Valkey or Redis server to start.
    """
    if workers == 1 or len(seeds) == 1:
        with Servers() as servers:
            for seed in seeds:
                yield _verdict(seed, size, servers, whole)
        return
    waiting: deque[Future[Verdict]] = deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_open_servers) as pool:
        try:
            for seed in seeds:
                waiting.append(pool.submit(_verdict_here, seed, size, whole))
                if len(waiting) > workers * AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


_here: list[Servers] = []


def _open_servers() -> None:
    """The servers of this worker process, until it ends."""
    servers = Servers()
    servers.__enter__()
    _here.append(servers)
    Finalize(servers, partial(servers.__exit__, None, None, None), exitpriority=10)


def _verdict_here(seed: int, size: Size, whole: bool) -> Verdict:
    return _verdict(seed, size, _here[0], whole)


def _verdict(seed: int, size: Size, servers: Servers, whole: bool) -> Verdict:
    clock = SystemClock()
    began_s, before_s = clock.monotonic_s(), servers.cpu_s() + clock.cpu_s()
    played = play(draw(seed, size.minutes, size.replicas, size.jobs), servers)
    cpu_s = servers.cpu_s() + clock.cpu_s() - before_s
    history = ""
    if whole:
        history = played.history.text()
    elif played.violations:
        history = played.history.about(_named(played), LINES_SHOWN)
    return Verdict(
        seed,
        _summary(played, clock.monotonic_s() - began_s, cpu_s),
        played.violations,
        history,
        covered(played.scenario, played.history, played.evidence),
        cpu_s,
    )


def _summary(played: Played, seconds: float, cpu_s: float) -> str:
    figures = " ".join(f"{name}={value}" for name, value in played.figures.items())
    outcome = "VIOLATED" if played.violations else "ok"
    scenario = played.scenario
    return (
        f"seed {scenario.seed}: {outcome} replicas={scenario.replicas} {figures} "
        f"history={played.history.fingerprint()} {seconds:.1f} s, {cpu_s:.1f} of CPU"
    )


def _named(played: Played) -> set[str]:
    """Jobs and tokens that the violations speak of."""
    return {name for text in played.violations for name in NAMES.findall(text)}
