"""The console examples of docs/simulate.md are played as they stand."""

import re
import shlex
import time
from pathlib import Path

import pytest
from tests.pages import Step, examples, pattern_of

from ecs_scheduler.cli import main
from ecs_scheduler.recording.history import EndedJob, Folder


@pytest.fixture
def week(cluster: None, folder: Path) -> None:
    """What `record` wrote on the days before: six jobs within the last ten minutes."""
    now_s = time.time()
    jobs = [
        EndedJob(f"j{number}", now_s - 500 + number, now_s - 590 + number, 60.0, 0, 1024, 512, 0)
        for number in range(6)
    ]
    Folder(folder / "history").append(jobs, now_s)


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize("steps", examples("simulate.md"))
def test_an_example_of_the_page_prints_what_it_shows(
    steps: list[Step], capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands run in an empty folder; of a long report the page shows some lines."""
    for step in steps:
        if step.written_to is not None:
            Path(step.written_to).write_text(step.shown)
            continue
        processes = ["--processes", "1"] if step.words[1] in ("simulate", "tune") else []
        assert main([*step.words[1:], *processes]) == 0
        printed = capsys.readouterr().out
        for line in step.shown.splitlines():
            assert re.search(f"^{pattern_of(line)}", printed, re.MULTILINE), printed


README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHORTER = {
    "record": ["--looks", "1"],
    "simulate": ["--processes", "1"],
    "tune": ["--processes", "1", "--seeds", "1", "--judge-seeds", "1", "--trials", "1"],
}
"""What is added to the README's commands: they end, and are done in seconds."""


@pytest.mark.usefixtures("week")
def test_the_readme_s_way_to_your_own_figures_can_be_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Recorded, compared and tuned, each by the README's own words; both reports are written."""
    _, _, yours = README.partition("**Yours** is one command away")
    lines = yours.partition("```sh\n")[2].partition("```")[0].splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    assert [words[1] for words in commands] == list(SHORTER)
    for words in commands:
        assert main([*words[1:], *SHORTER[words[1]]]) == 0, capsys.readouterr().err
    assert "instance-hours" in Path("out.html").read_text("utf-8")
    assert "Found by tuning on" in Path("tuned.toml").read_text("utf-8")
    assert Path("tuned.html").stat().st_size > 1000
