"""Submitting files of jobs: all of them valid, or none taken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = '{"id": "a", "task_definition": "etl"}\n'
TRACE = '{"at_s": 3.5, "job": {"id": "b", "task_definition": "etl", "priority": 2}}\n'
BAD = '{"id": "c", "task_definition": "etl", "prioritty": 3}\n'


def test_lines_of_jobs_and_of_traces_are_submitted(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """A line is a job, or a trace's line that holds one; blank lines count but hold none."""
    (bare / "jobs.jsonl").write_text(GOOD + "\n" + TRACE)
    answer = cli("submit", "--file", "jobs.jsonl")
    assert (answer.code, answer.out) == (0, "2 accepted, 0 duplicate, 0 conflict\n")
    assert [line.split()[0] for line in cli("jobs").out.splitlines()] == ["ID", "b", "a"]


@pytest.mark.parametrize("text", [f"[{GOOD}, {GOOD}]", "[\n" + GOOD + "]", GOOD])
def test_a_json_file_is_an_array_or_one_object(
    cli: Callable[..., Any], queue_name: str, bare: Path, text: str
) -> None:
    """A .json file may spread over lines as it likes."""
    (bare / "jobs.json").write_text(text)
    answer = cli("submit", "--file", "jobs.json", "-o", "json")
    assert answer.code == 0
    assert json.loads(answer.out)["accepted"] == 1


def test_standard_input_is_a_file_too(program: Callable[..., Any], queue_name: str) -> None:
    """`--file -` reads a pipe, although a file is read twice."""
    answer = program("submit", "--file", "-", stdin=GOOD + TRACE)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "2 accepted, 0 duplicate, 0 conflict\n"


