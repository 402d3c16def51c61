"""Policy files on the command line: what is wrong is told with its place."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ecs_scheduler.cli.policy import lines_of_trial
from ecs_scheduler.errors import InvalidPolicyFile
from ecs_scheduler.passes.status import TrialStatus
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.policies.reading import book_of, read_book
from ecs_scheduler.policies.trial import Limits


def told(text: str) -> list[str]:
    with pytest.raises(InvalidPolicyFile) as caught:
        book_of(text, "p.toml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "\n[policies.x]\nobjektive = 'open'",
            "p.toml:3: policies.x.objektive: is no field here, expected one of",
        ),
        ("[policies.x]\nobjektive = 'open'", "did you mean objective?"),
        (
            "[policies.x.score]\nbest_fit = 'much'",
            "p.toml:2: policies.x.score.best_fit: expected number, given 'much'",
        ),
        (
            "[policies.x]\nscore = { best_fit = 1,  consolidat = 1 }",
            "p.toml:2: policies.x.score.consolidat: score term 'consolidat' is unknown, expected "
            "one of best_fit, consolidate, open_cost, keep_room, leave_gpus, spread, warm, avoid, "
            "prefer; did you mean consolidate?",
        ),
        (
            "[policies.x]\nchain = [\n  'binpack(memory)',\n  'spred(host)']",
            "p.toml:2: policies.x.chain.1: strategy type 'spred' is unknown, expected one of "
            "binpack, spread, random, score; did you mean spread?",
        ),
        (
            "[policies.x]\nchain = ['random', 'random', 'random', 'random', 'random', 'random']",
            "p.toml:2: policies.x.chain: 6 given, at most 5 are allowed",
        ),
        (
            "[policies.x]\n\nfilters = ['attribute:stack = prod']",
            "p.toml:3: policies.x.filters.0: query, column 17: found '=', expected an operator",
        ),
        (
            "[policies.x]\n[[policies.x.limits]]\nfield = 'instanceId'\n"
            "[[policies.x.limits]]\nfield = 'attribute:zone'\nmost = 0",
            "p.toml:6: policies.x.limits.1.most: expected greater than or equal to 1, given 0",
        ),
        (
            "[policies.x]\nwindows = ['Mon-Fry 10:00-11:00']",
            "p.toml:2: policies.x.windows.0: day 'Fry' is unknown",
        ),
        (
            "[policies.x]\ntimezone = 'Europe/Berln'",
            "p.toml:2: policies.x.timezone: time zone 'Europe/Berln' is unknown here",
        ),
        (
            "[policies.x]\ngear = 'fats'",
            "policies.x.gear: 'fats' is unknown, expected one of auto, fast, thorough; "
            "did you mean fast?",
        ),
        (
            "[policies.bulk]\n[use]\nshares = { 'a-*' = 'bulky' }",
            "p.toml:3: use.shares.a-*: policy 'bulky' is unknown, expected one of bulk, default; "
            "did you mean bulk?",
        ),
        ("[policies.x]\nseed =", "p.toml:2: is not TOML: Invalid value (at end of document)"),
        (
            "[policies.x]\ntimezone = 'Europe/Berln'",
            "or a name such as Europe/Berlin; did you mean Europe/Berlin?",
        ),
        ("[policies.x]\nweights = { cpu = 'abc' }", "policies.x.weights.cpu: expected number"),
        (
            "[policies.x]\nweights = { gpu = inf }",
            "p.toml:2: policies.x.weights.gpu: expected a finite number, given inf",
        ),
        ("[policies.x.score]\nwarm = nan", "p.toml:2: policies.x.score.warm: expected a finite"),
        ("[policies]\nx = 1", "p.toml:2: policies.x: expected table, given 1"),
        ("[policies.a]\n[policies.a]", "p.toml:2: is not TOML, at column 12: Cannot declare"),
        (
            "[policies.'no name!']",
            "p.toml:1: policies.no name!: expected letters, digits, _ . and -, 64 at most",
        ),
        ("x = " + "[" * 20_000, "p.toml: arrays or tables are nested too deeply"),
        (
            "[policies.x]\nfilters = [\n" + "'attribute:a exists',\n" * 5_000 + "'b'\n]",
            "p.toml:2: policies.x.filters.5000: query, column 1: found 'b'",
        ),
        (
            "[policies.x]\nscore = { warm = 0 }",
            "p.toml:1: policies.x: terms: at least one weight must be greater than 0",
        ),
    ],
)
def test_a_complaint_names_file_line_field_and_the_nearest_name(text: str, complaint: str) -> None:
    assert any(complaint in line for line in told(text)), told(text)


def test_every_mistake_is_told_at_once() -> None:
    lines = told("[policies.x]\nobjective = 'opn'\ngear = 'fats'\n[use]\nqueus = {}")
    assert [line.partition(": ")[0] for line in lines] == ["p.toml:2", "p.toml:3", "p.toml:5"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"# caf\xe9\n", "p.toml:1: is not UTF-8: byte 0xe9"),
        (b"#\n" * 150_000, "p.toml: has more than 262144 bytes, expected a file of policies"),
        (None, "p.toml: cannot be read: Is a directory"),
    ],
    ids=["latin-1", "too long", "directory"],
)
def test_what_is_no_file_of_policies(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "p.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidPolicyFile) as caught:
        read_book(path)
    assert str(caught.value).endswith(complaint)


def test_a_byte_order_mark_and_an_empty_file_are_no_mistakes(tmp_path: Path) -> None:
    """Some editors write one; a file that says nothing means the default."""
    for content in (b"", b"\xef\xbb\xbf[policies.default]\n"):
        (tmp_path / "p.toml").write_bytes(content)
        assert read_book(tmp_path / "p.toml") == PolicyBook()


def test_a_file_that_is_not_there(bare: Path, cli: Callable[..., Any]) -> None:
    """Exit code 2, and no traceback."""
    answer = cli("policy", "validate", "none.toml")
    assert answer.code == 2
    assert "none.toml: cannot be read" in answer.err


def test_an_unknown_policy_is_told_by_those_there_are(bare: Path, cli: Callable[..., Any]) -> None:
    (bare / "p.toml").write_text("[policies.bulk]\n")
    answer = cli("policy", "show", "p.toml", "blk")
    assert (answer.code, answer.err) == (
        2,
        "ecs-scheduler: p.toml: there is no policy 'blk'; there are default, bulk\n",
    )
    shown = cli("policy", "show", "p.toml", "--json")
    assert '"bulk": {"version": ' in shown.out
    assert cli("policy", "show", "p.toml", "-o", "json").out == shown.out
    same = cli("policy", "diff", "p.toml", "p.toml")
    assert (same.code, same.out) == (0, "no difference\n")


def test_a_policy_is_shown_by_what_it_says_otherwise_than_the_default(
    bare: Path, cli: Callable[..., Any]
) -> None:
    """And the default by what it does."""
    (bare / "p.toml").write_text('[policies.plain]\nobjective = "fill"\n')
    default, plain = cli("policy", "show", "p.toml").out.split("\n\n")
    assert "fills what is in use, and opens what costs the least a task" in default
    assert plain.splitlines()[1:-1] == ["  objective = fill"]


def test_a_trial_is_told_as_the_page_shows_it() -> None:
    told = TrialStatus(
        candidate="new",
        of="default",
        percent=10.0,
        rolled_back="",
        passes=1800,
        started=(5000, 5000),
        opened=(40, 31),
        moved=210,
        latest=("etl-7: i-0a -> i-0b",),
        jobs=(180, 22),
        wait_s=(4.2, 4.0),
        refused=(0.0, 0.0),
    )
    page = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text("utf-8")
    assert f"```\n{chr(10).join(lines_of_trial(asdict(told)))}\n```" in page
    back = "\n".join(lines_of_trial(asdict(replace(told, rolled_back="too slow"))))
    assert "rolled back: too slow" in back


def test_the_page_s_trial_is_a_policy_file() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text("utf-8")
    text = page.partition("## 7.")[2].partition("```toml\n")[2].partition("```")[0]
    trial = book_of(text, "the page").trial
    assert trial is not None
    assert (trial.candidate, trial.of, trial.percent, trial.limits) == (
        "new",
        "default",
        0,
        Limits(),
    )
