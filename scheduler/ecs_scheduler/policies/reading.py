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

LARGEST_BYTES = 256 * 1024
"""A book of a thousand policies has less; a reload must not stop the service for long."""

LONGEST_SHOWN = 100
SCHEMA_ID = "urn:ecs-scheduler:policies:1"


def read_book(path: Path) -> PolicyBook:
    """The policies of a file; raises InvalidPolicyFile with all that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise InvalidPolicyFile(
                f"{path}: has more than {LARGEST_BYTES} bytes, expected a file of policies"
            )
        return book_of(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        byte = content[error.start]
        raise InvalidPolicyFile(f"{path}:{line}: is not UTF-8: byte 0x{byte:02x}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidPolicyFile(f"{path}: cannot be read: {reason}") from error


def book_of(text: str, source: str) -> PolicyBook:
    """The policies of a file's text; raises InvalidPolicyFile."""
    try:
        return PolicyFile.model_validate(tomllib.loads(text)).book(source)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = f":{at[1]}" if at else f":{max(1, len(text.splitlines()))}"
        why = re.sub(r" \(at line.*", "", str(error))
        column = f", at column {at[2]}" if at else ""
        raise InvalidPolicyFile(f"{source}{line}: is not TOML{column}: {why}") from error
    except RecursionError as error:
        raise InvalidPolicyFile(f"{source}: arrays or tables are nested too deeply") from error
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
        if at > start and not _may_end(line):
            continue
        try:
            tomllib.loads("\n".join(lines[start : at + 1]))
        except tomllib.TOMLDecodeError:
            continue
        yield start, at + 1
        start = at + 1


def _may_end(line: str) -> bool:
    """Whether a statement of several lines may end here; most of its lines need no second look."""
    return "#" in line or line.rstrip().endswith(("]", "}", '"', "'"))


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


_EXPECTED = {
    "string_pattern_mismatch": "letters, digits, _ . and -, 64 at most and no sign first",
    "dict_type": "table",
    "model_type": "table",
}


def _message(details: ErrorDetails, path: Sequence[str]) -> str:
    kind, value = details["type"], details["input"]
    context = details.get("ctx", {})
    if kind in ("told", "relation"):
        return str(context["why"])
    if kind == "extra_forbidden":
        names = sorted(_fields(PolicyFile, list(path[:-1])))
        return f"is no field here, {_one_of(names, path[-1])}"
    if kind == "literal_error":
        names = re.findall(r"'(\w+)'", str(context["expected"]))
        return f"{value!r} is unknown, {_one_of(names, str(value))}"
    if kind == "too_long":
        return f"{context['actual_length']} given, at most {context['max_length']} are allowed"
    said = details["msg"].removeprefix("Input should ").removeprefix("be ").removeprefix("a valid ")
    given = f"expected {_EXPECTED.get(kind, said)}, given {_short(value)}"
    return "is missing" if kind == "missing" else given


def _one_of(names: Sequence[str], given: str) -> str:
    near = get_close_matches(given, names, 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected one of {', '.join(names)}{hint}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


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
