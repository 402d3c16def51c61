"""Where a simulation's workload comes from: parts of traces, recorded history, the live cluster."""

import json
import time
from pathlib import Path

import pytest

from ecs_scheduler.cli import main
from ecs_scheduler.recording.history import EndedJob, Folder, Group
from ecs_scheduler.simulate.history import named
from ecs_scheduler.simulate.workload import DAY_S, Wanted, prepare
from ecs_simulator.workloads.arrivals import Arrival, write_trace
from ecs_simulator.workloads.batch import Run, Size, job_document


def recorded(days_ago: float, name: str) -> EndedJob:
    end_s = time.time() - days_ago * DAY_S
    return EndedJob(name, end_s, end_s - 40, 30.0, 0, 1024, 512, 0)


def test_the_last_days_of_the_history_on_the_instances_there_are_now(
    cluster: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorded fleet is another; the snapshot comes before it, and the report names it."""
    history = Folder(folder / "history")
    history.append([recorded(20, "old"), recorded(1, "a"), recorded(0.99, "b")], time.time())
    history.note_fleet([Group(9, "c5.xlarge", 4096, 7985, 0)], time.time())
    flags = ["--history", "last-7d", "--snapshot", "live", "--hours", "0.01", "--policy", "default"]
    assert main(["simulate", *flags, "--seeds", "1", "--processes", "1", "--json", "out.json"]) == 0
    found = json.loads(Path("out.json").read_text("utf-8"))
    assert found["workload"].startswith("2 jobs (history of history)")
    assert found["workload"].endswith("on 2 instances that the cluster has now")
    assert found["fleet"] == [{"count": 1, "instance_type": "m5.xlarge"}] * 2
    assert found["price_per_hour"] == {"m5.xlarge": 0.192}


def test_a_history_is_a_folder_or_the_last_of_the_usual_one(folder: Path) -> None:
    """A folder of that name goes first: nobody's recording is hidden by a spelling."""
    assert named("elsewhere", "12h") == (Path("elsewhere"), 12 * 3600.0)
    assert named("last-7d", None) == (Path("history"), 7 * DAY_S)
    (folder / "last-7d").mkdir()
    assert named("last-7d", None) == (Path("last-7d"), None)


def test_a_part_of_a_trace_starts_at_its_own_beginning(folder: Path) -> None:
    """Jobs from day 1 to day 2, the second of which is left out."""
    path = folder / "trace.jsonl"
    write_trace(
        [
            Arrival(day * DAY_S, job_document(f"day-{day}", Size(256, 256), Run(30)))
            for day in (0, 1, 1.5, 2)
        ],
        path,
    )
    part = prepare(Wanted(trace=path, since_s=DAY_S, until_s=2 * DAY_S), 1).submissions
    assert [(each.job_id, each.at_s) for each in part] == [("day-1", 0.0), ("day-1.5", DAY_S / 2)]


def test_looking_less_often_changes_waits_by_about_that_much(folder: Path) -> None:
    """Every job still runs; none waits much longer than two looks on an empty cluster."""
    waits = {}
    for look_s in ("0.2", "4"):
        flags = ["--jobs", "30", "--instances", "30", "--seeds", "1", "--first-seed", "5"]
        flags += ["--policy", "default", "--processes", "1", "--json", "out.json"]
        assert main(["simulate", *flags, "--look-s", look_s]) == 0
        found = json.loads(Path("out.json").read_text("utf-8"))
        assert found["seeds"] == [5]
        (policy,) = found["policies"]
        assert policy["runs"][0]["succeeded"] + policy["runs"][0]["failed"] == 30
        waits[look_s] = policy["metrics"]["wait_median_s"]["mean"]
    assert waits["0.2"] < 1 < waits["4"] < 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--history", "last-7x"], "--history last-7x: expected a span such as 7d"),
        (["--history", "last-7d", "--last", "2d"], "says how much already; leave --last out"),
        (["--fleet", "f.toml", "--snapshot", "live"], "give --fleet or --snapshot, not both"),
        (["--since", "2d"], "--since and --until are for a --trace or a --history"),
        (["--trace", "t.jsonl", "--since", "2"], "--since 2: expected a span such as 7d"),
        (["--trace", "t.jsonl", "--since", "9d"], "the last of 1 comes at 0.00d"),
        (["--snapshot", "dead"], "live"),
    ],
)
def test_what_does_not_go_together_is_said(
    folder: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is played, with the flag that is wrong."""
    write_trace([Arrival(0.0, job_document("a", Size(256, 256), Run(30)))], folder / "t.jsonl")
    assert main(["simulate", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_cluster_that_cannot_be_read_is_named(
    cluster: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of what cannot be reached."""
    monkeypatch.setenv("ECS_SCHEDULER_CLUSTER", "elsewhere")
    assert main(["simulate", "--snapshot", "live"]) == 3
    assert "elsewhere" in capsys.readouterr().err
