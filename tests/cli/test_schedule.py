"""`ecs-scheduler schedule`: added, listed, paused, resumed, removed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs_queue.schedules import Schedules
from ecs_queue.script import Command

JOB = '{"task_definition": "report:7", "priority": 5}'


def test_a_schedule_and_its_life(cli: Callable[..., Any], queue_name: str) -> None:
    """Added twice it is one; another one of the name needs --replace."""
    flags = ("schedule", "add", "nightly", "0 3 * * *", "--job", JOB)
    for _ in range(2):
        answer = cli(*flags, "--time-zone", "Europe/Berlin", "--overlap", "forbid")
        assert answer.code == 0
        assert answer.out.startswith("nightly: next at 20")
    taken = cli("schedule", "add", "nightly", "0 4 * * *", "--job", JOB)
    assert (taken.code, taken.out) == (1, "")
    assert "--replace takes its place" in taken.err
    header, row = cli("schedule", "list").out.splitlines()
    assert header.split() == [
        "NAME",
        "CRON",
        "TIME",
        "ZONE",
        "NEXT",
        "LAST",
        "JOB",
        "STATE",
        "NOTE",
    ]
    assert row.split()[:7] == ["nightly", "0", "3", "*", "*", "*", "Europe/Berlin"]
    assert cli("schedule", "pause", "nightly", "--reason", "audit").out == "nightly: paused\n"
    assert cli("schedule").out.splitlines()[1].endswith("paused: audit")
    assert cli("schedule", "resume", "nightly").out.startswith("nightly: next at 20")
    assert cli("schedule", "add", "nightly", "@hourly", "--job", JOB, "--replace").code == 0
    found = json.loads(cli("schedule", "show", "nightly").out)
    assert (found["cron"], found["job"]["priority"]) == ("0 * * * *", 5)
    assert json.loads(cli("schedule", "list", "-o", "json").out) == [found]
    assert cli("schedule", "remove", "nightly").out == "nightly: removed\n"
    assert cli("schedule", "list").err == "no schedules\n"
    for command in ("remove", "pause", "resume", "show"):
        answer = cli("schedule", command, "nightly")
        assert (answer.code, "no schedule 'nightly'" in answer.err) == (1, True)


def test_a_job_may_come_from_a_file(
    cli: Callable[..., Any], on_queue: Callable[..., Any], bare: Path
) -> None:
    """Payload included."""
    (bare / "job.json").write_text('{"task_definition": "t", "payload": {"all": true}}')
    assert cli("schedule", "add", "s", "@daily", "--job", "@job.json").code == 0
    kept = on_queue(lambda queue: Schedules(queue.run).one("s"))
    assert kept.schedule.job_at(0).payload == {"all": True}


@pytest.mark.parametrize(
    ("cron", "job", "complaint"),
    [
        ("0 3 * *", JOB, "cron: "),
        ("0 3 * * *", "{", "--job: the job is not JSON"),
        ("0 3 * * *", "[]", "job: "),
        ("0 3 * * *", "@nowhere.json", "--job: cannot read nowhere.json"),
        ("0 3 * * *", '{"task_definition": "t", "id": "x"}', "job.id: cannot be the same"),
    ],
)
def test_what_is_no_schedule(
    cli: Callable[..., Any], queue_name: str, cron: str, job: str, complaint: str
) -> None:
    """Exit code 2, and what is wrong where."""
    answer = cli("schedule", "add", "s", cron, "--job", job)
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.err


def test_each_answer_is_json_where_that_is_asked_for(
    cli: Callable[..., Any], queue_name: str
) -> None:
    """Also of those that change something."""
    added = json.loads(cli("schedule", "add", "s", "@daily", "--job", JOB, "-o", "json").out)
    assert set(added) == {"name", "next_ms"}
    for command, outcome in (("pause", "paused"), ("remove", "removed")):
        answer = cli("schedule", command, "s", "-o", "json")
        assert json.loads(answer.out) == {"name": "s", "outcome": outcome}
        if command == "pause":
            resumed = json.loads(cli("schedule", "resume", "s", "-o", "json").out)
            assert resumed["next_ms"] >= added["next_ms"]


def test_a_schedule_that_was_set_aside_is_listed_so(
    cli: Callable[..., Any], on_queue: Callable[..., Any], queue_name: str
) -> None:
    """With the reason, also where this version cannot read it; then it can't be resumed, but
    replaced."""
    document = b'{"name": "s", "cron": "0 3 * * *", "moon": "full"}'
    on_queue(lambda queue: queue.run(Command("schedule_put", ("s", document, 0, 0), bool)))
    row = cli("schedule", "list").out.splitlines()[1]
    assert "  -  " in row
    assert "set aside: cannot be read by this version: " in row
    assert json.loads(cli("schedule", "show", "s").out)["aside"].startswith("cannot be read")
    answer = cli("schedule", "resume", "s")
    assert (answer.code, answer.out) == (2, "")
    assert "s cannot be read by this version: job: required" in answer.err
    assert cli("schedule", "add", "s", "@daily", "--job", JOB, "--replace").code == 0
    assert json.loads(cli("schedule", "show", "s").out)["aside"] is None
    on_queue(lambda queue: queue.run(Command("schedule_put", ("s", document, 0, 1), bool)))
    assert cli("schedule", "remove", "s").out == "s: removed\n"
