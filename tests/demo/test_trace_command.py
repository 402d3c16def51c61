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


def test_an_imported_fleet_can_be_scaled(folder: Path) -> None:
    """So many instances in the proportions of the recorded ones."""
    (folder / "nodes.csv").write_text(NODES + "node-1,4000,8192,0,\n" * 3)
    assert import_openb(folder, "--fleet-of", "8") == 0
    assert sorted(group.count for group in load_fleet(folder / "f.jsonl")) == [2, 6]


def test_a_plain_table_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs as CSV or JSON lines; such a table has no machines, and says so when asked for them."""
    table, out = tmp_path / "jobs.csv", tmp_path / "t.jsonl"
    table.write_text("at_s,run_s,cpu_units,memory_mib,gang\n0,9,1,64,g\n0,9,1,64,g\nx,,,,\n")
    command = ["trace", "import", "--format", "plain", "--table", str(table)]
    command += ["--out-trace", str(out)]
    assert main([*command, "--skip-bad-rows"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 jobs",
        "  1 gangs start together",
        "  1 bad rows were skipped:",
        f"    {table}:4: cpu_units: expected a whole number, 0 or more; it is ''",
    ]
    assert [one.job["gang"]["size"] for one in read_trace(out)] == [2, 2]
    out.unlink()
    assert main([*command, "--skip-bad-rows", "--out-fleet", str(tmp_path / "f.jsonl")]) == 2
    assert "--out-fleet: these tables tell of no machines; leave it out" in capsys.readouterr().err
    assert not out.exists()


def test_google_s_trace_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the machine's size stated; machine_events make the fleet."""
    events, machines = tmp_path / "instance_events.csv", tmp_path / "machine_events.csv"
    events.write_text(
        "time,type,collection_id,instance_index,resource_request.cpus,resource_request.memory\n"
        "600000000,0,1,0,0.5,0.25\n601000000,3,1,0,0.5,0.25\n661000000,6,1,0,0.5,0.25\n"
    )
    machines.write_text("time,machine_id,type,capacity.cpus,capacity.memory\n0,5,1,1.0,0.5\n")
    outputs = ["--out-trace", str(tmp_path / "t.jsonl"), "--out-fleet", str(tmp_path / "f.jsonl")]
    command = ["trace", "import", "--format", "google2019", "--instance-events", str(events)]
    command += ["--machine-events", str(machines), *outputs]
    assert main([*command, "--machine-cpu-units", "65536", "--machine-memory-mib", "262144"]) == 0
    told = capsys.readouterr().out
    assert told == "1 task instances became jobs on 1 instances\n"
    (group,) = load_fleet(tmp_path / "f.jsonl")
    assert (group.cpu_units, group.memory_mib) == (65_536, 131_072)
    assert main([*command, "--machine-cpu-units", "65536"]) == 2
    message = "--machine-memory-mib: is missing; --format google2019 needs it"
    assert message in capsys.readouterr().err


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
        (["import", "--format", "openb", "--out-trace", "t"], "--pods: is missing; --format openb"),
        (["import", "--format", "plain", "--out-trace", "t"], "--table: is missing"),
        (["generate", "--out-trace", "t", "--arrays", "2"], 'Invalid value "2.0" for --arrays'),
        (["generate", "--out-trace", "t", "--arrays", "0.6", "--gangs", "0.6"], "1 together"),
        (["generate", "--out-trace", "t", "--per-hour", "0"], 'Invalid value "0.0" for --per-hour'),
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


@pytest.mark.parametrize("arrivals", ["poisson", "diurnal", "bursts"])
def test_generate_shapes_the_workload(
    arrivals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arrays and gangs are counted, and the same seed writes the same file."""
    texts = []
    for name in ("a", "b"):
        out = tmp_path / name
        shape = ["--arrivals", arrivals, "--runs", "heavy-tailed", "--arrays", "0.4"]
        command = ["trace", "generate", "--jobs", "200", *shape, "--gangs", "0.4"]
        assert main([*command, "--out-trace", str(out)]) == 0
        first, *more = capsys.readouterr().out.splitlines()
        assert first.startswith("200 jobs over ")
        assert [line.rpartition(" ")[2] for line in more] == ["arrays", "gangs"]
        texts.append(out.read_text())
    assert texts[0] == texts[1]


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
