"""A plain table of jobs, CSV or JSON lines: whoever has a workload can write it.

Required are `at_s`, `run_s`, `cpu_units` and `memory_mib`; the rest says more of a job.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ecs_simulator.fleet import MOST
from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import LEAST_MEMORY_MIB, Run, Size, job_document
from ecs_simulator.workloads.errors import BadRow, InvalidTable
from ecs_simulator.workloads.tables import BadCell, Cells, Columns, Imported, read_rows

COLUMNS = Columns(
    required=("at_s", "run_s", "cpu_units", "memory_mib"),
    optional=("id", "gpus", "exit_code", "priority", "share", "gang", "array_size"),
    closed=True,
)
MOST_GANG_MEMBERS, MOST_CHILDREN = 1000, 1_000_000
MOST_ARRAY_ID_CHARACTERS = 120

_ID = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_SHARE = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True)
class PlainReport:
    """What was read: jobs, and how many of them are arrays or belong to gangs."""

    jobs: int
    arrays: int
    gangs: int
    bad_rows: tuple[BadRow, ...]

    def headline(self) -> str:
        """What became of the whole."""
        return f"{self.jobs} jobs"

    def facts(self) -> Iterator[tuple[int, str]]:
        """How many were treated how; those with 0 did not happen."""
        yield self.arrays, "of them are arrays"
        yield self.gangs, "gangs start together"


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    at_s: float
    name: str
    size: Size
    run: Run
    gang: str
    fields: Mapping[str, object]


def import_plain(jobs: Path, *, skip_bad_rows: bool = False) -> Imported[PlainReport]:
    """Read a table of jobs; rows with the same `gang` start together.

    Jobs without an id are numbered in the order of their rows. Raises UnreadableFile, or
    InvalidTable for bad rows unless they are skipped. There is no fleet in it.
    """
    bad_rows: list[BadRow] = []
    rows = list(read_rows(jobs, COLUMNS, _row, bad_rows))
    bad = dict(_strangers(rows))
    bad_rows += [BadRow(str(jobs), line, *problem) for line, problem in bad.items()]
    if bad_rows and not skip_bad_rows:
        raise InvalidTable.of_rows(sorted(bad_rows, key=lambda row: row.line))
    kept = [row for row in rows if row.line not in bad]
    if not kept:
        raise InvalidTable(f"{jobs}: no jobs in it")
    members = Counter(row.gang for row in kept if row.gang)
    report = PlainReport(
        jobs=len(kept),
        arrays=sum("array_size" in row.fields for row in kept),
        gangs=len(members),
        bad_rows=tuple(bad_rows),
    )
    arrivals = [_arrival(row, number, members[row.gang]) for number, row in enumerate(kept)]
    return Imported(in_order(arrivals), (), report)


def _strangers(rows: list[_Row]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Rows that make no sense beside the others: their lines, with field and problem."""
    first: dict[str, int] = {}
    fresh = []
    for row in rows:
        if row.name and first.setdefault(row.name, row.line) != row.line:
            yield row.line, ("id", f"{row.name!r} is the job of line {first[row.name]}")
        else:
            fresh.append(row)
    members = Counter(row.gang for row in fresh if row.gang)
    for row in fresh:
        size = members[row.gang]
        if row.gang and not 2 <= size <= MOST_GANG_MEMBERS:
            wanted = f"a gang has 2 to {MOST_GANG_MEMBERS}"
            yield row.line, ("gang", f"{row.gang!r} has {size} members; {wanted}")


def _arrival(row: _Row, number: int, members: int) -> Arrival:
    gang = {"gang": {"id": row.gang, "size": members}} if row.gang else {}
    job = job_document(row.name or f"job-{number:06d}", row.size, row.run, **row.fields, **gang)
    return Arrival(row.at_s, job)


def _row(cells: Cells) -> _Row:
    size = Size(
        cells.count("cpu_units", MOST),
        cells.count("memory_mib", MOST),
        _at_most(cells, "gpus", MOST),
    )
    if size.memory_mib < LEAST_MEMORY_MIB:
        raise BadCell("memory_mib", f"a container takes {LEAST_MEMORY_MIB} MiB at least")
    fields: dict[str, object] = {"priority": _at_most(cells, "priority", 1000)}
    if cells.text("share"):
        fields["share"] = _matching(cells, "share", _SHARE)
    if cells.text("array_size"):
        fields["array_size"] = _at_most(cells, "array_size", MOST_CHILDREN)
        if cells.count("array_size") < 2:
            raise BadCell("array_size", "an array has 2 children at least")
        if len(cells.text("id")) > MOST_ARRAY_ID_CHARACTERS:
            raise BadCell("id", f"an array's has {MOST_ARRAY_ID_CHARACTERS} characters at most")
        if cells.text("gang"):
            raise BadCell("gang", "an array is no member of a gang")
    return _Row(
        line=cells.line,
        at_s=cells.number("at_s"),
        name=_matching(cells, "id", _ID) if cells.text("id") else "",
        size=size,
        run=Run(cells.number("run_s"), _at_most(cells, "exit_code", 255)),
        gang=_matching(cells, "gang", _ID) if cells.text("gang") else "",
        fields=fields,
    )


def _at_most(cells: Cells, field: str, most: int) -> int:
    value = cells.count_or(field, 0)
    if value > most:
        raise BadCell(field, f"expected {most} at most; it is {value}")
    return value


def _matching(cells: Cells, field: str, pattern: re.Pattern[str]) -> str:
    value = cells.text(field)
    if not pattern.fullmatch(value):
        raise BadCell(field, f"expected {pattern.pattern}; it is {value!r}")
    return value
