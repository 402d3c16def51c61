"""Prints data: aligned columns for people, JSON for programs. Nothing else writes to stdout."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Output = Annotated[Literal["text", "json"], Parameter(name=("--output", "-o"))]
"""For people or for programs."""


def print_json(value: Any) -> None:
    """One JSON value; indented on a terminal, one line otherwise."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Plain lines, at once: somebody may be following them."""
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their content; on a terminal the last one is cut to fit."""
    table = [header, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        sys.stdout.write(_fitted(line) + "\n")


def time_shown(at_ms: int | None) -> str:
    """A time as ISO 8601 in UTC, to the second; "-" for none."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def one_line(text: str) -> str:
    """Text from outside without control characters, which would reach the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def report(message: str) -> None:
    """A message to the user, beside the data."""
    sys.stderr.write(message + "\n")


def _fitted(line: str) -> str:
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"
