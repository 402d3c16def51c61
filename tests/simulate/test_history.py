"""The files of a recording: rotated by day, forgiving a cut last line, strict about the rest."""

from pathlib import Path

import pytest

from ecs_scheduler.cli import main
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.recording.history import EndedJob, Folder, Group, UnreadableHistory
from ecs_scheduler.simulate.history import arrivals, span_s

DAY = 86_400.0
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def ended(name: str, submitted_at_s: float, run_s: float = 10.0) -> EndedJob:
    return EndedJob(name, submitted_at_s + run_s, submitted_at_s, run_s, 0, 256, 512, 0)


def test_a_file_a_day_old_ones_compressed_and_the_oldest_removed(tmp_path: Path) -> None:
    """Three days of which two are kept; what is kept can be read in order."""
    folder = Folder(tmp_path, keep_days=2)
    for day in range(4):
        folder.append([ended(f"j{day}", NOON + day * DAY)], NOON + day * DAY + 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "jobs-20260102.jsonl.gz",
        "jobs-20260103.jsonl.gz",
        "jobs-20260104.jsonl",
    ]
    assert [job.job_id for job in folder.jobs()] == ["j1", "j2", "j3"]
    assert folder.latest() == (NOON + 3 * DAY + 10, frozenset({"j3"}))


def test_a_last_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    """Everything before it is there."""
    folder = Folder(tmp_path)
    folder.append([ended("a", NOON), ended("b", NOON)], NOON + 20)
    path = tmp_path / "jobs-20260101.jsonl"
    path.write_text(path.read_text() + '{"job_id": "c", "end')
    assert [job.job_id for job in folder.jobs()] == ["a", "b"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """Nothing is left out silently."""
    folder = Folder(tmp_path)
    folder.append([ended("a", NOON)], NOON + 20)
    path = tmp_path / "jobs-20260101.jsonl"
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(UnreadableHistory, match=r"jobs-20260101\.jsonl:1: no recorded job"):
        list(folder.jobs())


def test_a_fleet_is_written_down_when_it_changes(tmp_path: Path) -> None:
    """Equal fleets leave one file; the latest one counts."""
    folder = Folder(tmp_path)
    small, large = ([Group(count, "m5.xlarge", 4096, 15_618, 0)] for count in (1, 5))
    assert folder.note_fleet(small, NOON)
    assert not folder.note_fleet(small, NOON + 60)
    assert folder.note_fleet(large, NOON + 120)
    latest = folder.latest_fleet()
    assert latest is not None
    assert latest.name == "fleet-20260101T120200Z.jsonl"


def test_the_last_hours_are_counted_back_from_the_latest_end(tmp_path: Path) -> None:
    """The first job played comes at 0."""
    folder = Folder(tmp_path)
    folder.append([ended(f"j{hour}", NOON + hour * 3600) for hour in range(5)], NOON + 5 * 3600)
    assert [each.at_s for each in arrivals(tmp_path, None)] == [0, 3600, 7200, 10_800, 14_400]
    assert [each.job["id"] for each in arrivals(tmp_path, span_s("last-1.5h"))] == ["j3", "j4"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 604_800), ("last-2w", 1_209_600), ("30m", 1800)]
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "a week", "-1d"])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a span such as 7d, 12h or 30m"):
        span_s(text)


def test_an_empty_history_says_who_writes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of usage."""
    assert main(["simulate", "--history", str(tmp_path)]) == 2
    assert "`ecs-scheduler record` writes them" in capsys.readouterr().err
    assert main(["simulate", "--history", str(tmp_path), "--trace", "t.jsonl"]) == 2
    assert "give --trace or --history, not both" in capsys.readouterr().err
