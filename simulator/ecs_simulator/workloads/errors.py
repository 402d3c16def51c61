"""What can be wrong with a workload's files.

WorkloadError (a SimulatorError)
├── UnreadableFile   the file is not there, or is not text
├── InvalidTrace     a line of a trace file is not an arrival
└── InvalidTable     a CSV table lacks a column, or has rows that make no sense
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs_simulator.errors import SimulatorError


class WorkloadError(SimulatorError):
    """Base of everything this package raises on purpose."""


class UnreadableFile(WorkloadError):
    """The file is not there, or is not text."""

    @classmethod
    def of(cls, file: Path, error: Exception) -> "UnreadableFile":
        """The error for a file whose reading ended so."""
        if isinstance(error, UnicodeDecodeError):
            return cls(f"{file}: is not UTF-8 text (byte {error.start})")
        return cls(f"{file}: {getattr(error, 'strerror', None) or error}")


class InvalidTrace(WorkloadError):
    """A line of a trace file is not an arrival; the message names file, line and field."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row of a table that makes no sense: `line` counts from 1 and includes the header."""

    file: str
    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.problem}"


class InvalidTable(WorkloadError):
    """A CSV table lacks a column, or has bad rows; the message shows the first few."""

    SHOWN = 10

    @classmethod
    def of_rows(cls, rows: Sequence[BadRow]) -> "InvalidTable":
        """The error for these bad rows."""
        shown = [str(row) for row in rows[: cls.SHOWN]]
        if len(rows) > cls.SHOWN:
            shown.append(f"... and {len(rows) - cls.SHOWN} more")
        return cls(f"{len(rows)} bad rows:\n  " + "\n  ".join(shown))

    @classmethod
    def of_columns(cls, file: Path, missing: Sequence[str]) -> "InvalidTable":
        """The error for a table without these columns."""
        return cls(f"{file}:1: the header lacks {', '.join(missing)}")
