"""Structured logs on stderr: one JSON object per line (`ts`, `level`, `event`, ...), or plain text.

The standard library's loggers (uvicorn, aiobotocore, asyncio) go through the same processors.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

from ecs_scheduler.config import without_password

SECRET_KEYS = re.compile(r"password|secret|token$|credential|authorization", re.IGNORECASE)
NOT_SECRET = frozenset({"token", "launch_token", "client_token"})
"""Launch tokens name launches; they open nothing."""

QUIET = ("botocore", "aiobotocore", "aiohttp.access", "uvicorn", "asyncio")
"""Loggers whose debug and info messages would drown ours."""


def configure_logging(
    log_format: Literal["auto", "console", "json"], level: str, stream: TextIO | None = None
) -> None:
    """Set up structlog and the root logger once per process; `auto` is console on a terminal."""
    out = sys.stderr if stream is None else stream
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp" if console else "ts"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(shared, console=console, colours=out.isatty()))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def _formatter(
    shared: list[Processor], *, console: bool, colours: bool
) -> structlog.stdlib.ProcessorFormatter:
    last: list[Processor] = [structlog.processors.format_exc_info, _redact]
    if console:
        # Plain, because the pretty traceback shows local variables, passwords among them.
        traceback = structlog.dev.plain_traceback
        coloured = colours and not os.environ.get("NO_COLOR")
        last.append(structlog.dev.ConsoleRenderer(colors=coloured, exception_formatter=traceback))
    else:
        last += [_ts_first, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _ts_first(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    first = {key: event[key] for key in ("ts", "level", "event") if key in event}
    return {**first, **event}


def _redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in NOT_SECRET and SECRET_KEYS.search(key):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value:
            event[key] = re.sub(r"\S+://\S+", lambda url: without_password(url.group()), value)
    return event
