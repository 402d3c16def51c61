"""What an instance costs an hour: a table that the user can replace, and list prices for what is
not in it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ecs_placement.list_prices import list_price
from ecs_scheduler.cli.failures import InvalidInput
from ecs_simulator.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars (or any other unit) an hour by instance type; `given` goes before the built-in."""

    given: Mapping[str, float] = field(default_factory=dict)

    def of(self, instance_type: str, capacity: tuple[int, int, int]) -> float:
        """The price of one hour of an instance of this type and capacity (CPU units, MiB, GPUs)."""
        if instance_type in self.given:
            return self.given[instance_type]
        return list_price(instance_type, *capacity)

    def table(self, fleet: Fleet) -> dict[str, float]:
        """The price of each instance type of a fleet, the most numerous first."""
        kinds = [(-group.count, group.sized()) for group in fleet]
        return {
            kind.name: round(self.of(kind.name, (kind.cpu_units, kind.memory_mib, kind.gpus)), 4)
            for _, kind in sorted(kinds, key=lambda each: (each[0], each[1].name))
        }


def load_prices(path: Path) -> Prices:
    """Read a TOML table `[per_hour]` of instance types and prices; raises InvalidInput."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"--prices: {path}: cannot be read: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"--prices: {path}: not TOML: {error}") from error
    table = document.pop("per_hour", None)
    if document or not isinstance(table, dict):
        raise InvalidInput(
            f"--prices: {path}: expected one table [per_hour] with lines such as "
            '"m5.xlarge" = 0.192'
        )
    for name, price in table.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < 1e6:
            raise InvalidInput(
                f"--prices: {path}: {name}: expected a price per hour, 0 or more; it is {price!r}"
            )
    return Prices({name: float(price) for name, price in table.items()})
