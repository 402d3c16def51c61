"""The cluster query language: an expression becomes a predicate over container instances.

Grammar from the developer guide, "Cluster query language". Precedence is not documented there; here
`not` binds closer than `and`, and `and` closer than `or`, as everywhere else.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.records import Instance

Predicate = Callable[[Instance], bool]
Test = Callable[[str], bool]

MAX_EXPRESSION = 2000
_ORDERED = ("==", "!=", ">", ">=", "<", "<=")
_TEXTUAL = ("==", "!=", "in", "!in", "=~", "!~")
_WORD_OPERATORS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "exists": "exists",
    "not_exists": "!exists",
    "in": "in",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
_SUBJECTS = {
    "agentConnected": _TEXTUAL,
    "agentVersion": _ORDERED,
    "ec2InstanceId": _TEXTUAL,
    "registeredAt": _ORDERED,
    "runningTasksCount": _ORDERED,
    "task:group": (*_TEXTUAL, "exists", "!exists"),
}
_ATTRIBUTE_OPERATORS = (*_ORDERED, "in", "!in", "=~", "!~", "exists", "!exists")
_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|>=|<=|=~|!~|&&|\|\||>|<|!in\b|!exists\b|!|\(|\)|\[|\]|,)
    |'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<word>[^\s()\[\],'"!=<>&|~]+))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # operator, word, text (quoted) or end
    value: str


def _invalid(why: str) -> EcsError:
    return invalid_parameter(f"Invalid expression: {why}")


def _raw_argument(text: str, start: int) -> int:
    """The end of a regular expression: a space or a parenthesis that it did not open."""
    depth, position = 0, start
    while position < len(text) and not text[position].isspace():
        if text[position] in "([":
            depth += 1
        elif text[position] in ")]":
            depth -= 1
            if depth < 0:
                break
        position += 1
    return position


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while text[position:].strip():
        previous = found[-1] if found else _Token("end", "")
        start = position + len(text[position:]) - len(text[position:].lstrip())
        is_pattern = previous in (
            _Token("operator", "=~"),
            _Token("operator", "!~"),
            _Token("word", "matches"),
            _Token("word", "not_matches"),
        )
        if is_pattern and text[start] not in "'\"":
            position = _raw_argument(text, start)
            found.append(_Token("text", text[start:position]))
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise _invalid(f"unexpected {text[start]!r} at {start}")
        position = match.end()
        if match["operator"]:
            found.append(_Token("operator", match["operator"]))
        elif match["word"]:
            found.append(_Token("word", match["word"]))
        else:
            found.append(_Token("text", match["single"] or match["double"] or ""))
    return [*found, _Token("end", "")]


class _Parser:
    """Recursive descent over the tokens; every method consumes what it understands."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def whole(self) -> Predicate:
        predicate = self._any()
        if self._peek.kind != "end":
            raise _invalid(f"unexpected {self._peek.value!r}")
        return predicate

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _accepts(self, *values: str) -> bool:
        if self._peek.kind in ("operator", "word") and self._peek.value in values:
            self._take()
            return True
        return False

    def _expects(self, value: str) -> None:
        if not self._accepts(value):
            raise _invalid(f"expected {value!r}, found {self._peek.value or 'the end'!r}")

    def _any(self) -> Predicate:
        parts = [self._all()]
        while self._accepts("||", "or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda one: any(part(one) for part in parts)

    def _all(self) -> Predicate:
        parts = [self._negated()]
        while self._accepts("&&", "and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda one: all(part(one) for part in parts)

    def _negated(self) -> Predicate:
        if self._accepts("!", "not"):
            inner = self._negated()
            return lambda one: not inner(one)
        if self._accepts("("):
            inside = self._any()
            self._expects(")")
            return inside
        return self._expression()

    def _expression(self) -> Predicate:
        subject = self._take()
        if subject.kind != "word":
            raise _invalid(f"expected a subject, found {subject.value or 'the end'!r}")
        token = self._take()
        operator = _WORD_OPERATORS.get(token.value, token.value)
        is_attribute = subject.value.startswith("attribute:")
        allowed = _ATTRIBUTE_OPERATORS if is_attribute else _SUBJECTS.get(subject.value)
        if allowed is None:
            raise _invalid(f"unknown subject {subject.value!r}")
        if token.kind not in ("operator", "word") or operator not in allowed:
            raise _invalid(f"operator {token.value!r} is not allowed for {subject.value}")
        arguments = self._arguments(operator)
        return _predicate(subject.value, operator, arguments)

    def _arguments(self, operator: str) -> list[str]:
        if operator in ("exists", "!exists"):
            return []
        if operator in ("in", "!in"):
            self._expects("[")
            values = [self._value()]
            while self._accepts(","):
                values.append(self._value())
            self._expects("]")
            return values
        return [self._value()]

    def _value(self) -> str:
        token = self._take()
        if token.kind not in ("word", "text"):
            raise _invalid(f"expected a value, found {token.value or 'the end'!r}")
        return token.value


def _predicate(subject: str, operator: str, arguments: list[str]) -> Predicate:
    if subject.startswith("attribute:"):
        return _attribute(subject.removeprefix("attribute:"), operator, arguments)
    if subject == "task:group":
        return _group(operator, arguments)
    if subject in ("agentConnected", "ec2InstanceId"):
        test = _textual(operator, arguments)
        if subject == "ec2InstanceId":
            return lambda one: test(one.ec2_id)
        return lambda one: test("true" if one.agent_connected else "false")
    return _ordered(subject, operator, arguments[0])


def _attribute(name: str, operator: str, arguments: list[str]) -> Predicate:
    if operator == "exists":
        return lambda one: name in one.attributes
    if operator == "!exists":
        return lambda one: name not in one.attributes
    if operator in (">", ">=", "<", "<="):
        compare, limit = _comparison(operator), _number(arguments[0])
        return lambda one: (
            _is_number(one.attributes.get(name))
            and compare(float(one.attributes[name] or 0), limit)
        )
    test = _textual(operator, arguments)
    return lambda one: name in one.attributes and test(one.attributes[name] or "")


def _group(operator: str, arguments: list[str]) -> Predicate:
    positive = operator.lstrip("!") if operator.startswith("!") else operator
    negated = operator in ("!=", "!in", "!~", "!exists")
    positive = {"=": "==", "~": "=~"}.get(positive, positive)
    test: Test = (lambda _: True) if positive == "exists" else _textual(positive, arguments)

    def in_group(one: Instance) -> bool:
        return any(task.wanted and test(task.launch.group) for task in one.tasks.values())

    return (lambda one: not in_group(one)) if negated else in_group


def _textual(operator: str, arguments: list[str]) -> Test:
    if operator in ("=~", "!~"):
        try:
            pattern = re.compile(arguments[0])
        except re.error as error:
            raise _invalid(f"regular expression {arguments[0]!r}: {error}") from error
        if operator == "=~":
            return lambda value: pattern.fullmatch(value) is not None
        return lambda value: pattern.fullmatch(value) is None
    if operator in ("==", "in"):
        return lambda value: value in arguments
    return lambda value: value not in arguments


def _ordered(subject: str, operator: str, argument: str) -> Predicate:
    compare = _comparison(operator)
    if subject == "runningTasksCount":
        count = _number(argument)
        return lambda one: compare(one.running, count)
    if subject == "agentVersion":
        version = _version(argument)
        return lambda one: compare(_version(one.agent_version), version)
    moment = _moment(argument)
    return lambda one: compare(one.registered_at, moment)


def _comparison(operator: str) -> Callable[[Any, Any], bool]:
    return {
        "==": eq,
        "!=": ne,
        "<": lt,
        "<=": le,
        ">": gt,
        ">=": ge,
    }[operator]


def _is_number(value: str | None) -> bool:
    return value is not None and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


def _number(value: str) -> float:
    if not _is_number(value):
        raise _invalid(f"{value!r} is not a number")
    return float(value)


def _version(value: str) -> tuple[int, ...]:
    parts = value.split(".")
    if not all(part.isdigit() for part in parts):
        raise _invalid(f"{value!r} is not a version")
    return tuple(int(part) for part in parts)


def _moment(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise _invalid(f"{value!r} is not a time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=256)
def parse_query(expression: str) -> Predicate:
    """The predicate of an expression; InvalidParameterException when it cannot be parsed."""
    if len(expression) > MAX_EXPRESSION:
        raise _invalid(f"longer than {MAX_EXPRESSION} characters")
    return _Parser(_tokens(expression)).whole()
