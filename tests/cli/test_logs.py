"""Logs: one JSON object per line, the same for our loggers and others', and never a secret."""

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from ecs_scheduler.logs import configure_logging


@pytest.fixture
def logs(own_logging: None) -> Callable[..., io.StringIO]:
    """Configure logging onto a stream for one test."""

    def configure(log_format: Any = "json", log_level: str = "info") -> io.StringIO:
        stream = io.StringIO()
        configure_logging(log_format, log_level, stream)
        return stream

    return configure


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_event_is_one_json_object(logs: Callable[..., io.StringIO]) -> None:
    """Time, level and event first, then what the event carries; without a terminal auto is json."""
    stream = logs("auto")
    structlog.get_logger("ours").info("launched", tasks=3, token="t")
    (line,) = lines(stream)
    assert list(line)[:3] == ["ts", "level", "event"]
    assert line["ts"].endswith("Z")
    assert {**line, "ts": ""} == {
        "ts": "",
        "level": "info",
        "event": "launched",
        "logger": "ours",
        "tasks": 3,
        "token": "t",
    }


def test_other_libraries_log_the_same_way(logs: Callable[..., io.StringIO]) -> None:
    """The standard library's records go through, except for what chatters."""
    stream = logs()
    logging.getLogger("elsewhere").warning("%d left", 3)
    logging.getLogger("botocore.hooks").info("chatter")
    logging.getLogger("uvicorn.error").info("chatter")
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["logger"]) == ("warning", "3 left", "elsewhere")


def test_the_level_is_kept(logs: Callable[..., io.StringIO]) -> None:
    """What is less important than the level is not written."""
    stream = logs(log_level="warning")
    structlog.get_logger("ours").info("quiet")
    structlog.get_logger("ours").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_never_reach_the_log(logs: Callable[..., io.StringIO], log_format: str) -> None:
    """Not under a telling name, not inside a URL, not in an exception's text."""
    stream = logs(log_format)
    log = structlog.get_logger("ours")
    log.info("connected", url="redis://me:hunter2@host/0", password="hunter2", aws_secret="hunter2")
    logging.getLogger("other").error("no answer from %s", "redis://me:hunter2@host/0")
    try:
        raise ConnectionError("redis://me:hunter2@host/0")
    except ConnectionError:
        log.exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert "redis://me:***@host/0" in stream.getvalue()
    assert "Traceback (most recent call last)" in stream.getvalue()


def test_console_lines_are_plain_without_a_terminal(logs: Callable[..., io.StringIO]) -> None:
    """No colour codes where nobody sees colours."""
    stream = logs("console")
    structlog.get_logger("ours").info("launched", tasks=3)
    assert "launched" in stream.getvalue()
    assert "tasks=3" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
