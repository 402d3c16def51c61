"""docs/policies.md: its commands are run, and print what it says; the gallery is right."""

import json
import re
import shlex
from pathlib import Path

import pytest

from ecs_placement.plan import NOTHING_RESERVED
from ecs_placement.policy import DEFAULT_POLICY, TERM_NAMES
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.several import place_parts
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_scheduler.cli import main
from ecs_scheduler.decisions.coding import Asked
from ecs_scheduler.decisions.log import DecisionLog
from ecs_scheduler.policies.book import NamedPolicy
from ecs_scheduler.policies.document import PolicyTable
from ecs_scheduler.policies.reading import policy_schema, read_book

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
GALLERY = sorted((ROOT / "docs" / "policies").glob("*.toml"))
EXAMPLES = re.findall(
    r"```sh\n(ecs-scheduler (?:policy|decisions|replay) [^\n]+)\n```\n\n```\n(.*?)```",
    PAGE,
    re.DOTALL,
)


def logged(directory: Path) -> None:
    """A log of one decision: four tasks on two instances in two zones."""
    room = (4096, 16384, 0, 3)
    rows = [
        Instance(InstanceId(f"i-{zone}"), room, room, attributes={"ecs.availability-zone": zone})
        for zone in ("us-east-1a", "us-east-1b")
    ]
    shape = Shape(1024, 2048, group="etl")
    requests = tuple(TaskRequest(RequestId(f"etl-{n}"), shape, order=n) for n in range(4))
    asked = (Asked(NamedPolicy("default").label, requests, DEFAULT_POLICY),)
    snapshot = Snapshot.of(rows)
    plan = place_parts([asked[0].part], snapshot)
    log = DecisionLog(directory, "demo", 2**20)
    log.record(snapshot, asked, NOTHING_RESERVED, plan, at_ms=1_795_694_400_000)
    log.close()


@pytest.fixture
def beside_the_docs(bare: Path) -> Path:
    (bare / "docs").symlink_to(ROOT / "docs")
    broken = PAGE.partition("nearest valid name; the exit code")[2]
    logged(bare / "decisions")
    (bare / "broken.toml").write_text(re.findall(r"```toml\n(.*?)```", broken, re.DOTALL)[0])
    return bare


@pytest.mark.usefixtures("beside_the_docs")
@pytest.mark.parametrize(("command", "printed"), EXAMPLES)
def test_the_commands_print_what_the_page_says(
    command: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(shlex.split(command)[1:])
    out, err = capsys.readouterr()
    assert (out + err.removeprefix("ecs-scheduler: ")).strip() == printed.strip()


def test_decisions_are_told_to_programs_too(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -o json an object each, whose numbers are numbers."""
    logged(bare / "decisions")
    assert main(["decisions", "--log", "decisions", "-o", "json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert told.pop("policies") == [NamedPolicy("default").label]
    assert told == {
        "decision": "20261126T120000000-demo.1",
        "at": "2026-11-26T12:00:00Z",
        "start": 4,
        "wait": 0,
        "reject": 0,
    }


def test_no_command_is_left_out() -> None:
    """What is not run above is `run` itself: its policy file is one that it would take."""
    commands = re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)
    left = [each for each in commands if each not in dict(EXAMPLES)]
    assert [each.partition(" --policy-file ")[0] for each in left] == ["ecs-scheduler run"]
    assert read_book(ROOT / left[0].partition(" --policy-file ")[2]).policies
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: str(path.stem))
def test_each_policy_of_the_gallery_says_what_it_is_for(path: Path) -> None:
    """And the page names it."""
    book = read_book(path)
    # A file that names no default has the built-in one beside it, as what `tune` writes does.
    assert all(each.about for each in book.policies if each.name == book.default)
    assert all(each.about for each in book.policies if each.name != "default")
    assert f"policies/{path.name}" in PAGE


def test_the_default_is_what_holds_when_nothing_is_said() -> None:
    said = read_book(ROOT / "docs" / "policies" / "default.toml").named("default")
    assert said.version == PolicyTable().named("default").version
    assert said.placement == DEFAULT_POLICY


def test_the_published_schema_is_the_model_s() -> None:
    published = json.loads((ROOT / "docs" / "policies.schema.json").read_text(encoding="utf-8"))
    assert published == policy_schema()


def test_the_page_names_every_field_and_term() -> None:
    table = PAGE.partition("## 3.")[2].partition("**Who")[0]
    missing = [name for name in (*PolicyTable.model_fields, *TERM_NAMES) if f"`{name}" not in table]
    assert missing == []
