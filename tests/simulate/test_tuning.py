"""`ecs-scheduler tune`: the space, the choice, and a search that goes on where it was stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecs_placement.policy import DEFAULT_POLICY
from ecs_queue.embedded import EmbeddedValkey
from ecs_scheduler.cli import main
from ecs_scheduler.policies.reading import book_of, read_book
from ecs_scheduler.simulate.compare import Compared, Interval
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.study import Study
from ecs_scheduler.simulate.workload import Wanted
from ecs_scheduler.simulate_tuning.choosing import chosen, front
from ecs_scheduler.simulate_tuning.report import signed
from ecs_scheduler.simulate_tuning.search import Search, Tried, open_study, search, tries
from ecs_scheduler.simulate_tuning.space import DEFAULT_CHOICE, Choice, starts
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document

TINY = Study((), Wanted(jobs=12, instances=3), (1,), Prices(), 20.0, processes=1)


def searched(storage: str, trials: int) -> list[Tried]:
    told: list[Tried] = []
    search(Search(TINY, "s", storage, trials, sampler_seed=1), told.append)
    return told


def figures(cost: float, wait: float, packed: float) -> dict[str, float]:
    return {"cost": cost, "wait_mean_s": wait, "cpu_packed": packed}


def test_the_default_choice_is_the_default_policy() -> None:
    """A search begins at what holds when nothing is said."""
    assert DEFAULT_CHOICE.book().named("tuned").placement == DEFAULT_POLICY


def test_a_part_is_the_same_choice_without_it() -> None:
    """Parts are what makes a choice differ; the last score term cannot be taken away."""
    plain = Choice(DEFAULT_CHOICE.weights, DEFAULT_CHOICE.terms, "fill", "fast")
    assert list(plain.parts()) == []
    rich = Choice(
        {"cpu": 2.0, "memory": 1.0, "gpu": 1.0},
        {"best_fit": 1.0, "warm": 0.0} | {"consolidate": 0.5},
        "open",
        "auto",
        8,
    )
    parts = dict(rich.parts())
    assert list(parts) == [
        "objective = open",
        "opens_for = 8",
        "the thorough gear",
        "score term best_fit (1)",
        "score term consolidate (0.5)",
        "weights of the dimensions",
    ]
    assert parts["score term consolidate (0.5)"].terms["consolidate"] == 0.0
    assert parts["objective = open"].objective == "fill"


FEW = {"best_fit": 1.0}
OTHER_WISHES = {"best_fit": 1.0, "spread": 0.5}
DEAR = {"spread": 0.5, "open_cost": 1.0}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (replace(DEFAULT_CHOICE, terms=FEW), {"opens_for", "gear", "prices"}),
        (replace(DEFAULT_CHOICE, terms=OTHER_WISHES), {"opens_for", "prices"}),
        (replace(DEFAULT_CHOICE, terms=FEW, objective="fill"), {"gear", "prices"}),
        (replace(DEFAULT_CHOICE, terms=FEW, objective="fill", gear="fast"), {"gear"}),
        (replace(DEFAULT_CHOICE, terms=OTHER_WISHES, objective="fill"), set()),
        (replace(DEFAULT_CHOICE, terms=DEAR, objective="fill"), {"prices"}),
    ],
)
def test_a_file_holds_what_has_an_effect(choice: Choice, said: set[str]) -> None:
    """Nothing of how instances are opened where the score alone decides, of a gear that may not
    choose against the score's wishes, nor of prices that nobody looks at; nor are these parts."""
    choice = replace(choice, opens_for=7, prices={"m5.xlarge": 0.192})
    text = choice.text("x")
    assert {each for each in ("opens_for", "gear", "prices") if each in text} == said
    parts = {"opens_for = 7": "opens_for", "prices of the instance types": "prices"}
    parts["the thorough gear"] = "gear"
    told = {parts[name] for name, _ in choice.parts() if name in parts}
    assert told == said - ({"gear"} if choice.gear == "fast" else set())


def test_a_file_can_be_read_whatever_the_trace_is_called() -> None:
    """What the policy is for names it, and a name may hold what TOML escapes."""
    about = r'on trace a\q""".jsonl'
    written = book_of(DEFAULT_CHOICE.text(about), "a file").get("tuned")
    tried = DEFAULT_CHOICE.book().get("tuned")
    assert written is not None
    assert tried is not None
    assert written.about == about
    assert written == replace(tried, about=about)


def test_the_front_holds_what_nothing_beats_in_every_respect() -> None:
    """The second is beaten by the first; the third is dearer and quicker; the fourth is a twin."""
    tried: list[Any] = [
        (DEFAULT_CHOICE, figures(1.0, 10.0, 50.0)),
        (DEFAULT_CHOICE, figures(2.0, 11.0, 50.0)),
        (DEFAULT_CHOICE, figures(3.0, 5.0, 40.0)),
        (DEFAULT_CHOICE, figures(1.0, 10.0, 50.0)),
    ]
    assert [each[1]["cost"] for each in front(tried)] == [1.0, 3.0]


