"""Suspending, resuming and reordering from the shell."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Cli = Callable[..., Any]


def submit(cli: Cli, *job_ids: str, share: str = "default") -> None:
    for each in job_ids:
        assert cli("submit", "etl:1", "--id", each, "--tag", "run=1", "--share", share).code == 0


def test_a_job_is_suspended_and_resumed(cli: Cli, queue_name: str) -> None:
    """By its id, as often as one likes."""
    submit(cli, "a")
    assert cli("suspend", "a").out == cli("suspend", "a").out == "a: suspended\n"
    assert json.loads(cli("job", "a", "-o", "json").out)["reason"] == "suspended: by hand"
    assert cli("resume", "a").out == "a: resumed\n"


def test_jobs_are_named_by_tag_and_share(cli: Cli, queue_name: str) -> None:
    """How many, instead of a line for each."""
    submit(cli, "a", "b")
    submit(cli, "c", share="other")
    assert cli("suspend", "--tag", "run=1", "--share", "other").out == "1 suspended\n"
    assert cli("reprioritise", "5", "--tag", "run=1").out == "3 reprioritised\n"
    assert cli("reprioritise", "5", "--tag", "run=2").out == "no jobs\n"
    outcomes = json.loads(cli("cancel", "--all", "-o", "json").out)
    assert sorted(outcomes, key=lambda each: each["id"]) == [
        {"id": each, "outcome": "cancelled"} for each in "abc"
    ]


def test_the_list_says_that_the_queue_is_suspended(cli: Cli, queue_name: str) -> None:
    """Otherwise nobody would know why nothing starts."""
    submit(cli, "a")
    assert cli("suspend", "--all").out == "the queue is suspended\n"
    assert "the whole queue is suspended: suspended by hand" in cli("jobs").err
    assert cli("resume", "--all").out == "the queue is resumed\n"
    assert "suspended" not in cli("jobs").err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("suspend",), "suspend: name at least one job id, or use --tag"),
        (("resume", "a", "--tag", "x=1"), "resume: name jobs by their ids, or by --tag"),
        (("cancel", "--all", "--share", "x"), "--all: means every job"),
        (("suspend", "--tag", "x"), "--tag: should look like NAME=VALUE"),
        (("reprioritise", "1001", "a"), "1000"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Cli, queue_name: str, arguments: tuple[str, ...], complaint: str
) -> None:
    """Exit code 2, and what to write instead."""
    answer = cli(*arguments)
    assert answer.code == 2
    assert complaint in answer.err


def test_a_job_that_is_not_there_is_a_failure(cli: Cli, queue_name: str) -> None:
    """Exit code 1."""
    answer = cli("suspend", "ghost")
    assert (answer.code, answer.out) == (1, "ghost: no such job in this queue\n")


def test_a_child_that_waits_with_its_array_is_known(
    cli: Callable[..., Any], queue_name: str
) -> None:
    """It has no record of its own to steer, which is not to say that there is no such job."""
    cli("submit", "etl", "--id", "p", "--array-size", "3")
    cli("cancel", "p:2")
    answer = cli("suspend", "p:1", "p:2", "p:3")
    assert answer.out.splitlines() == [
        "p:1: waits with its array; name p as a whole",
        "p:2: ended before, as CANCELLED",
        "p:3: no such job in this queue",
    ]
    assert answer.code == 1
