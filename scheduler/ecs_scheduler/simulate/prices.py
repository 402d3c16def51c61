"""What an instance costs an hour: a table that the user can replace, or a rule for what is not in
it.

The built-in prices are rounded on-demand prices of Linux instances in us-east-1 (AWS price list,
2025); they rank policies, they do not predict a bill.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ecs_scheduler.cli.failures import InvalidInput
from ecs_simulator.fleet import Fleet

# US dollars an hour of a family's size with two vCPUs; larger sizes cost in proportion.
_PER_TWO_VCPUS = {
    "m5": 0.096, "m5a": 0.086, "m6i": 0.096, "m6a": 0.0864, "m6g": 0.077, "m7g": 0.0816,
    "m7i": 0.1008, "c5": 0.085, "c5a": 0.077, "c6i": 0.085, "c6a": 0.0765, "c6g": 0.068,
    "c7g": 0.0725, "c7i": 0.08925, "r5": 0.126, "r5a": 0.113, "r6i": 0.126, "r6g": 0.1008,
    "r7g": 0.1071, "r7i": 0.1323,
}  # fmt: skip
_WITH_GPUS = {
    "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352, "g5.xlarge": 1.006, "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624, "g5.8xlarge": 2.448, "g5.12xlarge": 5.672, "g5.16xlarge": 4.096,
    "g5.24xlarge": 8.144, "g5.48xlarge": 16.288, "p3.2xlarge": 3.06, "p3.8xlarge": 12.24,
    "p3.16xlarge": 24.48, "p4d.24xlarge": 32.77,
}  # fmt: skip

PER_VCPU, PER_GIB, PER_GPU = 0.0332, 0.0037, 0.45
"""For a type in no table: dollars an hour by what it has (a vCPU and a GiB as in the m5 family,
which they give 0.096 for two vCPUs and 8 GiB)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars (or any other unit) an hour by instance type; `given` goes before the built-in."""

    given: Mapping[str, float] = field(default_factory=dict)

    def of(self, instance_type: str, capacity: tuple[int, int, int]) -> float:
        """The price of one hour of an instance of this type and capacity (CPU units, MiB, GPUs)."""
        if instance_type in self.given:
            return self.given[instance_type]
        if instance_type in _WITH_GPUS:
            return _WITH_GPUS[instance_type]
        cpu_units, memory_mib, gpus = capacity
        family = instance_type.partition(".")[0]
        if family in _PER_TWO_VCPUS:
            return _PER_TWO_VCPUS[family] * cpu_units / 2048
        return PER_VCPU * cpu_units / 1024 + PER_GIB * memory_mib / 1024 + PER_GPU * gpus

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
