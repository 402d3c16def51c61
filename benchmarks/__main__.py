"""Run every benchmark: `python -m benchmarks [--quick] [--json]`, or some: `… queue service`."""

import argparse
import json
from importlib import import_module

from benchmarks.report import Row, show

BENCHMARKS = ("placement", "queue", "simulator", "service", "reliability", "fairness")


def main() -> None:
    """Print each benchmark's table as it is done, or one JSON document at the end."""
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
        results[name] = import_module(f"benchmarks.{name}_bench").run(arguments.quick)
        if not arguments.json:
            print(f"\n{name}")
            show(results[name])
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
