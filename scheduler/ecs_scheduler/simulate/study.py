"""A study: every policy on every seed, over processes, with the progress told as it comes."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.managers import SyncManager
from typing import Any

import structlog

from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.compare import Comparison, compare
from ecs_scheduler.simulate.measures import Measures, measure
from ecs_scheduler.simulate.outline import play_outline
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import Jobs
from ecs_scheduler.simulate.workload import Wanted, Workloads
from ecs_scheduler.simulate.world import LOOK_AT_QUEUE_S, Case, play

QUIET = 40
"""Only errors of the simulated services are logged; a run of hours would drown everything."""


PREPARED = Workloads()
"""Those of this process; each one of a pool has its own."""


@dataclass(frozen=True, slots=True)
class Study:
    """What to compare, on what, and how many processes may work on it; each keeps the last so many
    workloads for runs to come: a comparison plays one seed after the other, a search all of them in
    every trial.
    """

    policies: tuple[tuple[str, PolicyBook], ...]
    wanted: Wanted
    seeds: tuple[int, ...]
    prices: Prices
    idle_s: float
    processes: int
    look_s: float = LOOK_AT_QUEUE_S
    outline: bool = False
    kept: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """How far one run is."""

    policy: str
    seed: int
    ended: int
    total: int


Tell = Callable[[Told], None]


Played = tuple[Measures, Jobs]
"""One run: what was measured, and its jobs."""


def run(study: Study, tell: Tell) -> tuple[Comparison, Mapping[int, Jobs]]:
    """Play everything; the comparison, and the jobs of each seed."""
    played: list[Played] = []
    play_all(study, tell, played)
    comparison = side_by_side(study, played)
    assert comparison is not None
    return comparison, {each.seed: columns for each, columns in played}


def play_all(study: Study, tell: Tell, played: list[Played]) -> None:
    """Add each run to `played` as it ends; whoever stops this has what was played until then."""
    cases = [(name, policy, seed) for seed in study.seeds for name, policy in study.policies]
    if study.processes == 1 or len(cases) == 1:
        # One by one: what has ended is there when the next is stopped.
        played.extend(_played(study, case, tell) for case in cases)
    else:
        PREPARED.clear()  # each process makes its own
        _in_parallel(study, cases, tell, played)


def side_by_side(study: Study, played: Sequence[Played]) -> Comparison | None:
    """The comparison on those seeds that were played under every policy, if there is one."""
    times = Counter(each.seed for each, _ in played)
    whole = [each for each in played if times[each[0].seed] == len(study.policies)]
    order = {name: row for row, (name, _) in enumerate(study.policies)}
    measures = sorted((each for each, _ in whole), key=lambda each: (order[each.policy], each.seed))
    return compare(measures, {each.seed: jobs for each, jobs in whole}) if whole else None


_Case = tuple[str, PolicyBook, int]


def _in_parallel(study: Study, cases: Sequence[_Case], tell: Tell, played: list[Played]) -> None:
    with SyncManager(ctx=multiprocessing.get_context("spawn")) as manager:
        news = manager.Queue()
        with workers(study.processes) as submit:
            waiting = {submit(_played, study, case, news.put) for case in cases}
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                while not news.empty():
                    tell(news.get())
                played += [each.result() for each in done]


@contextmanager
def workers(processes: int) -> Iterator[Callable[..., Future[Any]]]:
    """What submits a call to one of so many processes; whoever stops in here has ended them.

    Spawned rather than forked: a fork would share the parent's sockets and threads.
    """
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:

        def submit(*call: Any) -> Future[Any]:
            with _deaf_to_ctrl_c():  # it may start a process
                return pool.submit(*call)

        try:
            yield submit
        except BaseException:
            for each in set(multiprocessing.active_children()) - others:
                each.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """For processes that are started meanwhile. A terminal sends Ctrl-C to them as well, but it is
    for the parent, who ends them; each would show a traceback of its own.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _played(study: Study, case: _Case, tell: Tell) -> Played:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(QUIET))
    name, policy, seed = case
    workload = PREPARED.of(study.wanted, seed, study.kept)
    total = len(workload.submissions)
    tell(Told(name, seed, 0, total))
    told = 0

    def progress(ended: int) -> None:
        nonlocal told
        if ended - told >= total / 200:
            told = ended
            tell(Told(name, seed, ended, total))

    whole = Case(name, policy, workload, seed, study.look_s)
    record = play_outline(whole) if study.outline else play(whole, progress)
    tell(Told(name, seed, total, total))
    return measure(record, study.prices, study.idle_s), record.jobs


def cores() -> int:
    """How many processes this machine can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
