"""Ctrl-C at any moment: what was played under every policy is compared, and nothing is left."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_scheduler.cli import main
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.study import Played, Study, Told, play_all, side_by_side
from ecs_scheduler.simulate.workload import Wanted

POLICIES = (("one", PolicyBook()), ("other", PolicyBook()))


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stopped_at(policy: str, seed: int) -> tuple[Study, list[Played]]:
    """Two policies on two seeds, stopped when the run of this policy and seed begins."""
    study = Study(POLICIES, Wanted(jobs=12, instances=3), (1, 2), Prices(), 60.0, 1)
    played: list[Played] = []

    def tell(told: Told) -> None:
        if (told.policy, told.seed) == (policy, seed):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        play_all(study, tell, played)
    return study, played


def test_seeds_that_all_policies_have_played_are_compared() -> None:
    """Three of four runs have ended: the second seed lacks one of them."""
    study, played = stopped_at("other", 2)
    comparison = side_by_side(study, played)
    assert [(each.policy, each.seed) for each, _ in played] == [
        ("one", 1),
        ("other", 1),
        ("one", 2),
    ]
    assert comparison is not None
    assert comparison.seeds == (1,)
    assert [len(each.runs) for each in comparison.policies] == [1, 1]


def test_one_policy_alone_is_compared_with_nothing() -> None:
    """Its run has ended, but no other on the same seed."""
    study, played = stopped_at("other", 1)
    assert len(played) == 1
    assert side_by_side(study, played) is None


def test_the_command_says_how_far_it_came_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, as for any program that Ctrl-C ends; no traceback."""
    ctrl_c = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    ctrl_c.start()
    flags = ["--jobs", "100000", "--instances", "10", "--seeds", "1", "--policy", "default"]
    try:
        code = main(["simulate", *flags, "--json", str(tmp_path / "out.json")])
    finally:
        ctrl_c.cancel()
    assert code == 130
    assert capsys.readouterr().err.startswith("ecs-scheduler: stopped")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_search_is_stopped_with_all_its_processes_and_goes_on(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to each of them; none shows a traceback."""
    flags = ["--outline", "--jobs", "12", "--instances", "3", "--seeds", "1", "--processes", "2"]
    entry = (
        "import signal, sys; from ecs_scheduler.cli import main;"
        " signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    command = [sys.executable, "-c", entry, "tune", *flags]
    with subprocess.Popen(
        [*command, "--trials", "10000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as tuning:
        assert tuning.stderr is not None
        assert tuning.stderr.readline().startswith("trial ")
        os.killpg(tuning.pid, signal.SIGINT)
        told = tuning.stderr.read()
    assert tuning.returncode == 130
    assert "Traceback" not in told
    assert told.endswith("what was tried is kept in the storage, where the same command goes on\n")
