"""The console examples of docs/simulate.md are played as they stand; `…` stands for anything."""

import re
import shlex
from pathlib import Path

import pytest

from ecs_scheduler.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (\d+)\..*?$|```console\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


def examples() -> list[object]:
    found: list[object] = []
    section = ""
    for heading, block in BLOCKS:
        section = heading or section
        if block:
            found.append(pytest.param(block, id=f"section {section}"))
    return found


@pytest.mark.parametrize("block", examples())
def test_an_example_of_the_page_prints_what_it_shows(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Commands run in an empty folder; `cat` writes the file that it shows."""
    monkeypatch.chdir(tmp_path)
    for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = example.partition("\n")
        words = shlex.split(command)
        if words[0] == "cat":
            Path(words[1]).write_text(expected)
            continue
        processes = ["--processes", "1"] if words[1] in ("simulate", "tune") else []
        assert main([*words[1:], *processes]) == 0
        printed = capsys.readouterr().out
        for line in expected.splitlines():
            pattern = ".*".join(re.escape(part) for part in line.split("…"))
            assert re.search(f"^{pattern}", printed, re.MULTILINE), printed
