"""The importer of Google's 2019 trace, on small tables with the columns of the real ones."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ecs_queue.document import parse_job
from ecs_simulator.fleet import InstanceGroup
from ecs_simulator.workloads.batch import Run, Size, run_of, size_of
from ecs_simulator.workloads.errors import InvalidTable
from ecs_simulator.workloads.google2019 import (
    AFTER_THE_TRACE_US,
    GoogleReport,
    MachineSize,
    Tables,
    import_google2019,
)
from ecs_simulator.workloads.tables import Imported

MACHINE = MachineSize(cpu_units=65_536, memory_mib=262_144)
SECOND = 1_000_000
SUBMIT, QUEUE, ENABLE, SCHEDULE, EVICT, FAIL, FINISH, KILL = range(8)
UPDATE_RUNNING = 10


def event(second: float, kind: int, **more: Any) -> dict[str, Any]:
    """A row of instance_events as BigQuery exports it: 64-bit integers are strings."""
    return {
        "time": str(int(second * SECOND)),
        "type": str(kind),
        "collection_id": "394029784811",
        "scheduling_class": "1",
        "collection_type": "0",
        "priority": "103",
        "alloc_collection_id": "0",
        "instance_index": "0",
        "machine_id": "0",
        "alloc_instance_index": "-1",
        "resource_request": {"cpus": 0.03125, "memory": 0.015625},
        "constraint": [],
        **more,
    }


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(folder: Path, *events: dict[str, Any], skip: bool = False) -> Imported[GoogleReport]:
    """The import of these instance events alone."""
    table = written(folder / "instance_events.jsonl", list(events))
    return import_google2019(Tables(table), MACHINE, skip_bad_rows=skip)


def test_a_task_instance_becomes_a_job(tmp_path: Path) -> None:
    """It arrives at its SUBMIT and runs from SCHEDULE to FINISH; 1.0 is the stated machine."""
    whole = imported(
        tmp_path,
        event(700, FINISH),
        event(600, SUBMIT),
        event(640, SCHEDULE),
        event(600, ENABLE),
        event(605, SUBMIT, instance_index="1"),
        event(606, SCHEDULE, instance_index="1"),
        event(607, FAIL, instance_index="1"),
    )
    first, second = whole.arrivals
    assert (first.at_s, first.job["id"]) == (0.0, "394029784811-0")
    assert size_of(first.job) == Size(cpu_units=2048, memory_mib=4096)
    assert run_of(first.job) == Run(60)
    assert (second.at_s, run_of(second.job)) == (5.0, Run(1, exit_code=1))
    assert parse_job(json.dumps(first.job)).priority == 103


def test_the_last_run_of_an_evicted_one_counts(tmp_path: Path) -> None:
    """It started twice, needed more the second time, and a KILL ended it."""
    more = {"cpus": 0.0625, "memory": 0.03125}
    whole = imported(
        tmp_path,
        event(0, SUBMIT),
        event(10, SCHEDULE),
        event(20, EVICT),
        event(20, SUBMIT),
        event(30, SCHEDULE, resource_request=more),
        event(95, KILL, resource_request=more),
    )
    (arrival,) = whole.arrivals
    assert (run_of(arrival.job), size_of(arrival.job)) == (Run(65), Size(4096, 8192))
    report = whole.report
    assert (report.evicted, report.killed, report.failed, report.never_ended) == (1, 1, 0, 0)


def test_what_cannot_be_told_is_counted(tmp_path: Path) -> None:
    """Alloc sets, those that never ran or never said what they need are left out; open ends and
    what is not honoured are noted."""
    whole = imported(
        tmp_path,
        event(0, SUBMIT, collection_type="1", instance_index="1"),
        event(0, SCHEDULE, collection_type="1", instance_index="1"),
        event(0, SUBMIT, instance_index="2"),
        event(9, KILL, instance_index="2"),
        event(0, SCHEDULE, instance_index="3", resource_request=None),
        event(1, SUBMIT, instance_index="4", alloc_collection_id="77"),
        event(2, SCHEDULE, instance_index="4", constraint=[{"name": "x", "relation": 1}]),
        {**event(0, FINISH, instance_index="4"), "time": str(AFTER_THE_TRACE_US)},
        event(5, SUBMIT, instance_index="5", resource_request={"cpus": 1.5}),
        event(6, SCHEDULE, instance_index="5", resource_request={"cpus": 1.5}),
        event(50, FINISH, instance_index="5", resource_request=None),
    )
    report = whole.report
    assert (report.alloc_instances, report.never_ran, report.without_request) == (1, 1, 1)
    assert (report.jobs, report.in_allocs, report.constrained, report.never_ended) == (2, 1, 1, 1)
    assert report.fit_nowhere == 1
    assert run_of(whole.arrivals[0].job) == Run(48)


def test_collections_and_machines_say_more(tmp_path: Path) -> None:
    """Users become shares, one a machine becomes distinctInstance; machines that are still there
    become the fleet."""
    collections: list[dict[str, Any]] = [
        {
            "time": "0",
            "type": 0,
            "collection_id": "394029784811",
            "user": "Ng+/k3Q=",
            "max_per_machine": 1,
            "start_after_collection_ids": ["12"],
        }
    ]
    small = {"cpus": 0.5, "memory": 0.25}
    machines: list[dict[str, Any]] = [
        {"time": "0", "machine_id": "1", "type": 1, "capacity": {"cpus": 1.0, "memory": 1.0}},
        {"time": "0", "machine_id": "2", "type": 1, "capacity": small},
        {"time": "0", "machine_id": "3", "type": "ADD", "capacity": small},
        {"time": "9", "machine_id": "3", "type": "REMOVE", "capacity": None},
    ]
    tables = Tables(
        written(tmp_path / "i.jsonl", [event(0, SUBMIT), event(1, SCHEDULE), event(3, FINISH)]),
        written(tmp_path / "c.jsonl", collections),
        written(tmp_path / "m.jsonl", machines),
    )
    whole = import_google2019(tables, MACHINE)
    (arrival,) = whole.arrivals
    job = parse_job(json.dumps(arrival.job))
    assert job.share == "Ng-_k3Q."
    assert job.group == "collection:394029784811"
    assert [one.type for one in job.placement_constraints] == ["distinctInstance"]
    assert whole.fleet == (
        InstanceGroup(
            instance_type="google-64c-256g", count=1, cpu_units=65_536, memory_mib=262_144
        ),
        InstanceGroup(instance_type="google-32c-64g", count=1, cpu_units=32_768, memory_mib=65_536),
    )
    assert whole.report.headline() == "1 task instances became jobs on 2 instances"
    assert (whole.report.dependent, whole.report.fit_nowhere) == (1, 0)


@pytest.mark.parametrize("joint", [".", "_"])
def test_csv_exports_say_the_same(tmp_path: Path, joint: str) -> None:
    """Nested columns are written with dots or underscores, and events by their names."""
    file = tmp_path / "instance_events.csv"
    header = ["time", "type", "collection_id", "instance_index", "priority", "collection_type"]
    header += [f"resource_request{joint}cpus", f"resource_request{joint}memory"]
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(header)
        for second, kind in ((0, "SUBMIT"), (4, "schedule"), (10, "FINISH")):
            table.writerow([second * SECOND, kind, 7, 3, 200, "", 0.5, 0.25])
    (arrival,) = import_google2019(Tables(file), MACHINE).arrivals
    assert (arrival.job["id"], run_of(arrival.job)) == ("7-3", Run(6))
    assert size_of(arrival.job) == Size(32_768, 65_536)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"time": "-1"}, "time: expected a whole number, 0 or more; it is '-1'"),
        ({"type": "11"}, "type: expected 0 to 10 or SUBMIT, QUEUE"),
        ({"type": None}, "type: expected 0 to 10"),
        ({"collection_type": "POD"}, "collection_type: expected 0 to 1 or JOB, ALLOC_SET"),
        ({"priority": "1001"}, "priority: expected 1000 at most; it is 1001"),
        ({"instance_index": "first"}, "instance_index: expected a whole number"),
        ({"resource_request": {"cpus": "much", "memory": 0}}, "resource_request_cpus: expected a"),
    ],
)
def test_bad_rows_are_refused_or_skipped(tmp_path: Path, bad: dict[str, Any], problem: str) -> None:
    """File, line, column and what is wrong; without it the import goes on, and says so."""
    events = [event(0, SUBMIT), event(1, SCHEDULE), {**event(2, FINISH), **bad}]
    with pytest.raises(InvalidTable) as caught:
        imported(tmp_path, *events)
    assert f"instance_events.jsonl:3: {problem}" in str(caught.value)
    skipped = imported(tmp_path, *events, skip=True)
    assert (skipped.report.jobs, len(skipped.report.bad_rows)) == (1, 1)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "instance_events.jsonl: no events in it"),
        ([event(0, SUBMIT)], "no task instance of it ever ran"),
    ],
)
def test_tables_without_work_are_refused(
    tmp_path: Path, events: list[dict[str, Any]], message: str
) -> None:
    """In words."""
    with pytest.raises(InvalidTable) as caught:
        imported(tmp_path, *events)
    assert message in str(caught.value)
