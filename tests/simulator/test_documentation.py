"""docs/simulator.md names tests that exist, every story that moto is told, and files that load."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from ecs_simulator import FaultOptions, Undocumented, faults_from, load_fleet
from ecs_simulator.operations import OPERATIONS

from .test_moto import ROWS
from .test_moto_refusals import ROWS as MORE_ROWS

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "simulator.md").read_text("utf-8")


def defined() -> set[str]:
    sources = (file.read_text("utf-8") for file in HERE.glob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^def (\w+)\(", source, re.M)}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = TEXT.partition(f"# {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


BEHAVIOURS = rows("What it does, where that is written, and what moto does")
SWITCHES = rows("What AWS does not say")


def test_every_test_named_exists() -> None:
    """In the tables' test column, and nothing is left without a test."""
    known = defined()
    assert len(BEHAVIOURS) > 40
    for row in (*BEHAVIOURS, *SWITCHES):
        named = re.findall(r"`(\w+)`", row[2])
        assert named, row
        assert set(named) <= known, row


def test_every_story_told_to_moto_is_listed() -> None:
    """Rows of test_moto.py and test_moto_refusals.py are rows of the table, marked."""
    marked = " ".join(row[2] for row in BEHAVIOURS if row[2].startswith("✦"))
    assert {row[0].__name__ for row in (*ROWS, *MORE_ROWS)} <= set(re.findall(r"`(\w+)`", marked))


def test_every_undocumented_switch_is_listed() -> None:
    """One row for each field, except the size of RunTask's failures, and two elsewhere."""
    elsewhere = [row for row in SWITCHES if row[1].startswith("`Options.")]
    assert len(elsewhere) == 2
    assert len(SWITCHES) == len(fields(Undocumented)) - 1 + len(elsewhere)


def test_examples_of_files_load(tmp_path: Path) -> None:
    """The fleet and the faults shown are accepted as they stand; every fault is mentioned."""
    fleet, faults = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    file = tmp_path / "fleet.toml"
    file.write_text(fleet)
    assert [group.count for group in load_fleet(file)] == [200, 4]
    assert faults_from(tomllib.loads(faults), "docs").slow.from_s == 60
    assert [item.name for item in fields(FaultOptions) if item.name not in faults] == []


def test_the_in_process_example_runs() -> None:
    """The Python block does what it says."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    results: list[object] = []
    code = code.replace("run_virtual(main)", "results.append(run_virtual(main))")
    exec(compile(code, "docs/simulator.md", "exec"), {"results": results})
    assert len(results) == 1
    assert len(OPERATIONS) == 30
