"""Dead letters and events."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.states import OwnerId


@pytest.fixture
def send(queue_name: str, valkey: str, on_queue: Callable[..., Any]) -> Callable[[bytes], None]:
    """Write a document into the inbox as a foreign producer does, and have it admitted."""

    def write(document: bytes) -> None:
        async def add() -> None:
            client = connect(valkey)
            await client.xadd(f"{{q:{queue_name}}}:inbox", {"job": document})
            await client.aclose()

        async def admit(queue: Queue) -> None:
            await queue.admit(OwnerId("me"))

        asyncio.run(add())
        on_queue(admit)

    return write


def test_dead_letters_come_with_their_reason(
    cli: Callable[..., Any], send: Callable[[bytes], None]
) -> None:
    """The newest first, as they came, with the field that was wrong."""
    send(b"not json")
    send(b'{"task_definition": "etl", "cpus": 1}')
    newest, reason, document = cli("dead").out.splitlines()[:3]
    assert newest[4] == "-"
    assert reason.startswith("    reason:   cpus: unknown field")
    assert document == '    document: {"task_definition": "etl", "cpus": 1}'
    letters = json.loads(cli("dead", "-o", "json", "--limit", "1").out)
    assert [each["document"] for each in letters] == ['{"task_definition": "etl", "cpus": 1}']


def test_dead_letters_cannot_write_to_the_terminal(
    cli: Callable[..., Any], send: Callable[[bytes], None]
) -> None:
    """Control characters of a foreign document are not passed on."""
    send(b"\x1b]0;owned\x07 \x1b[2J")
    assert "\x1b" not in cli("dead").out
    assert "\x07" not in cli("dead").out


def test_no_dead_letters_is_said(cli: Callable[..., Any], queue_name: str) -> None:
    """Nothing on standard output, a word on standard error."""
    answer = cli("dead")
    assert (answer.code, answer.out, answer.err) == (0, "", "no dead letters\n")


def test_a_dead_letter_is_corrected_and_sent_again(
    cli: Callable[..., Any], send: Callable[[bytes], None], bare: Path
) -> None:
    """What is wrong is told until it is right; twice has the effect of once."""
    send(b'{"id": "a", "task_definition": "etl", "cpus": 1}')
    letter = json.loads(cli("dead", "list", "-o", "json").out)[0]["entry_id"]
    assert '"cpus": 1}' in cli("dead", "show", letter).out
    unchanged = cli("dead", "replay", letter)
    assert unchanged.code == 1
    assert unchanged.out.startswith(f"{letter}: still no job: cpus: unknown field")
    corrected = bare / "a.json"
    corrected.write_text('{"id": "a", "task_definition": "etl"}')
    for _ in range(2):
        answer = cli("dead", "replay", letter, "--edit", str(corrected))
        assert (answer.code, answer.out) == (0, f"{letter}: replayed as job a\n")
    assert cli("dead").err == "no dead letters\n"


def test_dead_letters_are_dropped_by_id(
    cli: Callable[..., Any], send: Callable[[bytes], None]
) -> None:
    """A letter that is not there is exit code 1."""
    send(b"not json")
    letter = json.loads(cli("dead", "-o", "json").out)[0]["entry_id"]
    assert cli("dead", "drop", letter).out == f"{letter}: dropped\n"
    for command in ("drop", "show", "replay"):
        answer = cli("dead", command, letter)
        assert answer.code == 1
        assert f"no dead letter '{letter}' in this queue" in answer.out + answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "dead replay: name at least one letter"),
        (["drop"], "dead drop: name at least one letter"),
        (["replay", "1-1", "2-2", "--document", "{}"], "a corrected document is for one letter"),
        (["replay", "1-1", "--document", "{}", "--edit", "x"], "--edit: give either"),
        (["replay", "1-1", "--edit", "no-such-file"], "--edit: cannot read no-such-file"),
    ],
)
def test_bad_usage_of_dead_letters(
    cli: Callable[..., Any], queue_name: str, arguments: list[str], message: str
) -> None:
    """Exit code 2, and what to do instead."""
    answer = cli("dead", *arguments)
    assert answer.code == 2
    assert message in answer.err


def test_events_tell_the_story_in_order(cli: Callable[..., Any], queue_name: str) -> None:
    """Each transition on a line; --limit keeps the latest."""
    cli("submit", "etl", "--id", "a")
    cli("cancel", "a")
    lines = [line.split(maxsplit=3)[1:] for line in cli("events").out.splitlines()]
    assert lines == [["RUNNABLE", "a"], ["CANCELLED", "a", "cancelled by hand"]]
    (latest,) = cli("events", "--limit", "1", "-o", "json").out.splitlines()
    assert (json.loads(latest)["job_id"], json.loads(latest)["state"]) == ("a", "CANCELLED")
