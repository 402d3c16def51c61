"""Fleets: which container instances there are, as values and as files (JSON lines or TOML)."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from ecs_simulator.errors import FleetError

CPU_UNITS_PER_VCPU = 1024
TABLES = ("instances", "auto_scaling_groups")
"""What a TOML fleet file is made of."""
MOST = 2**31 - 1
"""Of any resource: the service model's integers have 32 bits."""
MOST_INSTANCES = 100_000
"""In one group: twenty times what a cluster takes on AWS."""
REGISTERED_PER_8192_MIB = 7985
"""What the agent registers of 8 GiB: memory visible to the OS (developer guide, m4.large)."""


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One EC2 instance type as the agent would register it.

    `awsvpc_tasks` and `awsvpc_tasks_trunking` are how many tasks get a network interface of their
    own.
    """

    name: str
    cpu_units: int
    memory_mib: int
    gpus: int
    awsvpc_tasks: int
    awsvpc_tasks_trunking: int

    @property
    def architecture(self) -> str:
        """`arm64` for Graviton families (a `g` after the generation digit, or a1), else
        `x86_64`."""
        family = self.name.partition(".")[0]
        after_digit = family.lstrip("abcdefghijklmnopqrstuvwxyz").lstrip("0123456789")
        graviton = family in ("a1", "mac2") or (after_digit.startswith("g") and family[0] != "p")
        return "arm64" if graviton else "x86_64"


@cache
def instance_types() -> Mapping[str, InstanceType]:
    """All known instance types by name."""
    text = (files("ecs_simulator") / "data" / "instance_types.txt").read_text("utf-8")
    known = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        family, *sizes = line.split()
        for entry in sizes:
            size, _, figures = entry.partition("=")
            vcpus, gib, gpus, tasks, trunked = figures.split("/")
            known[f"{family}.{size}"] = InstanceType(
                name=f"{family}.{size}",
                cpu_units=int(vcpus) * CPU_UNITS_PER_VCPU,
                memory_mib=int(float(gib) * 1024) * REGISTERED_PER_8192_MIB // 8192,
                gpus=int(gpus),
                awsvpc_tasks=int(tasks),
                awsvpc_tasks_trunking=int(trunked),
            )
    return known


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """`count` equal container instances.

    A size that is left out (None) comes from `instance_type`; a type that is not in the table needs
    cpu_units and memory_mib. `availability_zone` None spreads over the Region's zones a, b and c in
    turn. `enis` is how many awsvpc tasks fit; None takes the type's limit, with or without
    `trunking` (2 when the type is unknown).
    """

    count: int = 1
    instance_type: str = "m5.xlarge"
    cpu_units: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    enis: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    agent_connected: bool = True
    trunking: bool = False
    spot: bool = False
    capacity_provider: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be an instance: FleetError names the field."""
        for name, least in (
            ("count", 1),
            ("cpu_units", 1),
            ("memory_mib", 6),
            ("gpus", 0),
            ("enis", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise FleetError(f"{name}: {value} is less than {least}")
            if value is not None and value > MOST:
                raise FleetError(f"{name}: {value} is more than {MOST}")
        if self.count > MOST_INSTANCES:
            raise FleetError(f"count: {self.count} is more than {MOST_INSTANCES}")
        unsized = self.cpu_units is None or self.memory_mib is None
        if unsized and self.instance_type not in instance_types():
            raise FleetError(
                f"instance_type: {self.instance_type!r} is not in the table; "
                "give cpu_units and memory_mib as well"
            )

    def sized(self) -> InstanceType:
        """The instance type with this group's overrides applied."""
        known = instance_types().get(self.instance_type)
        enis = self.enis
        if enis is None and known is not None:
            enis = known.awsvpc_tasks_trunking if self.trunking else known.awsvpc_tasks
        limit = 2 if enis is None else enis
        return InstanceType(
            name=self.instance_type,
            cpu_units=_first(self.cpu_units, known.cpu_units if known else None),
            memory_mib=_first(self.memory_mib, known.memory_mib if known else None),
            gpus=_first(self.gpus, known.gpus if known else None),
            awsvpc_tasks=limit,
            awsvpc_tasks_trunking=limit,
        )


Fleet = tuple[InstanceGroup, ...]


def _first(*values: int | None) -> int:
    return next((value for value in values if value is not None), 0)


_KINDS: Mapping[str, type] = {
    "count": int,
    "instance_type": str,
    "cpu_units": int,
    "memory_mib": int,
    "gpus": int,
    "enis": int,
    "attributes": dict,
    "availability_zone": str,
    "agent_connected": bool,
    "trunking": bool,
    "spot": bool,
    "capacity_provider": str,
}


Place = Callable[[str], str]
"""Where a field of a document is, to start an error with; the empty field is the whole of it."""


def group_from(document: object, place: Place) -> InstanceGroup:
    """One instance group from parsed JSON or TOML; FleetError begins with the field's place."""
    if not isinstance(document, dict):
        raise FleetError(f"{place('')}: expected an object, got {type(document).__name__}")
    known = {item.name for item in fields(InstanceGroup)}
    for name, value in document.items():
        if name not in known:
            raise FleetError(
                f"{place(name)}: {name}: unknown field; known are {', '.join(sorted(known))}"
            )
        kind = _KINDS[name]
        if type(value) is not kind and value is not None:
            raise FleetError(f"{place(name)}: {name}: expected {kind.__name__}, got {value!r}")
    attributes = document.get("attributes") or {}
    bad = [key for key, value in attributes.items() if not isinstance(value, str)]
    if bad:
        problem = f"expected str, got {attributes[bad[0]]!r}"
        raise FleetError(f"{place('attributes')}: attributes.{bad[0]}: {problem}")
    given = {name: value for name, value in document.items() if value is not None}
    try:
        return InstanceGroup(**given)
    except FleetError as error:
        field_name = str(error).partition(":")[0]
        raise FleetError(f"{place(field_name)}: {error}") from error


def _anywhere(where: str, _: str) -> str:
    return where


def _from_lines(lines: Iterable[str], name: str) -> Fleet:
    groups = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            document = json.loads(line)
        except json.JSONDecodeError as error:
            raise FleetError(f"{where}: not JSON: {error.msg} (column {error.colno})") from error
        except (ValueError, RecursionError) as error:  # too many digits, too deep
            raise FleetError(f"{where}: not JSON: {error}") from error
        groups.append(group_from(document, partial(_anywhere, where)))
    return tuple(groups)


def toml_tables(text: str, name: str, key: str) -> Iterator[tuple[dict[str, Any], Place]]:
    """The tables of `[[key]]` in a TOML document and where their fields are: `name`:line."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise FleetError(f"{name}: not TOML: {error}") from error
    lines = text.splitlines()
    for head in document:
        if head not in TABLES:
            where = _place_in(lines, name, range(len(lines)))(head)
            raise FleetError(f"{where}: {head}: unknown table; known are {', '.join(TABLES)}")
    tables = document.get(key, [])
    if not isinstance(tables, list):
        raise FleetError(f"{name}: {key}: expected tables [[{key}]]")
    heads = [row for row, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{key}\s*\]\]", line)]
    for number, table in enumerate(tables):
        begin, *after = heads[number : number + 2] or [0]
        yield table, _place_in(lines, name, range(begin, after[0] if after else len(lines)))


def _place_in(lines: list[str], name: str, rows: range) -> Place:
    def place(field_name: str) -> str:
        wanted = re.compile(
            rf"\s*(\[\w+\.|\[\[?)?[\"']?{re.escape(field_name or '?')}[\"']?\s*[=.\]]"
        )
        found = (row for row in rows if wanted.match(lines[row]))
        return f"{name}:{next(found, rows.start) + 1}"

    return place


def file_text(path: Path) -> str:
    """The text of a fleet file; FleetError when it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise FleetError(f"{path}: cannot be read: {words}") from error


def load_fleet(path: Path, *, may_be_empty: bool = False) -> Fleet:
    """A fleet from a file: `.toml` with [[instances]] tables, anything else as JSON lines.

    Raises FleetError naming the line and the field, or when there are no instances in it.
    """
    text = file_text(path)
    if path.suffix != ".toml":
        fleet = _from_lines(text.splitlines(), path.name)
    else:
        tables = toml_tables(text, path.name, "instances")
        fleet = tuple(group_from(table, place) for table, place in tables)
    if not fleet and not may_be_empty:
        wanted = "; expected tables [[instances]]" if path.suffix == ".toml" else ""
        raise FleetError(f"{path.name}: no instances in it{wanted}")
    return fleet
