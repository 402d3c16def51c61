"""A study: every policy on every seed, over processes, with the progress told as it comes."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.managers import SyncManager

import structlog

from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.compare import Comparison, compare
from ecs_scheduler.simulate.measures import Measures, measure
from ecs_scheduler.simulate.outline import play_outline
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import Jobs
from ecs_scheduler.simulate.workload import Wanted, prepare
from ecs_scheduler.simulate.world import LOOK_AT_QUEUE_S, Case, play

QUIET = 40
"""Only errors of the simulated services are logged; a run of hours would drown everything."""


@dataclass(frozen=True, slots=True)
class Study:
    """What to compare, on what, and how many processes may work on it."""

    policies: tuple[tuple[str, PolicyBook], ...]
    wanted: Wanted
    seeds: tuple[int, ...]
    prices: Prices
    idle_s: float
    processes: int
    look_s: float = LOOK_AT_QUEUE_S
    outline: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """How far one run is."""

    policy: str
    seed: int
    ended: int
    total: int


Tell = Callable[[Told], None]


def run(study: Study, tell: Tell) -> tuple[Comparison, Mapping[int, Jobs]]:
    """Play everything; the comparison, and the jobs of each seed."""
    cases = [(name, policy, seed) for seed in study.seeds for name, policy in study.policies]
    if study.processes == 1 or len(cases) == 1:
        played = [_played(study, case, tell) for case in cases]
    else:
        played = _in_parallel(study, cases, tell)
    measures = [each for each, _ in played]
    jobs = {each.seed: columns for each, columns in played}
    order = {name: row for row, (name, _) in enumerate(study.policies)}
    measures.sort(key=lambda each: (order[each.policy], each.seed))
    return compare(measures, jobs), jobs


_Case = tuple[str, PolicyBook, int]


def _in_parallel(study: Study, cases: Sequence[_Case], tell: Tell) -> list[tuple[Measures, Jobs]]:
    """Spawned rather than forked: a fork would share the parent's sockets and threads."""
    context = multiprocessing.get_context("spawn")
    with SyncManager(ctx=context) as manager:
        news = manager.Queue()
        with ProcessPoolExecutor(study.processes, mp_context=context) as pool:
            waiting = {pool.submit(_worker, study, case, news.put) for case in cases}
            played = []
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                    while not news.empty():
                        tell(news.get())
                    played += [each.result() for each in done]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return played


def _worker(study: Study, case: _Case, tell: Tell) -> tuple[Measures, Jobs]:
    return _played(study, case, tell)


def _played(study: Study, case: _Case, tell: Tell) -> tuple[Measures, Jobs]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(QUIET))
    name, policy, seed = case
    workload = prepare(study.wanted, seed)
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
