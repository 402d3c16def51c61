"""The operators of the cluster query language, each as a test of one value of one instance.

Numbers, versions and times compare as such, everything else as text. Patterns are java.util.regex
in ECS and Python's `re` here, matched against the whole value; what could take exponential time
or means something else in Java is refused.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from ecs_placement.errors import QueryError

_WORDS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "matches": "=~",
    "not_matches": "!~",
    "not_exists": "!exists",
    "not_in": "!in",
}
_CHOICES = re.compile(r"[()|*+?]|\{(\d*),(\d*)\}")
_EQUALITY = frozenset({"==", "!=", "in", "!in", "=~", "!~"})
_ORDER = frozenset({"==", "!=", ">", ">=", "<", "<="})
_ALLOWED = {
    "agentConnected": _EQUALITY,
    "ec2InstanceId": _EQUALITY,
    "agentVersion": _ORDER,
    "registeredAt": _ORDER,
    "runningTasksCount": _ORDER,
}
_LONGEST_PATTERN = 256
_LONGEST_VALUE = 128  # characters of an attribute, as ECS has it
_MOST_PATHS = 2**22
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?)?")

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Test:
    """`operator` as a symbol, its arguments as written; `order` tells how values compare."""

    operator: str
    arguments: tuple[str, ...]
    order: str

    def holds(self, value: Value) -> bool:
        """Whether it holds for the value an instance has; None means it has none."""
        if self.operator in ("exists", "!exists"):
            return (value is not None) == (self.operator == "exists")
        if value is None:
            return False
        if self.operator in ("=~", "!~"):
            return bool(self._pattern.fullmatch(_text(value))) == (self.operator == "=~")
        mine = self._key(value)
        theirs = [self._key(argument) for argument in self.arguments]
        if self.operator in ("==", "in"):
            return mine in theirs
        if self.operator in ("!=", "!in"):
            return mine not in theirs
        return _ordered(self.operator, *self._comparable(mine, theirs[0]))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.arguments[0])

    def _key(self, value: Value) -> object:
        if self.order == "version":
            return tuple(int(part) for part in re.findall(r"\d+", _text(value)))
        if self.order == "time":
            return seconds(value) if isinstance(value, str) else value
        if self.order == "number":
            return float(value or 0)
        return _text(value)

    def _comparable(self, mine: object, theirs: object) -> tuple[object, object]:
        """Attributes that both read as numbers compare as numbers."""
        if self.order != "text":
            return mine, theirs
        try:
            return float(str(mine)), float(str(theirs))
        except ValueError:
            return mine, theirs


def test(subject: str, operator: str, arguments: tuple[str, ...], column: int) -> Test:
    """Check what `subject` allows; raises QueryError naming the column of the operator."""
    operator = _WORDS.get(operator, operator)
    allowed = _ALLOWED.get(subject)
    if allowed is not None and operator not in allowed:
        raise QueryError(
            f"query, column {column}: {subject} does not take {operator}, "
            f"expected one of {' '.join(sorted(allowed))}"
        )
    order = {"agentVersion": "version", "registeredAt": "time", "runningTasksCount": "number"}
    where = f"query, column {column}"
    for argument in arguments:
        if operator in ("=~", "!~"):
            _validate_pattern(argument, where)
        elif subject == "agentConnected" and argument not in ("true", "false"):
            raise QueryError(f"{where}: {argument!r} is neither true nor false")
        elif subject == "registeredAt":
            _validate_time(argument, where)
        elif subject == "runningTasksCount" and re.fullmatch(r"\d+", argument) is None:
            raise QueryError(f"{where}: {argument!r} is not a number of tasks")
        elif subject == "agentVersion" and re.match(r"v?\d", argument) is None:
            raise QueryError(f"{where}: {argument!r} is not a version such as 1.14.5")
    return Test(operator, arguments, order.get(subject, "text"))


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _ordered(operator: str, mine: object, theirs: object) -> bool:
    larger, equal = bool(mine > theirs), mine == theirs  # type: ignore[operator]
    return {
        ">": larger,
        ">=": larger or equal,
        "<": not larger and not equal,
        "<=": not larger,
    }[operator]


def seconds(text: str) -> float:
    """A time as ECS writes it, in seconds since 1970; without a zone it is taken as UTC."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise QueryError(f"{text!r} is not a time such as 2018-06-18T22:28:28Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    # Days from civil (proleptic Gregorian), with years that begin in March.
    shifted = year - (month <= 2)
    leap = shifted // 4 - shifted // 100 + shifted // 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * shifted + leap + of_year - 719468
    zone = found.group(7) or "Z"
    offset = 0
    if zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * (60 if zone[0] == "+" else -60)
    if not (1 <= day <= _days(year, month) and hour < 24 and minute < 60 and second < 60):
        raise QueryError(f"{text!r} is not a time: no calendar or clock shows it")
    return float(days * 86400 + hour * 3600 + minute * 60 + second - offset)


def _days(year: int, month: int) -> int:
    """Days of the month; 0 where there is no such month."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return (30 if month in (4, 6, 9, 11) else 31) if 1 <= month <= 12 else 0


def _validate_time(text: str, where: str) -> None:
    try:
        seconds(text)
    except QueryError as error:
        raise QueryError(f"{where}: {error}") from error


def _validate_pattern(pattern: str, where: str) -> None:
    if len(pattern) > _LONGEST_PATTERN:
        raise QueryError(f"{where}: the pattern has more than {_LONGEST_PATTERN} characters")
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise QueryError(f"{where}: {pattern!r} is not a pattern ({error})") from error
    bare = re.sub(r"\\.", "x", pattern)
    if re.search(r"\\[1-9kpPQEGZzX]|\[[^\]]*(&&|\[)|\(\?", pattern):
        raise QueryError(
            f"{where}: {pattern!r} uses a construct that is refused here: back references, "
            "look-around, inline flags, \\p{..}, \\Q..\\E, nested character classes"
        )
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "x", bare)
    if re.search(r"\)[*+{]", bare) or _paths(bare) > _MOST_PATHS:
        raise QueryError(
            f"{where}: {pattern!r} may take too long: repeated groups are refused, and more than "
            "three of * and + or as much choice by ?, {n,m} and |"
        )


def _paths(bare: str) -> float:
    """In how many ways a pattern without repeated groups can be tried on one value, at most: parts
    that follow each other multiply, alternatives add. `re` tries them all before it gives up.
    """
    ended, ways = [0.0], [1.0]  # per open group: of the alternatives before, of the present one
    for found in _CHOICES.finditer(bare):
        if found[0] == "(":
            ended.append(0.0)
            ways.append(1.0)
        elif found[0] == ")":
            inner = ended.pop() + ways.pop()
            ways[-1] *= inner
        elif found[0] == "|":
            ended[-1] += ways[-1]
            ways[-1] = 1.0
        elif found[0] == "?":
            ways[-1] *= 2
        elif found[0] in "*+" or not found[2]:
            ways[-1] *= _LONGEST_VALUE
        else:
            ways[-1] *= 1 + int(found[2]) - int(found[1] or 0)
    return ended[0] + ways[0]