def test_one_bad_line_keeps_the_whole_file_out(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """Each bad line is reported by number and field, and nothing is submitted."""
    other = '{"id": "a", "task_definition": "other"}\n'
    huge = json.dumps({"task_definition": "etl", "tags": {"k": "x" * 70_000}}) + "\n"
    giant = "x" * 700_000 + "\n"
    (bare / "jobs.jsonl").write_text(GOOD + BAD + "nope\n" + other + huge + giant + TRACE + "7")
    answer = cli("submit", "--file", "jobs.jsonl")
    assert (answer.code, answer.out) == (2, "")
    lines = answer.err.splitlines()
    assert lines[0] == "jobs.jsonl, line 2: prioritty: unknown field; did you mean priority?"
    assert lines[1].startswith("jobs.jsonl, line 3: the document is not JSON: ")
    assert lines[2] == "jobs.jsonl, line 4: id: another document has the id 'a' on line 1"
    assert lines[3].startswith("jobs.jsonl, line 5: the document has 70")
    assert lines[4].startswith("jobs.jsonl, line 6: the document has ")
    assert lines[5].startswith("jobs.jsonl, line 8: a job is a JSON object")
    assert lines[6] == (
        "ecs-scheduler: 6 of 8 jobs are invalid; nothing was submitted. "
        "Correct them, or leave them out with --skip-invalid"
    )
    assert cli("jobs").err == "in all: no jobs\n"


def test_skip_invalid_submits_the_rest(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """What was reported is left out, and nothing else."""
    other = '{"id": "a", "task_definition": "other"}\n'
    (bare / "jobs.jsonl").write_text(GOOD + BAD + other + TRACE)
    answer = cli("submit", "--file", "jobs.jsonl", "--skip-invalid", "-o", "json")
    assert answer.code == 0
    assert json.loads(answer.out) == {
        "accepted": 2,
        "duplicate": 0,
        "conflict": 0,
        "invalid": 2,
        "conflicts": [],
    }
    assert "line 2: prioritty" in answer.err


def test_many_problems_are_summed_up(cli: Callable[..., Any], queue_name: str, bare: Path) -> None:
    """A file of rubbish does not fill the screen."""
    (bare / "jobs.jsonl").write_text("nope\n" * 1000)
    lines = cli("submit", "--file", "jobs.jsonl").err.splitlines()
    assert len(lines) == 22
    assert lines[20] == "and 980 more"
    assert lines[21].startswith("ecs-scheduler: 1000 of 1000 jobs are invalid")


def test_a_file_may_be_submitted_again(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """What was there is a duplicate; an id with another job is a conflict, and exit code 1."""
    (bare / "jobs.jsonl").write_text(GOOD + TRACE)
    cli("submit", "--file", "jobs.jsonl")
    assert cli("submit", "--file", "jobs.jsonl").out == "0 accepted, 2 duplicate, 0 conflict\n"
    (bare / "jobs.jsonl").write_text(GOOD.replace("etl", "other"))
    answer = cli("submit", "--file", "jobs.jsonl")
    assert (answer.code, answer.out) == (1, "0 accepted, 0 duplicate, 1 conflict\n")
    assert "these ids were submitted before with another job" in answer.err
    assert answer.err.endswith(": a\n")


def test_a_file_larger_than_a_batch_keeps_its_order(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """Jobs of equal priority are queued in the order of the file."""
    ids = [f"job-{number}" for number in range(1203)]
    lines = [json.dumps({"id": each, "task_definition": "etl"}) for each in ids]
    (bare / "jobs.jsonl").write_text("\n".join(lines))
    assert cli("submit", "--file", "jobs.jsonl").out == "1203 accepted, 0 duplicate, 0 conflict\n"
    listed = json.loads(cli("jobs", "--limit", "2000", "-o", "json").out)
    assert [each["id"] for each in listed] == ids


UNUSABLE = {
    "missing.jsonl": (None, "--file: cannot read missing.jsonl: No such file or directory"),
    ".": (None, "--file: cannot read .: Is a directory"),
    "empty.jsonl": ("\n \n", "--file: empty.jsonl holds no jobs"),
    "bad.json": ("[1,", "bad.json: it is not JSON: "),
    "list.json": ("[1]", "list.json, item 0: a job is a JSON object"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_files_are_said_plainly(
    cli: Callable[..., Any], queue_name: str, bare: Path, name: str
) -> None:
    """A file that can't be read, or holds no jobs, is usage (2)."""
    text, message = UNUSABLE[name]
    if text is not None:
        (bare / name).write_text(text)
    answer = cli("submit", "--file", name)
    assert answer.code == 2
    assert message in answer.err


def test_members_of_a_gang_that_disagree_are_refused(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """Before anything is submitted, with what they say differently and where."""
    first: dict[str, Any] = {"id": "a", "task_definition": "t", "gang": {"id": "g", "size": 3}}
    others: list[dict[str, Any]] = [
        {"id": "b", "policy": "tight"},
        {"id": "c", "gang": {"id": "g", "size": 4}},
    ]
    jobs = [first, *({**first, **other} for other in others)]
    (bare / "gang.jsonl").write_text("\n".join(map(json.dumps, jobs)))
    answer = cli("submit", "--file", "gang.jsonl")
    assert answer.code == 2
    assert "line 2: gang g: policy is tight here, and none on line 1; all members" in answer.err
    assert "line 3: gang g: size is 4 here, and 3 on line 1; all members" in answer.err
    assert cli("jobs").err == "in all: no jobs\n"


@pytest.mark.parametrize("text", [GOOD, f"[{GOOD}]"])
def test_a_byte_order_mark_is_no_part_of_the_jobs(
    cli: Callable[..., Any], queue_name: str, bare: Path, text: str
) -> None:
    """As editors on Windows put in front."""
    (bare / "jobs.jsonl").write_text(text, encoding="utf-8-sig")
    assert cli("submit", "--file", "jobs.jsonl").out == "1 accepted, 0 duplicate, 0 conflict\n"


def test_a_line_of_a_trace_that_repeats_a_member_is_refused(
    cli: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """Readers differ on which of the two jobs would count."""
    twice = '{"at_s": 1, "job": {"task_definition": "a"}, "job": {"task_definition": "b"}}\n'
    (bare / "jobs.jsonl").write_text(twice)
    assert 'line 1: "job": stands twice' in cli("submit", "--file", "jobs.jsonl").err
