"""The console examples of docs/simulate.md are played as they stand."""

import re
from pathlib import Path

import pytest
from tests.pages import Step, examples, pattern_of

from ecs_scheduler.cli import main


@pytest.mark.parametrize("steps", examples("simulate.md"))
def test_an_example_of_the_page_prints_what_it_shows(
    steps: list[Step],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Commands run in an empty folder; of a long report the page shows some lines."""
    monkeypatch.chdir(tmp_path)
    for step in steps:
        if step.written_to is not None:
            Path(step.written_to).write_text(step.shown)
            continue
        processes = ["--processes", "1"] if step.words[1] in ("simulate", "tune") else []
        assert main([*step.words[1:], *processes]) == 0
        printed = capsys.readouterr().out
        for line in step.shown.splitlines():
            assert re.search(f"^{pattern_of(line)}", printed, re.MULTILINE), printed