def test_the_choice_beats_ecs_in_what_is_not_least_too() -> None:
    """Of four, one waits too long; one is cheap, one uses few hours, one beats nobody in cost."""
    metrics = {"wait_median_s": 1.0, "cost": 100.0, "instance_hours": 50.0}
    reference = Compared("ecs", {k: Interval(v, v, v) for k, v in metrics.items()}, (), None)
    tried = [
        (DEFAULT_CHOICE, {"wait_median_s": wait, "cost": cost, "instance_hours": hours})
        for wait, cost, hours in (
            (2.0, 1.0, 1.0),
            (1.0, 80.0, 45.0),
            (1.0, 99.0, 30.0),
            (1.0, 101.0, 9.0),
        )
    ]
    assert chosen(tried, [reference])[1]["instance_hours"] == 30.0
    assert chosen(tried, [reference], "cost")[1]["cost"] == 80.0
    assert chosen(tried[3:], [reference])[1]["cost"] == 101.0  # better than nothing
    assert chosen(tried[:1], [reference])[1]["wait_median_s"] == 2.0


def test_a_policy_that_knows_prices_says_them_in_its_file() -> None:
    """The file is read back as the same policy; without prices it is another part."""
    rich = starts({"m5.xlarge": 0.192, "g5.xlarge": 1.006})[2]
    placement = rich.book().named("tuned").placement
    assert dict(placement.prices.of) == {"m5.xlarge": 0.192, "g5.xlarge": 1.006}
    assert "prices of the instance types" in dict(rich.parts())


def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Two trials, then one more in the same storage: three, numbered on, the default first."""
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    first = searched(storage, 2)
    more = searched(storage, 1)
    assert [each.number for each in (*first, *more)] == [0, 1, 2]
    assert first[0].choice == DEFAULT_CHOICE
    kept = tries(open_study(Search(TINY, "s", storage, 0, sampler_seed=1)), {})
    assert [choice for choice, _ in kept] == [each.choice for each in (*first, *more)]


def test_the_workload_is_read_once_a_search(tmp_path: Path) -> None:
    """Whoever takes the trace away after the first trial is too late to stop the second."""
    trace = tmp_path / "trace.jsonl"
    write_trace([Arrival(0.0, job_document("a", Size(1024, 512), Run(60.0)))], trace)
    study = Study((), Wanted(trace=trace, instances=2), (1, 2), Prices(), 20.0, processes=1)
    told: list[Tried] = []

    def tell(tried: Tried) -> None:
        told.append(tried)
        trace.unlink(missing_ok=True)

    search(Search(study, "s", f"sqlite:///{tmp_path / 'tune.db'}", 2, sampler_seed=1), tell)
    assert [each.number for each in told] == [0, 1]


def test_equal_seeds_try_equal_policies_with_equal_figures(tmp_path: Path) -> None:
    """With one process and from the start, a search is reproducible."""
    one, other = (searched(f"sqlite:///{tmp_path / name}", 2) for name in ("a.db", "b.db"))
    assert [each.choice for each in one] == [each.choice for each in other]
    assert [each.figures.metrics for each in one] == [each.figures.metrics for each in other]


def test_many_machines_join_one_search_through_redis() -> None:
    """Two searches of one name on one Redis see each other's trials."""
    with EmbeddedValkey() as server:
        searched(server.url, 1)
        searched(server.url, 1)
        assert len(tries(open_study(Search(TINY, "s", server.url, 0, sampler_seed=1)), {})) == 2


def test_the_command_writes_a_policy_file_that_can_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is valid, the report stands alone, and the parts are told."""
    monkeypatch.chdir(tmp_path)
    flags = ["--jobs", "12", "--instances", "3", "--seeds", "1", "--processes", "1"]
    flags += ["--judge-seeds", "1"]
    assert main(["tune", *flags, "--trials", "2", "--report", "r.html"]) == 0
    out = capsys.readouterr().out
    assert "instance-hours" in out
    assert "policy: tuned.toml" in out
    assert read_book(Path("tuned.toml")).named("tuned").about.startswith("Found by tuning on 12")
    page = Path("r.html").read_text("utf-8")
    assert "http" not in page
    assert "<svg" in page
    assert "open for 2, auto: best_fit 1" in page


@pytest.mark.parametrize(
    ("value", "text"), [(1247.3, "+1,250"), (-51.46, "-51.5"), (0.0, "+0"), (123456.0, "+123,000")]
)
def test_what_a_part_contributes_is_written_with_three_digits(value: float, text: str) -> None:
    """And never as a power of ten."""
    assert signed(value) == text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--storage", "postgres://x"], "--storage postgres://x: expected sqlite:///FILE"),
        (["--storage", "sqlite:////no/such/folder/t.db"], "--storage sqlite:////no/such/folder"),
        (["--out", "no/folder/t.toml"], "--out: the folder no/folder does not exist"),
        (["--trace", "nowhere.jsonl"], "--trace: nowhere.jsonl"),
        (["--trials", "-1"], "--trials"),
    ],
)
def test_mistakes_are_told_before_the_search(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    """The message names the flag; the exit code is that of usage."""
    monkeypatch.chdir(tmp_path)
    assert main(["tune", *flags]) == 2
    assert message in capsys.readouterr().err
