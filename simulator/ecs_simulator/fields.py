"""Reading members out of a request, with AWS's answers to what has the wrong type or length."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ecs_simulator.errors import invalid_parameter, serialization_error

Request = Mapping[str, Any]
Item = TypeVar("Item")

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]*\Z")
_CLIENT_TOKEN = re.compile(r"[!-~]{1,64}\Z")


def _typed(request: Request, name: str, kinds: tuple[type, ...], expected: str) -> Any:
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise serialization_error(f"{name}: expected {expected}, got {type(value).__name__}")
    return value


def text(request: Request, name: str) -> str | None:
    """A string member, None when absent."""
    value: str | None = request.get(name)
    return value if value is None or type(value) is str else _typed(request, name, (str,), "string")


def required_text(request: Request, name: str, label: str) -> str:
    """A string member that may be neither absent nor empty; `label` is how AWS's message calls
    it."""
    value = text(request, name)
    if not value:
        raise invalid_parameter(f"{label} can not be blank.")
    return value


def integer(request: Request, name: str, default: int) -> int:
    """An integer member."""
    value = _typed(request, name, (int,), "integer")
    return default if value is None else int(value)


def flag(request: Request, name: str) -> bool:
    """A boolean member, False when absent."""
    return bool(_typed(request, name, (bool,), "boolean"))


def choice(request: Request, name: str, allowed: Sequence[str]) -> str | None:
    """A string member that is one of `allowed`."""
    value = text(request, name)
    if value is not None and value not in allowed:
        raise invalid_parameter(f"{name} should be one of [{','.join(allowed)}]")
    return value


def struct(request: Request, name: str) -> dict[str, Any]:
    """An object member, empty when absent."""
    return _typed(request, name, (dict,), "structure") or {}


def structs(request: Request, name: str) -> list[dict[str, Any]]:
    """A list of objects, empty when absent."""
    value: list[dict[str, Any]] = _typed(request, name, (list,), "list") or []
    if any(not isinstance(item, dict) for item in value):
        raise serialization_error(f"{name}: expected a list of structures")
    return value


def texts(request: Request, name: str) -> list[str]:
    """A list of strings, empty when absent."""
    value: list[str] = _typed(request, name, (list,), "list") or []
    if any(type(item) is not str for item in value):
        raise serialization_error(f"{name}: expected a list of strings")
    return value


def included(request: Request, *known: str) -> list[str]:
    """`include`: what a Describe is to show besides, out of what is `known` to AWS's model."""
    values = texts(request, "include")
    if any(value not in known for value in values):
        raise invalid_parameter(f"include should be one of [{','.join(known)}]")
    return values


_LABELS = {
    "containerInstances": ("Container Instances", "instanceIds"),
    "tasks": ("Tasks", "taskIds"),
}


def identifiers(request: Request, name: str, most: int) -> list[str]:
    """The ids or ARNs of a batch operation: at least one, at most `most`."""
    values = texts(request, name)
    label, ids = _LABELS[name]
    if not values:
        raise invalid_parameter(f"{label} cannot be empty.")
    if len(values) > most:
        raise invalid_parameter(f"{ids} can have at most {most} items")
    return values


def tags(request: Request) -> list[dict[str, str]]:
    """The `tags` member, with AWS's limits on number and length."""
    values = structs(request, "tags")
    if len(values) > 50:
        raise invalid_parameter("The number of tags exceeds the limit of 50.")
    for tag in values:
        key, value = tag.get("key"), tag.get("value", "")
        if not isinstance(key, str) or not 1 <= len(key) <= 128 or len(str(value)) > 256:
            raise invalid_parameter("A tag key has 1 to 128 characters and a value at most 256.")
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys that begin with aws: are reserved.")
    return values


def started_by(request: Request, most: int) -> str | None:
    """`startedBy`: letters, digits, hyphen, slash and underscore, at most `most` characters."""
    value = text(request, "startedBy")
    if value is None:
        return None
    if len(value) > most:
        raise invalid_parameter(f"startedBy longer than {most}.")
    if not _STARTED_BY.match(value):
        raise invalid_parameter("startedBy contains invalid characters.")
    return value


def client_token(request: Request) -> str | None:
    """`clientToken`: up to 64 characters out of ASCII 33 to 126."""
    value = text(request, "clientToken")
    if value is not None and not _CLIENT_TOKEN.match(value):
        raise invalid_parameter(
            "clientToken must have 1 to 64 characters in the range of 33 to 126."
        )
    return value


def page(
    request: Request, most: int, numbered: Callable[[int], Sequence[tuple[int, Item]]]
) -> tuple[list[Item], str | None]:
    """One page and the token of the next; `numbered(after)` gives (running number, item) beyond
    `after`.

    It may stop after `most` + 1 items, for which `page_limit` tells the number.
    """
    limit = page_limit(request, most)
    token = text(request, "nextToken")
    rest = numbered(_decode(token) if token else 0)
    items = [item for _, item in rest[:limit]]
    following = _encode(rest[limit - 1][0]) if len(rest) > limit else None
    return items, following


def page_limit(request: Request, most: int) -> int:
    """How many items one page holds: maxResults, between 1 and 100, and never above `most`."""
    asked = integer(request, "maxResults", most)
    if not 1 <= asked <= 100:
        raise invalid_parameter("maxResults must be between 1 and 100.")
    return min(asked, most)


def _encode(number: int) -> str:
    return urlsafe_b64encode(json.dumps({"after": number}).encode()).decode()


def _decode(token: str) -> int:
    try:
        return int(json.loads(urlsafe_b64decode(token.encode()))["after"])
    except (Base64Error, ValueError, KeyError, TypeError) as error:
        raise invalid_parameter("Invalid token.") from error
