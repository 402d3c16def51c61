"""Tables of recorded work: CSV with a header or JSON lines, either of them gzipped.

Rows that make no sense are collected with file, line and field, not raised.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TextIO, TypeVar

from ecs_simulator.fleet import MOST, Fleet
from ecs_simulator.workloads.arrivals import Arrival
from ecs_simulator.workloads.errors import BadRow, InvalidTable, UnreadableFile

Row = TypeVar("Row")
_JSON_LINES = (".jsonl", ".ndjson", ".json")


class Report(Protocol):
    """What was read and what was decided on the way."""

    @property
    def bad_rows(self) -> tuple[BadRow, ...]:
        """The rows that were left out because they make no sense."""

    def headline(self) -> str:
        """What became of the whole."""

    def facts(self) -> Iterator[tuple[int, str]]:
        """How many were treated how; those with 0 did not happen."""


ReportT_co = TypeVar("ReportT_co", bound=Report, covariant=True)


@dataclass(frozen=True, slots=True)
class Imported(Generic[ReportT_co]):
    """A recorded trace as a workload; the fleet is empty when the trace tells of no machines."""

    arrivals: tuple[Arrival, ...]
    fleet: Fleet
    report: ReportT_co


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: which have to be there, and which may be.

    With `closed`, any other is a mistake. Dots and underscores in names are the same.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    closed: bool = False


class BadCell(Exception):
    """A cell that makes no sense; `read_rows` turns it into a BadRow."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.problem = problem


class Cells:
    """One row's cells, read as what they should be; a cell that is not raises BadCell."""

    def __init__(self, row: Mapping[str, str | None], line: int) -> None:
        self._row = row
        self.line = line

    def text(self, field: str) -> str:
        """The cell without blanks around it, empty when the table has no such column."""
        value = self._row.get(field, "")
        if value is None:
            raise BadCell(field, "the row ends before this column")
        return value.strip()

    def count(self, field: str, most: int = 2**63 - 1) -> int:
        """A whole number from 0 to `most`."""
        value = self.text(field)
        if not (value.isascii() and value.isdigit()):
            raise BadCell(field, f"expected a whole number, 0 or more; it is {value!r}")
        if len(value) > 300 or int(value) > most:
            raise BadCell(field, f"expected {most} at most; it is {value[:40]}")
        return int(value)

    def count_or(self, field: str, default: int) -> int:
        """A whole number, or the default where the cell is empty."""
        return self.count(field) if self.text(field) else default

    def number(self, field: str) -> float:
        """A number, 0 or more."""
        value = self.text(field)
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise BadCell(field, f"expected a number, 0 or more; it is {value!r}")
        if number > MOST:
            raise BadCell(field, f"expected {MOST} at most; it is {value[:40]}")
        return number

    def time_s(self, field: str) -> int | None:
        """A time in whole seconds, None where the cell is empty."""
        return self.count(field) if self.text(field) else None


def read_rows(
    path: Path, columns: Columns, parse: Callable[[Cells], Row], bad_rows: list[BadRow]
) -> Iterator[Row]:
    """Each row that parses; the others are appended to `bad_rows`.

    Raises UnreadableFile, or InvalidTable for a table without the required columns.
    """
    plain_name = path.name.removesuffix(".gz").lower()
    try:
        with _opened(path) as file:
            lines = _json_lines if plain_name.endswith(_JSON_LINES) else _csv_lines
            for number, row in lines(path, file, columns):
                try:
                    yield parse(Cells(row if isinstance(row, dict) else _refused(row), number))
                except BadCell as bad:
                    bad_rows.append(BadRow(str(path), number, bad.field, bad.problem))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile.of(path, error) from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _refused(problem: object) -> Mapping[str, str | None]:
    raise BadCell("the row", str(problem))


def _csv_lines(
    path: Path, file: TextIO, columns: Columns
) -> Iterator[tuple[int, dict[str, str | None] | str]]:
    table = csv.DictReader(file, restkey="")
    table.fieldnames = [name.strip().replace(".", "_") for name in table.fieldnames or ()]
    missing = [name for name in columns.required if name not in table.fieldnames]
    if missing:
        raise InvalidTable.of_columns(path, missing)
    _refuse_unknown(f"{path}:1: the header", table.fieldnames, columns)
    for row in table:
        yield table.line_num, "has more cells than the header" if "" in row else row


def _json_lines(
    path: Path, file: TextIO, columns: Columns
) -> Iterator[tuple[int, dict[str, str | None] | str]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"is not JSON: {error}"
            continue
        if not isinstance(document, dict):
            yield number, "is not a JSON object"
            continue
        row: dict[str, str | None] = dict(_flat(document, ""))
        if number == 1:
            _refuse_unknown(f"{path}:1: the first row", list(row), columns)
        yield number, row


def _flat(document: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    """Members of members by their joined names; what is null is left out."""
    for name, value in document.items():
        joined = f"{prefix}{name}".replace(".", "_")
        if isinstance(value, dict):
            yield from _flat(value, f"{joined}_")
        elif value is not None:
            yield joined, str(value)


def _refuse_unknown(where: str, names: list[str], columns: Columns) -> None:
    known = (*columns.required, *columns.optional)
    unknown = [name for name in names if name not in known]
    if columns.closed and unknown:
        raise InvalidTable(
            f"{where} has an unknown column {unknown[0]!r}; known are {', '.join(known)}"
        )
