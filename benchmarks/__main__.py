"""Run every benchmark: `python -m benchmarks [--quick] [--json]`, or some: `… queue service`.

`python -m benchmarks compare A.json B.json` puts two results side by side.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import compare
from benchmarks.report import Row, show

BENCHMARKS = (
    "placement",
    "queue",
    "peers",
    "payload",
    "simulator",
    "service",
    "reliability",
    "steady",
    "fairness",
    "explaining",
    "simulate",
)


def main() -> None:
    """Print each benchmark's rows as they are measured, or one JSON document at the end."""
    if sys.argv[1:2] == ["compare"]:
        sys.exit(_compare(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds each")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    results: dict[str, list[Row]] = {}
    for name in arguments.names or BENCHMARKS:
        rows = import_module(f"benchmarks.{name}_bench").run(arguments.quick)
        if arguments.json:
            results[name] = list(rows)
        else:
            print(f"\n{name}")
            show(rows)
    if arguments.json:
        print(json.dumps(results))


def _compare(paths: list[str]) -> int | str:
    if len(paths) != 2:
        return "usage: python -m benchmarks compare A.json B.json"
    try:
        for line in compare.lines(Path(paths[0]), Path(paths[1])):
            print(line)
    except compare.Unreadable as error:
        return str(error)
    return 0


if __name__ == "__main__":
    main()
