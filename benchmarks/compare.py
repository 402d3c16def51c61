"""Two results side by side: `python -m benchmarks compare A.json B.json`, ratios B / A.

A and B are what `python -m benchmarks --json` printed, on one machine and one after the other:
between machines only the ratios inside each of them mean anything.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = 58
NOTICED = 1.1
"""Figures that differ by less are noise on most machines."""


class Unreadable(Exception):
    """A file is not a result of ours; the message names it."""


def load(path: Path) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and unit by benchmark and row. Raises Unreadable."""
    try:
        document: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8"))
        return {
            (name, row["name"]): (float(row["value"]), row["unit"])
            for name, rows in document.items()
            for row in rows
        }
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{path}: not the output of `python -m benchmarks --json`") from error


def lines(before: Path, after: Path) -> Iterator[str]:
    """A line a figure: both values, their ratio, and a mark where it is more than noise."""
    old, new = load(before), load(after)
    yield f"{'':<{NAME}}{'A':>11}{'B':>11}{'B / A':>9}"
    for key in dict.fromkeys([*old, *new]):
        name = f"{key[0]}: {key[1]}"
        name = name if len(name) < NAME else f"{name[: NAME - 2]}…"
        if key not in old or key not in new:
            where = "A" if key in old else "B"
            yield f"{name:<{NAME}}only in {where}"
            continue
        (a, unit), (b, _) = old[key], new[key]
        yield f"{name:<{NAME}}{_shown(a):>11}{_shown(b):>11}{_ratio(a, b):>9} {unit}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _ratio(a: float, b: float) -> str:
    if not a:
        return "–"
    mark = " *" if not 1 / NOTICED <= b / a <= NOTICED else "  "
    return f"{b / a:.2f}{mark}"
