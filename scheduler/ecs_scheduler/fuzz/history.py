"""What happened in one run, in order: one line per fault, call, log message and ending."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog


@dataclass(slots=True)
class History:
    """Lines of (virtual seconds, who, what)."""

    now_s: Callable[[], float]
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def say(self, who: str, what: str) -> None:
        """Add a line at the current virtual time."""
        self.lines.append((self.now_s(), who, what))

    def text(self) -> str:
        """All lines, for people."""
        return "\n".join(self._shown())

    def about(self, words: Collection[str], most: int) -> str:
        """The last lines that name one of `words`, and all that speak of faults."""
        chosen = [
            line
            for line, (_, who, what) in zip(self._shown(), self.lines, strict=True)
            if who == "fault" or any(word in what for word in words)
        ]
        return "\n".join(chosen[-most:])

    def fingerprint(self) -> str:
        """Equal for equal histories."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]

    def _shown(self) -> Iterator[str]:
        return (f"{at_s:10.3f}  {who:<8} {what}" for at_s, who, what in self.lines)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the services' log messages in, whatever logging was configured."""
        before = structlog.get_config()
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._hear],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _hear(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        who = str(event.pop("replica", "?"))
        what = str(event.pop("event", ""))
        error = event.pop("exc_info", None)
        self.say(who, f"{level}: {what}{_values(event)}{f' {error!r}' if error else ''}")
        return ""


def _values(event: Mapping[str, Any]) -> str:
    return "".join(f" {key}={value}" for key, value in event.items())
