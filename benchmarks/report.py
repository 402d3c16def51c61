"""How benchmarks report: rows of name, value, unit and note, as a table or as JSON."""

import argparse
import json
import textwrap
from collections.abc import Callable, Iterable
from typing import TypedDict


class Row(TypedDict):
    """One figure; the note says what it was measured on, or what it compares with."""

    name: str
    value: float
    unit: str
    note: str


WIDE = 96
NAME, VALUE = 62, 12


def show(rows: Iterable[Row]) -> None:
    """Print rows as they come, as a table that fits a terminal; what does not fit beside goes
    below.
    """
    for row in rows:
        value = f"{row['value']:,.0f}" if abs(row["value"]) >= 100 else f"{row['value']:,.3g}"
        line = f"{row['name']:<{NAME}}{value:>{VALUE}} {row['unit']}"
        beside = f"{line:<{NAME + VALUE + 12}} {row['note']}".rstrip()
        if len(beside) <= WIDE:
            print(beside, flush=True)
            continue
        indent = " " * 4
        below = textwrap.wrap(row["note"], WIDE, initial_indent=indent, subsequent_indent=indent)
        print("\n".join([line, *below]), flush=True)


def main(run: Callable[[bool], Iterable[Row]]) -> None:
    """The command line of one benchmark: --quick for a smoke test, --json for machines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    arguments = parser.parse_args()
    rows = run(arguments.quick)
    if arguments.json:
        print(json.dumps(list(rows)))
    else:
        show(rows)
