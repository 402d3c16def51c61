"""Reads a policy file; every complaint names file, line and field, what was expected, and the
nearest valid name.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ecs_scheduler.errors import InvalidPolicyFile
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.policies.document import PolicyFile, PolicyTable

SCHEMA_ID = "urn:ecs-scheduler:policies:1"


def read_book(path: Path) -> PolicyBook:
    """The policies of a file; raises InvalidPolicyFile with all that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPolicyFile(f"{path}: cannot be read: {error}") from error
    return book_of(text, str(path))


def book_of(text: str, source: str) -> PolicyBook:
    """The policies of a file's text; raises InvalidPolicyFile."""
    try:
        return PolicyFile.model_validate(tomllib.loads(text)).book(source)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = f":{at[1]}" if at else f":{len(text.splitlines())}"
        why = re.sub(r" \(at line.*", "", str(error))
        column = f", at column {at[2]}" if at else ""
        raise InvalidPolicyFile(f"{source}{line}: is not TOML{column}: {why}") from error
    except ValidationError as error:
        lines = Lines(text)
        told = [_complaint(each, lines, source) for each in error.errors(include_url=False)]
        raise InvalidPolicyFile("\n".join(told)) from error


def policy_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a policy file, for editors that check TOML by one."""
    schema = PolicyFile.model_json_schema()
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "ecs-scheduler policies",
    }
    return {**head, **{key: value for key, value in schema.items() if key not in head}}


class Lines:
    """On which line of a TOML text a key stands."""

    def __init__(self, text: str) -> None:
        self._text = text.splitlines()
        self._at: dict[tuple[str, ...], tuple[int, int]] = {}
        table: tuple[str, ...] = ()
        seen: dict[tuple[str, ...], int] = {}
        for start, end in _statements(self._text):
            statement = "\n".join(self._text[start:end])
            path = _path(tomllib.loads(statement))
            if statement.lstrip().startswith("[["):
                number = seen[path] = seen.get(path, -1) + 1
                table = (*path, str(number))
            elif statement.lstrip().startswith("["):
                table = path
            else:
                path = (*table, *path)
            for length in range(1, len(path) + 1):
                self._at.setdefault(path[:length], (start, end))
            self._at.setdefault(table, (start, end))

    def of(self, path: Sequence[str]) -> int:
        """The line, from 1, of this key or of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            found = self._at.get(tuple(path[:length]))
            if found is not None:
                return 1 + self._within(found, path[length:])
        return 1

    def _within(self, found: tuple[int, int], names: Sequence[str]) -> int:
        """Inline tables and arrays: the line inside the statement where the names come one after
        the other.
        """
        line = found[0]
        for name in names:
            key = re.compile(rf"""(?<![\w.-])["']?{re.escape(name)}["']?\s*=""")
            line = next((at for at in range(line, found[1]) if key.search(self._text[at])), line)
        return line


def _statements(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each header and each key with its value begins and ends."""
    start = 0
    for at, line in enumerate(lines):
        if start == at and (not line.strip() or line.lstrip().startswith("#")):
            start = at + 1
            continue
        try:
            tomllib.loads("\n".join(lines[start : at + 1]))
        except tomllib.TOMLDecodeError:
            continue
        yield start, at + 1
        start = at + 1


def _path(document: Any) -> tuple[str, ...]:
    """The keys that one statement opens, as far as each table holds a single one."""
    path: list[str] = []
    while isinstance(document, dict) and len(document) == 1:
        key, document = next(iter(document.items()))
        path.append(key)
        if isinstance(document, list) and document and isinstance(document[0], dict):
            document = document[0]
    return tuple(path)


def _complaint(details: ErrorDetails, lines: Lines, source: str) -> str:
    context = details.get("ctx", {})
    path = [str(part) for part in details["loc"] if part != "[key]"]
    path = [str(part) for part in context.get("path", path)]
    shown = ".".join(path) or "the file"
    return f"{source}:{lines.of(path)}: {shown}: {_message(details, path)}"


def _message(details: ErrorDetails, path: Sequence[str]) -> str:
    kind, value = details["type"], details["input"]
    context = details.get("ctx", {})
    if kind in ("told", "relation"):
        return str(context["why"])
    if kind == "extra_forbidden":
        names = sorted(_fields(PolicyFile, list(path[:-1])))
        near = get_close_matches(path[-1], names, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"is no field here, expected one of {', '.join(names)}{hint}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        names = re.findall(r"'(\w+)'", str(context["expected"]))
        near = get_close_matches(str(value), names, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{value!r} is unknown, expected one of {', '.join(names)}{hint}"
    if kind == "too_long":
        return f"{context['actual_length']} given, at most {context['max_length']} are allowed"
    expected = details["msg"].removeprefix("Input should ").removeprefix("be ")
    return f"expected {expected.removeprefix('a valid ')}, given {value!r}"


def _fields(model: type[BaseModel], path: list[str]) -> set[str]:
    """The names that a table at `path` may hold."""
    if not path:
        return set(model.model_fields)
    if model is PolicyFile and path[0] == "policies" and len(path) > 1:
        return _fields(PolicyTable, path[2:])
    field = model.model_fields.get(path[0])
    if field is None:
        return set()
    inner = next(iter(_models(field.annotation)), None)
    return set() if inner is None else _fields(inner, [p for p in path[1:] if not p.isdigit()])


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)
