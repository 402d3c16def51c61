"""docs/simulator.md names tests that exist, every story that moto is told, and files that load."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from ecs_simulator import FaultOptions, Undocumented, faults_from, load_fleet
from ecs_simulator.operations import OPERATIONS

from .test_moto import ROWS

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "simulator.md").read_text("utf-8")
WALK_THROUGH = (HERE.parents[1] / "docs" / "walk-through.md").read_text("utf-8")


def defined() -> set[str]:
    sources = (file.read_text("utf-8") for file in HERE.glob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^def (\w+)\(", source, re.M)}


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TEXT.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_every_test_named_exists() -> None:
    """In the tables' test column, and nothing is left without a test."""
    known = defined()
    behaviours = [row for row in rows() if len(row) == 4 and row[0] != "behaviour"]
    switches = [row for row in rows() if len(row) == 3 and row[0] != "question"]
    assert len(behaviours) > 40
    for row in (*behaviours, *switches):
        named = re.findall(r"`(\w+)`", row[2])
        assert named, row
        assert set(named) <= known, row


def test_every_story_told_to_moto_is_listed() -> None:
    """Rows of test_moto.py are rows of the table, marked."""
    marked = " ".join(row[2] for row in rows() if len(row) == 4 and row[2].startswith("✦"))
    assert {row[0].__name__ for row in ROWS} <= set(re.findall(r"`(\w+)`", marked))


def test_every_undocumented_switch_is_listed() -> None:
    """One row for each field, except the size of RunTask's failures."""
    switches = [row for row in rows() if len(row) == 3 and row[0] != "question"]
    assert len(switches) == len(fields(Undocumented)) - 1


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
