"""The search: Optuna asks for the next choice, simulations answer with cost, wait and use.

Every process and machine that names the same study and storage works on the same search; what was
tried stays there, so a search that was stopped goes on where it was.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.compare import Compared
from ecs_scheduler.simulate.study import Study, run, workers
from ecs_scheduler.simulate_tuning.space import Choice, starts

OBJECTIVES = ("cost", "wait_mean_s", "cpu_packed")
"""Metrics of the comparison that are searched for: less, less, more."""

DIRECTIONS = ("minimize", "minimize", "maximize")
_EXTRA = "tune needs Optuna: pip install 'ecs-scheduler[tune]'"


@dataclass(frozen=True, slots=True)
class Search:
    """What to search on (`study` without policies), where the study is kept, and how long; `prices`
    by instance type are what a policy may know.
    """

    study: Study
    name: str
    storage: str
    trials: int
    sampler_seed: int
    prices: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """One choice and what it came to."""

    number: int
    choice: Choice
    figures: Compared


def open_study(search: Search) -> Any:
    """The study in its storage, made if it is not there. Raises InvalidInput."""
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise InvalidInput(_EXTRA) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            study_name=search.name,
            storage=_storage(search.storage),
            directions=list(DIRECTIONS),
            sampler=optuna.samplers.TPESampler(
                seed=search.sampler_seed, multivariate=True, constant_liar=True
            ),
            load_if_exists=True,
        )
    except InvalidInput:
        raise
    except Exception as error:  # Optuna passes on whatever its storages raise
        raise InvalidInput(f"--storage {search.storage}: {error}") from error


def _storage(url: str) -> Any:
    if url.startswith(("redis://", "rediss://", "unix://")):
        storages = importlib.import_module("optuna.storages")
        backends = importlib.import_module("optuna.storages.journal")
        exceptions = importlib.import_module("optuna.exceptions")
        with warnings.catch_warnings():
            # Its interface may change, which the pinned major version sees to.
            warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
            return storages.JournalStorage(backends.JournalRedisBackend(url))
    if url.startswith("sqlite:///"):
        return url
    raise InvalidInput(
        f"--storage {url}: expected sqlite:///FILE for one machine, or redis://HOST:PORT for many"
    )


def search(search: Search, tell: Callable[[Tried], None]) -> int:
    """Try so many more choices; the number of those that came to figures."""
    study = open_study(search)
    if not study.get_trials(deepcopy=False):
        for start in starts(search.prices):
            study.enqueue_trial(start.parameters)
    tried = 0
    with _pool(search.study.processes) as submit:
        waiting: dict[Future[Compared], tuple[Any, Choice]] = {}
        asked = 0
        while asked < search.trials or waiting:
            while asked < search.trials and len(waiting) < search.study.processes:
                trial = study.ask()
                choice = Choice.drawn(trial, search.prices)
                waiting[submit(search.study, choice.book())] = (trial, choice)
                asked += 1
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for each in sorted(done, key=lambda future: waiting[future][0].number):
                trial, choice = waiting.pop(each)
                figures = each.result()
                tried += _told(study, trial, figures)
                tell(Tried(trial.number, choice, figures))
    return tried


def _told(study: Any, trial: Any, figures: Compared) -> int:
    """A choice under which jobs did not end is no choice."""
    if figures.metrics["unfinished"].mean:
        optuna = importlib.import_module("optuna")
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return 0
    trial.set_user_attr("figures", {key: value.mean for key, value in figures.metrics.items()})
    study.tell(trial, [figures.metrics[key].mean for key in OBJECTIVES])
    return 1


def tries(study: Any, prices: Mapping[str, float]) -> list[tuple[Choice, dict[str, float]]]:
    """Every choice that came to figures, whoever tried it, in the order of their numbers."""
    return [
        (Choice.drawn(_Recorded(trial.params), prices), dict(trial.user_attrs["figures"]))
        for trial in study.get_trials(deepcopy=False)
        if trial.values is not None and "figures" in trial.user_attrs
    ]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A trial of the past, drawn from again."""

    parameters: dict[str, Any]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        del low, high, log
        return float(self.parameters[name])

    def suggest_categorical(self, name: str, choices: tuple[str, ...]) -> str:
        return str(self.parameters.get(name, choices[-1]))


def evaluate(study: Study, books: Sequence[tuple[str, PolicyBook]]) -> list[Compared]:
    """The figures of some policies on the search's workload, in their order."""
    with _pool(study.processes) as submit:
        futures = [submit(study, book, name) for name, book in books]
        return [future.result() for future in futures]


@contextmanager
def _pool(processes: int) -> Iterator[Callable[..., Future[Compared]]]:
    if processes == 1:
        yield _at_once
        return
    with workers(processes) as submit:
        yield lambda *arguments: submit(simulated, *arguments)


def _at_once(*arguments: Any) -> Future[Compared]:
    future: Future[Compared] = Future()
    future.set_result(simulated(*arguments))
    return future


def simulated(study: Study, book: PolicyBook, name: str = "tuned") -> Compared:
    """One policy on every seed, in this process."""
    alone = replace(study, policies=((name, book),), processes=1, kept=len(study.seeds))
    comparison, _ = run(alone, lambda told: None)
    return comparison.policies[0]
