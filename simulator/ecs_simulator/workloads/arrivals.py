"""When which job comes: Arrival, and its file form of JSON lines `{"at_s": 12.5, "job": {...}}`."""

import json
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ecs_simulator.workloads.batch import JobDocument
from ecs_simulator.workloads.errors import InvalidTrace, UnreadableFile


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that is submitted `at_s` seconds after the start."""

    at_s: float
    job: JobDocument


def in_order(arrivals: Iterable[Arrival]) -> tuple[Arrival, ...]:
    """Earliest first; what comes at the same moment keeps its order."""
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at_s))


def write_trace(arrivals: Iterable[Arrival], path: Path) -> None:
    """Write a trace file, earliest arrival first."""
    with path.open("w", encoding="utf-8") as file:
        for arrival in in_order(arrivals):
            line = {"at_s": arrival.at_s, "job": arrival.job}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_trace(path: Path) -> tuple[Arrival, ...]:
    """Read a trace file in any order; blank lines are skipped.

    Raises UnreadableFile or InvalidTrace, whose messages name file, line and field. Whether a job
    document is valid is for whoever takes it to say.
    """
    return in_order(_arrivals(path))


def iter_trace(path: Path) -> Iterator[Arrival]:
    """The same one by one, after a first look at the whole file: one that is in order, as
    `write_trace` leaves it, is never held in memory.
    """
    times = array("d", (arrival.at_s for arrival in _arrivals(path)))
    ordered = all(before <= after for before, after in pairwise(times))
    return _arrivals(path) if ordered else iter(read_trace(path))


def _arrivals(path: Path) -> Iterator[Arrival]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _arrival(path, number, line.rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile.of(path, error) from error


def _arrival(path: Path, number: int, line: str) -> Arrival:
    def wrong(problem: str) -> InvalidTrace:
        return InvalidTrace(f"{path}:{number}: {problem}")

    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise wrong(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise wrong("nested too deeply") from error
    if not isinstance(value, dict) or value.keys() != {"at_s", "job"}:
        raise wrong('expected an object with exactly the members "at_s" and "job"')
    at_s, job = value["at_s"], value["job"]
    numeric = isinstance(at_s, int | float) and not isinstance(at_s, bool)
    if not numeric or not math.isfinite(at_s) or at_s < 0:
        raise wrong(f"at_s: expected seconds, 0 or more; it is {at_s!r}")
    if not isinstance(job, dict):
        raise wrong(f"job: expected an object; it is {type(job).__name__}")
    return Arrival(float(at_s), job)
