"""Whole traces through the demo: thousands of jobs, checked to the last task."""

from pathlib import Path

import pytest

from ecs_scheduler.cli import main

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "openb"


def play(folder: Path, minutes: str) -> int:
    files = ["--trace", str(folder / "trace.jsonl"), "--fleet", str(folder / "fleet.jsonl")]
    return main(["demo", *files, "--minutes", minutes])


def outputs(folder: Path) -> list[str]:
    return ["--out-trace", str(folder / "trace.jsonl"), "--out-fleet", str(folder / "fleet.jsonl")]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the openb tables are not beside the repository")
def test_the_published_openb_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """8,152 jobs on 1,523 instances: every one ends once, as its container does."""
    tables = [
        *("--pods", str(SHARED / "openb_pod_list_default.csv")),
        *("--nodes", str(SHARED / "openb_node_list_all_node.csv")),
    ]
    assert main(["trace", "import", "--format", "openb", *tables, *outputs(tmp_path)]) == 0
    assert play(tmp_path, "4") == 0
    told = capsys.readouterr().out
    assert "8152 jobs: 6282 SUCCEEDED, 1870 FAILED (1870 were made to fail)" in told
    assert "none lost, none ran twice" in told


@pytest.mark.slow
def test_a_trace_with_its_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 drawn jobs on a tenth of the machines, in half a minute."""
    mix = ["--mix", "openb", "--jobs", "1000", "--instances", "152"]
    assert main(["trace", "generate", *mix, *outputs(tmp_path)]) == 0
    assert play(tmp_path, "0.5") == 0
    assert "none lost, none ran twice" in capsys.readouterr().out
