"""What goes wrong on purpose: one options object, drawn from one seed, each fault with a schedule.

Faults befall requests (Fault) or container instances (Hazard). Their draws have a generator of
their own, so that turning a fault on changes no id and no run time.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ecs_simulator.errors import FaultError
from ecs_simulator.service_model import operation_names

FOREVER = float("inf")
MOST_PER_HOUR = 3600.0
"""Of a hazard: one a second, so that an hour of virtual time comes to an end."""
DETAIL_TYPES = (
    "ECS Task State Change",
    "ECS Container Instance State Change",
    "EC2 Spot Instance Interruption Warning",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Befalls a request with `probability` between `from_s` and `until_s` after the start.

    `during` are spans (from, until) outside of which it never does, if there are any;
    `operations` names the operations it befalls, empty means all of them.
    """

    probability: float = 0.0
    from_s: float = 0.0
    until_s: float = FOREVER
    during: tuple[tuple[float, float], ...] = ()
    operations: frozenset[str] = frozenset()

    def strikes(self, operation: str, elapsed_s: float, rng: Random) -> bool:
        """Whether it befalls this request; draws only when it could."""
        return (
            self.probability > 0
            and self.from_s <= elapsed_s < self.until_s
            and (not self.during or any(a <= elapsed_s < b for a, b in self.during))
            and (not self.operations or operation in self.operations)
            and rng.random() < self.probability
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Befalls each instance `per_hour` times an hour on average, for `lasting_s` where that
    applies; besides, one instance at each of `at_s` (seconds after the start)."""

    per_hour: float = 0.0
    lasting_s: float = 30.0
    from_s: float = 0.0
    until_s: float = FOREVER
    at_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Befalls a `share` of all instances at once: `per_hour` times an hour on average, and at each
    of `at_s`."""

    per_hour: float = 0.0
    share: float = 0.5
    from_s: float = 0.0
    until_s: float = FOREVER
    at_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """Everything that can go wrong; nothing does by default."""

    lost_reply: Fault = Fault()
    """The work is done, then the connection is cut."""
    error_before: Fault = Fault()
    """HTTP 500 ServerException, and nothing was done."""
    error_after: Fault = Fault()
    """HTTP 500 ServerException, although the work was done."""
    throttled: Fault = Fault()
    """ThrottlingException below the published rates, as other callers of the account cause it."""
    slow: Fault = Fault()
    """The request or its reply takes up to `slow_s`; past the client's read timeout the work is
    done all the same."""
    slow_s: float = 20.0
    stale_read: Fault = Fault()
    """A List or Describe shows the state of up to `stale_s` ago; what is newer is not there yet."""
    stale_s: float = 10.0
    event_lost: Fault = Fault()
    """An EventBridge event never arrives (`operations` are detail-types)."""
    event_duplicated: Fault = Fault()
    """An EventBridge event arrives twice."""
    event_late: Fault = Fault()
    """An EventBridge event arrives up to `event_late_s` late, overtaken by others."""
    event_late_s: float = 30.0
    agent_flap: Hazard = Hazard()
    """The agent disconnects for `lasting_s` on average ("several times per hour", developer
    guide)."""
    instance_death: Hazard = Hazard()
    """The instance is gone at once; ECS notices `lasting_s` later."""
    spot_interruption: Hazard = Hazard()
    """A Spot instance gets its two-minute notice."""
    spot_storm: Storm = Storm()
    """A share of all Spot instances gets its two-minute notice at once."""


class Trouble(StrEnum):
    """What befalls one request."""

    NONE = "none"
    THROTTLED = "throttled"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    LOST_REPLY = "lost_reply"


@dataclass(frozen=True, slots=True)
class Mishap:
    """The fate of one request: trouble, delays on the way there and back, age of what it reads."""

    trouble: Trouble = Trouble.NONE
    delay_before_s: float = 0.0
    delay_after_s: float = 0.0
    read_lag_s: float = 0.0


CALM = Mishap()


class Dice:
    """Draws the fate of requests."""

    def __init__(self, options: FaultOptions, seed: int, now: float) -> None:
        self.rng = Random(f"faults of {seed}")
        self.started_at = now
        self.load(options)

    def load(self, options: FaultOptions) -> None:
        """From now on draw from these."""
        self.options = options
        self._troubles = tuple(
            (kind, fault)
            for kind in tuple(Trouble)[1:]
            if (fault := getattr(options, kind.value)).probability > 0
        )
        befalling = (options.slow, options.stale_read)
        self._calm = not self._troubles and not any(one.probability for one in befalling)

    def mishap(self, operation: str, now: float) -> Mishap:
        """The fate of the next request for `operation`."""
        if self._calm:
            return CALM
        options, rng, elapsed = self.options, self.rng, now - self.started_at
        trouble = next(
            (kind for kind, fault in self._troubles if fault.strikes(operation, elapsed, rng)),
            Trouble.NONE,
        )
        before = after = lag = 0.0
        if options.slow.strikes(operation, elapsed, rng):
            delay = rng.uniform(0.0, options.slow_s)
            before, after = (delay, 0.0) if rng.random() < 0.5 else (0.0, delay)
        if operation.startswith(("List", "Describe")) and options.stale_read.strikes(
            operation, elapsed, rng
        ):
            lag = rng.uniform(0.0, options.stale_s)
        if trouble is Trouble.NONE and not (before or after or lag):
            return CALM
        return Mishap(trouble, before, after, lag)


@dataclass(frozen=True)
class _Reader:
    """Reads FaultOptions out of parsed TOML or JSON; errors start with the place of the field."""

    place: Callable[[str], str]
    names: Mapping[str, Any] = field(
        default_factory=lambda: {item.name: item.default for item in fields(FaultOptions)}
    )

    def fault(self, name: str, value: object) -> Fault:
        table = {"probability": value} if isinstance(value, int | float) else value
        known = ("probability", "from_s", "until_s", "during", "operations")
        given = self._table(name, table, known)
        during = self._spans(f"{name}.during", given.pop("during", []))
        operations = self._operations(name, given.pop("operations", []))
        numbers = self._numbers(name, given)
        if not 0 <= numbers.get("probability", 0.0) <= 1:
            raise self._wrong(f"{name}.probability", "not between 0 and 1")
        return Fault(**numbers, during=during, operations=operations)

    def hazard(self, name: str, value: object) -> Hazard:
        table = {"per_hour": value} if isinstance(value, int | float) else value
        given = self._table(name, table, ("per_hour", "lasting_s", "from_s", "until_s", "at_s"))
        moments = self._moments(f"{name}.at_s", given.pop("at_s", []))
        return Hazard(**self._numbers(name, given), at_s=moments)

    def storm(self, name: str, value: object) -> Storm:
        table = {"per_hour": value} if isinstance(value, int | float) else value
        given = self._table(name, table, ("per_hour", "share", "from_s", "until_s", "at_s"))
        moments = self._moments(f"{name}.at_s", given.pop("at_s", []))
        numbers = self._numbers(name, given)
        if not 0 <= numbers.get("share", 0.0) <= 1:
            raise self._wrong(f"{name}.share", "not between 0 and 1")
        return Storm(**numbers, at_s=moments)

    def _moments(self, name: str, value: object) -> tuple[float, ...]:
        if not isinstance(value, list):
            raise self._wrong(name, f"expected a list of seconds, got {value!r}")
        return tuple(self.number(name, item) for item in value)

    def _spans(self, name: str, value: object) -> tuple[tuple[float, float], ...]:
        spans = []
        for item in value if isinstance(value, list) else [value]:
            moments = self._moments(name, item)
            if len(moments) != 2 or moments[0] >= moments[1]:
                raise self._wrong(name, f"expected [from, until], got {item!r}")
            spans.append((moments[0], moments[1]))
        return tuple(spans)

    def _table(self, name: str, value: object, known: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(name, f"expected a number or a table, got {value!r}")
        for key in value:
            if key not in known:
                raise self._wrong(f"{name}.{key}", f"unknown field; known are {', '.join(known)}")
        return dict(value)

    def _numbers(self, name: str, given: Mapping[str, Any]) -> dict[str, float]:
        numbers = {key: self.number(f"{name}.{key}", value) for key, value in given.items()}
        if numbers.get("from_s", 0.0) >= numbers.get("until_s", FOREVER):
            raise self._wrong(f"{name}.until_s", "not after from_s")
        if numbers.get("per_hour", 0.0) > MOST_PER_HOUR:
            raise self._wrong(f"{name}.per_hour", f"more than {MOST_PER_HOUR:.0f}")
        return numbers

    def _operations(self, name: str, value: object) -> frozenset[str]:
        """Names of operations, or detail-types for a fault of events."""
        if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
            raise self._wrong(f"{name}.operations", "expected a list of strings")
        known = DETAIL_TYPES if name.startswith("event_") else operation_names()
        for one in value:
            if one not in known:
                raise self._wrong(f"{name}.operations", f"ECS knows no {one!r}")
        return frozenset(value)

    def number(self, name: str, value: object) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < FOREVER
        ):
            raise self._wrong(name, f"expected a number from 0 on, got {value!r}")
        return float(value)

    def _wrong(self, name: str, problem: str) -> FaultError:
        return FaultError(f"{self.place(name)}: {name}: {problem}")


def load_faults(path: Path) -> FaultOptions:
    """FaultOptions from a TOML file; FaultError names the line and the field."""
    try:
        text = path.read_text("utf-8")
        return _read(tomllib.loads(text), partial(_toml_place, text.splitlines(), path.name))
    except (OSError, UnicodeDecodeError) as error:
        words = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise FaultError(f"{path}: cannot be read: {words}") from error
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise FaultError(f"{path.name}: not TOML: {error}") from error


def faults_from(document: object, where: str) -> FaultOptions:
    """FaultOptions from parsed TOML or JSON: a fault is its probability or a table of its fields.

    Raises FaultError naming the field, after `where`.
    """
    if not isinstance(document, dict):
        raise FaultError(f"{where}: expected a table of faults, got {type(document).__name__}")
    return _read(document, lambda _: where)


def _read(document: Mapping[str, Any], place: Callable[[str], str]) -> FaultOptions:
    reader = _Reader(place)
    given: dict[str, Any] = {}
    for name, value in document.items():
        if name not in reader.names:
            known = ", ".join(sorted(reader.names))
            raise FaultError(f"{place(name)}: {name}: unknown fault; known are {known}")
        if isinstance(reader.names[name], Fault):
            given[name] = reader.fault(name, value)
        elif isinstance(reader.names[name], Hazard):
            given[name] = reader.hazard(name, value)
        elif isinstance(reader.names[name], Storm):
            given[name] = reader.storm(name, value)
        else:
            given[name] = reader.number(name, value)
    return FaultOptions(**given)


_HEAD = re.compile(r"""\s*\[\s*["']?([\w-]+)""")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*(?:\.\s*["']?([\w-]+)["']?\s*)?=""")


def _toml_place(lines: list[str], name: str, field_name: str) -> str:
    """`name`:line of a field such as `slow` or `slow.from_s`; of its table where it is inline."""
    wanted = tuple(field_name.split("."))
    table, near = "", 1
    for number, line in enumerate(lines, start=1):
        if head := _HEAD.match(line):
            table = head[1]
            found: tuple[str, ...] = (table,)
        elif key := _KEY.match(line):
            found = tuple(part for part in (table, key[1], key[2]) if part)
        else:
            continue
        if found == wanted:
            return f"{name}:{number}"
        if found == wanted[:1]:
            near = number
    return f"{name}:{near}"
