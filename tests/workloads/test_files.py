"""Trace and fleet files, and the jobs inside: written, read back, and refused when wrong."""

import json
from pathlib import Path

import pytest

from ecs_queue.document import parse_job
from ecs_simulator.fleet import InstanceGroup, load_fleet
from ecs_simulator.workloads.arrivals import Arrival, iter_trace, read_trace, write_trace
from ecs_simulator.workloads.batch import (
    Run,
    Size,
    job_document,
    run_of,
    size_of,
    task_definition_document,
    with_run,
)
from ecs_simulator.workloads.errors import InvalidTrace, UnreadableFile
from ecs_simulator.workloads.generate import generate
from ecs_simulator.workloads.groups import write_fleet
from ecs_simulator.workloads.mixes import MIXES, Mix


@pytest.mark.parametrize("mix", MIXES.values(), ids=lambda mix: mix.name)
def test_generated_jobs_are_valid_jobs(mix: Mix) -> None:
    """The queue takes every document as it is."""
    for arrival in generate(1, 100, mix):
        assert parse_job(json.dumps(arrival.job)).id == arrival.job["id"]


@pytest.mark.parametrize("run", [Run(5), Run(12.5), Run(12_537_496), Run(0), Run(5, 3)])
def test_a_job_document_says_its_size_and_run(run: Run) -> None:
    """What went into a document can be read from it, and the run can be exchanged."""
    size = Size(2048, 4096, gpus=2)
    document = job_document("a", size, run, priority=5)
    assert (size_of(document), run_of(document), document["priority"]) == (size, run, 5)
    assert run_of(with_run(document, Run(1, 1))) == Run(1, 1)
    assert run_of(document) == run


@pytest.mark.parametrize(
    "job",
    [
        {"id": "a", "task_definition": "batch"},
        {"overrides": {"containerOverrides": []}},
        {"overrides": {"containerOverrides": [{"name": "main", "command": ["python"]}]}},
        {"overrides": {"containerOverrides": [{"name": "main", "command": ["sleep", "long"]}]}},
        {"overrides": {"containerOverrides": [{"command": ["sh", "-c", "sleep 5; exit x"]}]}},
        {"overrides": {"containerOverrides": [{"command": ["sh", "-c", "echo 'open"]}]}},
    ],
)
def test_any_other_command_has_no_known_run(job: dict[str, object]) -> None:
    """Documents from elsewhere are no error here."""
    assert run_of(job) is None


def test_the_task_definition_leaves_sizes_to_the_overrides() -> None:
    """A task-level size or a memory reservation would decide what ECS reserves."""
    document = task_definition_document()
    assert not {"cpu", "memory"} & document.keys()
    (container,) = document["containerDefinitions"]
    assert "memoryReservation" not in container


def test_a_trace_is_read_back_in_order(tmp_path: Path) -> None:
    """Whatever order it was written in, a trace is read earliest first."""
    late, early = Arrival(9.5, {"id": "late"}), Arrival(0.0, {"id": "early"})
    write_trace([late, early], tmp_path / "trace.jsonl")
    assert read_trace(tmp_path / "trace.jsonl") == (early, late)
    assert tuple(iter_trace(tmp_path / "trace.jsonl")) == (early, late)
    lines = (tmp_path / "trace.jsonl").read_text().splitlines()
    (tmp_path / "turned.jsonl").write_text("\n".join(reversed(lines)))
    assert tuple(iter_trace(tmp_path / "turned.jsonl")) == (early, late)


BAD_LINES = {
    "{": "not JSON: Expecting property name enclosed in double quotes at column 2",
    "[]": 'expected an object with exactly the members "at_s" and "job"',
    '{"at_s": 1}': 'expected an object with exactly the members "at_s" and "job"',
    '{"at_s": 1, "job": {}, "x": 1}': "expected an object with exactly",
    '{"at_s": "1", "job": {}}': "at_s: expected seconds, 0 or more; it is '1'",
    '{"at_s": true, "job": {}}': "at_s: expected seconds, 0 or more; it is True",
    '{"at_s": -1, "job": {}}': "at_s: expected seconds, 0 or more; it is -1",
    '{"at_s": NaN, "job": {}}': "at_s: expected seconds, 0 or more; it is nan",
    '{"at_s": 1, "job": 5}': "job: expected an object; it is int",
    "[" * 100_000: "nested too deeply",
}


@pytest.mark.parametrize(("line", "problem"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str, problem: str) -> None:
    """The message names file, line and what was expected."""
    path = tmp_path / "trace.jsonl"
    path.write_text('{"at_s": 0, "job": {}}\n\n' + line + "\n")
    with pytest.raises(InvalidTrace) as refused:
        read_trace(path)
    assert str(refused.value).startswith(f"{path}:3: {problem}")


def test_unreadable_traces_are_named(tmp_path: Path) -> None:
    """A missing file and one that is not text are told apart from bad lines."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary"):
        with pytest.raises(UnreadableFile, match=name):
            read_trace(tmp_path / name)


def test_a_fleet_is_read_back(tmp_path: Path) -> None:
    """What the importer writes, the simulated ECS's own loader reads."""
    fleet = (
        InstanceGroup(count=3, instance_type="m5.large"),
        InstanceGroup(
            count=2,
            instance_type="openb-96c-384g-8g",
            cpu_units=98304,
            memory_mib=393216,
            gpus=8,
            attributes={"gpu-model": "G2"},
        ),
    )
    write_fleet(fleet, tmp_path / "fleet.jsonl")
    assert load_fleet(tmp_path / "fleet.jsonl") == fleet
    first = (tmp_path / "fleet.jsonl").read_text().splitlines()[0]
    assert first == '{"count":3,"instance_type":"m5.large"}'
