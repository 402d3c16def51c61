"""`ecs-scheduler trace` from its flags to its files, messages and exit codes."""

from pathlib import Path

import pytest

from ecs_scheduler.cli import main
from ecs_simulator.fleet import load_fleet
from ecs_simulator.workloads.arrivals import read_trace

PODS = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
whole,1000,512,1,1000,,LS,Running,0,9,0
share,1000,512,1,500,,LS,Failed,5,9,
"""
HEADER_ONLY = PODS.splitlines()[0].encode() + b"\n"
NODES = "sn,cpu_milli,memory_mib,gpu,model\nnode-0,8000,32768,2,T4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pods.csv").write_text(PODS)
    (tmp_path / "nodes.csv").write_text(NODES)
    return tmp_path


def import_openb(folder: Path, *more: str) -> int:
    tables = ["--pods", str(folder / "pods.csv"), "--nodes", str(folder / "nodes.csv")]
    outputs = ["--out-trace", str(folder / "t.jsonl"), "--out-fleet", str(folder / "f.jsonl")]
    return main(["trace", "import", "--format", "openb", *tables, *outputs, *more])


def test_import_writes_both_files_and_says_what_it_did(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what happened is told; the files can be read back."""
    assert import_openb(folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 pods became 2 jobs on 1 instances",
        "  1 asked for a share of a GPU and were given a whole GPU each",
        "  1 failed in the trace: their jobs exit with 1",
        "  1 never got a node: they run for as long as they waited for one",
    ]
    jobs = [arrival.job["id"] for arrival in read_trace(folder / "t.jsonl")]
    assert jobs == ["whole", "share"]
    assert load_fleet(folder / "f.jsonl")[0].attributes == {"gpu-model": "T4"}


def test_shares_of_gpus_can_be_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The choice and its extent are told."""
    assert import_openb(folder, "--gpu-shares", "drop") == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 pods became 1 jobs on 1 instances",
        "  1 asked for a share of a GPU and were left out",
    ]


def test_bad_rows_are_refused_unless_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and file, line and field; or the import without them, and a list of them."""
    with (folder / "pods.csv").open("a") as file:
        file.write("bad,1000,much,0,0,,BE,Running,0,9,0\n")
    problem = f"{folder}/pods.csv:4: memory_mib: expected a whole number, 0 or more; it is 'much'"
    assert import_openb(folder) == 2
    assert problem in capsys.readouterr().err
    assert import_openb(folder, "--skip-bad-rows") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  1 bad rows were skipped:",
        f"    {problem}",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "pods.csv: No such file or directory"),
        (b"\xff\xfe\x00", "pods.csv: is not UTF-8 text"),
        (HEADER_ONLY, "pods.csv: no pods in it"),
    ],
)
def test_tables_that_hold_nothing_are_refused(
    folder: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, in words, and no trace is written."""
    (folder / "pods.csv").unlink()
    if content is not None:
        (folder / "pods.csv").write_bytes(content)
    assert import_openb(folder) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Errno" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "--format", "csv"], 'Invalid value "csv" for --format'),
        (["generate", "--jobs", "0", "--out-trace", "t"], 'Invalid value "0" for --jobs'),
        (["generate"], "--out-trace"),
        (["generate", "--out-trace", "missing/folder/t"], "missing/folder/t: No such file"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the flag or the file; nothing is a traceback."""
    assert main(["trace", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_generate_writes_what_the_demo_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many jobs and instances as asked for, the same again for the same seed."""
    texts = []
    for name in ("a", "b"):
        trace, fleet = tmp_path / f"{name}.trace", tmp_path / f"{name}.fleet"
        arguments = ["--jobs", "30", "--instances", "7", "--seed", "5", "--mix", "openb"]
        outputs = ["--out-trace", str(trace), "--out-fleet", str(fleet)]
        assert main(["trace", "generate", *arguments, *outputs]) == 0
        assert capsys.readouterr().out.startswith("30 jobs over ")
        assert len(read_trace(trace)) == 30
        assert sum(group.count for group in load_fleet(fleet)) == 7
        texts.append(trace.read_text() + fleet.read_text())
    assert texts[0] == texts[1]
