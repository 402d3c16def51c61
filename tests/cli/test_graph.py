"""Drawing graphs, and submitting jobs that depend on one another."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINES: list[dict[str, Any]] = [
    {"id": "b", "task_definition": "etl", "depends_on": [{"job": "a"}]},
    {"id": "a", "task_definition": "etl"},
    {"id": "c", "task_definition": "etl", "depends_on": [{"job": "b"}]},
]


def write(folder: Path, *documents: dict[str, Any]) -> str:
    (folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, documents)))
    return "jobs.jsonl"


def test_a_file_with_a_cycle_is_refused(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """Exit code 2, the cycle on standard error, and nothing in the queue."""
    first = {"id": "a", "task_definition": "etl", "depends_on": [{"job": "c"}]}
    file = write(bare, first, LINES[0], LINES[2])
    for command in (["submit", "--file", file], ["graph", file]):
        answer = cli(*command)
        assert (answer.code, answer.out) == (2, "")
        assert "each for the next: a -> c -> b -> a" in answer.err
    assert json.loads(cli("jobs", "-o", "json").out) == []


def test_a_dependency_that_is_nowhere_is_refused(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """It is named; once the queue has it, the file is taken."""
    file = write(bare, LINES[0])
    answer = cli("submit", "--file", file)
    assert (answer.code, answer.out) == (2, "")
    assert "neither among these jobs nor in the queue: a" in answer.err
    cli("submit", "etl", "--id", "a")
    assert cli("submit", "--file", file).out == "1 accepted, 0 duplicate, 0 conflict\n"


def test_a_single_job_with_dependencies(cli: Callable[..., Any], queue_name: str) -> None:
    """--depends-on names them, with a type in front where one is wanted."""
    cli("submit", "etl", "--id", "c", "--depends-on", "a", "--depends-on", "afterany:b:1")
    record = json.loads(cli("job", "c", "-o", "json").out)
    assert record["state"] == "PENDING"
    assert record["job"]["depends_on"] == [{"job": "a"}, {"job": "b:1", "type": "afterany"}]
    answer = cli("submit", "etl", "--id", "a", "--depends-on", "c")
    assert answer.code == 1
    assert "it would wait for itself: a -> c -> a" in answer.err


def test_a_single_array_with_dependencies(cli: Callable[..., Any], queue_name: str) -> None:
    """Those that only arrays have are no ids of jobs that never come."""
    cli("submit", "etl", "--id", "a", "--array-size", "3", "--depends-on", "SEQUENTIAL")
    cli("submit", "etl", "--id", "b", "--array-size", "3", "--depends-on", "N_TO_N:a")
    depends_on = [
        json.loads(cli("job", each, "-o", "json").out)["job"]["depends_on"] for each in ("a", "b")
    ]
    assert depends_on == [[{"type": "SEQUENTIAL"}], [{"job": "a", "type": "N_TO_N"}]]
    answer = cli("submit", "etl", "--depends-on", "N_TO_N:a")
    assert (answer.code, "array_size" in answer.err) == (2, True)
    follower = ("submit", "etl", "--id", "c", "--array-size", "4", "--depends-on", "N_TO_N:a")
    answer = cli(*follower)
    refusal = "--depends-on: N_TO_N: a has 3 children, not 4; nothing was submitted"
    assert (answer.code, refusal in answer.err) == (1, True)
    assert cli("job", "c").code == 1


def test_the_longest_way_is_boosted(cli: Callable[..., Any], queue_name: str, bare: Path) -> None:
    """--boost-critical raises the jobs that decide when the last one ends."""
    file = write(bare, *LINES, {"id": "short", "task_definition": "etl"})
    cli("submit", "--file", file, "--boost-critical", "7")
    found = {each["id"]: each["priority"] for each in json.loads(cli("jobs", "-o", "json").out)}
    assert found == {"a": 7, "b": 7, "c": 7, "short": 0}
    for boost in ("-1", "1001"):
        answer = cli("submit", "--file", file, "--boost-critical", boost)
        assert (answer.code, "--boost-critical" in answer.err) == (2, True)


def test_an_svg_picture(cli: Callable[..., Any], queue_name: str, bare: Path) -> None:
    """A box a job, a line a dependency."""
    assert cli("graph", write(bare, *LINES), "--svg", "g.svg").code == 0
    root = ET.parse(bare / "g.svg").getroot()
    assert len(root.findall("{*}g")) == 3
    assert len(root.findall("{*}path")) == 2
    assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")] == ["a", "b", "c"]


def test_a_job_of_the_queue_as_json(cli: Callable[..., Any], queue_name: str, bare: Path) -> None:
    """Its layers, with what is not in the queue as jobs without a state."""
    cli("submit", "etl", "--id", "b", "--depends-on", "nowhere")
    layers = json.loads(cli("graph", "b", "-o", "json").out)
    assert [[(each["id"], each["state"]) for each in layer] for layer in layers] == [
        [("nowhere", None)],
        [("b", "PENDING")],
    ]


@pytest.mark.parametrize("what", ["no-such-job", "no such file"])
def test_neither_file_nor_job(cli: Callable[..., Any], queue_name: str, what: str) -> None:
    """Exit code 1, and nothing drawn."""
    answer = cli("graph", what)
    assert (answer.code, answer.out) == (1, "")
    assert f"no job '{what}'" in answer.err
