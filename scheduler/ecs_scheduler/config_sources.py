"""Fills a Config from flags, environment and a TOML file, in that order of precedence.

Every complaint names the setting and the place it came from. Nothing here is needed to build a
Config in code.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ecs_queue.job import Fallback
from ecs_scheduler.config import Config, Settings, without_password
from ecs_scheduler.errors import ConfigurationError
from ecs_scheduler.policy_settings import PolicySettings
from ecs_scheduler.sharing.settings import FamilySettings, ShareSettings

PREFIX = "ECS_SCHEDULER_"
DEFAULT_FILE = "ecs-scheduler.toml"

CONVENTIONAL = {
    "redis_url": ("REDIS_URL",),
    "cluster": ("ECS_CLUSTER",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
"""Variables that other tools set too; ours, with the prefix, come before them."""

TEXTS = frozenset({"redis_url", "queue", "cluster", "region", "profile", "endpoint_url"})
"""Settings whose variable is the value itself."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Values from one place; `names` holds what the user called a setting there, by dotted path."""

    values: Mapping[str, Any]
    names: Mapping[str, str]
    place: str

    def depth(self, path: tuple[str, ...]) -> int:
        """How many steps of `path` lead to a value from here."""
        at: Any = self.values
        for steps, key in enumerate(path):
            if not isinstance(at, Mapping) or key not in at:
                return steps
            at = at[key]
        return len(path)

    def name_of(self, path: tuple[str, ...]) -> str:
        """What the user wrote for `path`, or for the nearest thing around it."""
        for length in range(len(path), 0, -1):
            dotted = ".".join(path[:length])
            if dotted in self.names:
                return self.names[dotted]
            below = [name for each, name in self.names.items() if each.startswith(dotted + ".")]
            if below:
                return below[0]
        return self.place


def load_config(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    directory: Path,
    file: Path | None = None,
) -> Config:
    """The configuration; `flags` holds only what was given on the command line.

    Without `file` (or the variable ECS_SCHEDULER_CONFIG), ecs-scheduler.toml in `directory` is read
    if it exists. Raises ConfigurationError.
    """
    named = file or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    sources = (
        _from_flags(flags),
        _from_environment(environ),
        _from_toml(directory / DEFAULT_FILE if named is None else named, named is not None),
    )
    merged: dict[str, Any] = {}
    for source in reversed(sources):
        merged = _merge(merged, source.values)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, sources)) from error


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """One warning per ECS_SCHEDULER_ variable that is nearly, but not quite, a setting.

    Others are let be: Kubernetes sets ECS_SCHEDULER_PORT and more of its own beside a Service.
    """
    known = [(PREFIX + field).upper() for field in Settings.model_fields] + [PREFIX + "CONFIG"]
    warnings = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.partition("__")[0] not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            warnings += [f"{name} is not a setting; did you mean {close[0]}?"] if close else []
    return warnings


def _from_flags(flags: Mapping[str, Any]) -> _Source:
    names = {field: "--" + field.replace("_", "-") for field in flags}
    return _Source(flags, names, "the command line")


def _from_environment(environ: Mapping[str, str]) -> _Source:
    present = {name: value for name, value in environ.items() if value}
    names: dict[str, str] = {}
    for field in Settings.model_fields:
        own = PREFIX + field.upper()
        for name in (own, *CONVENTIONAL.get(field, ())):
            if name in present:
                present.setdefault(own, present[name])
                names.setdefault(field, name)
    for name in present:
        if name.startswith(PREFIX) and "__" in name:
            names[name.removeprefix(PREFIX).lower().replace("__", ".")] = name
    if names.keys() <= TEXTS:
        values = {field: present[PREFIX + field.upper()] for field in names}
    else:
        # Here, because most commands need none of what it imports, which takes a tenth of a second.
        from ecs_scheduler.config_environment import values_of

        values = values_of(present, names, PREFIX)
    return _Source(values, names, "the environment")


def _from_toml(path: Path, required: bool) -> _Source:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigurationError(f"--config: there is no file {path}") from None
        values = {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from error
    return _Source(values, {}, f"in {path}")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        beneath = merged.get(key)
        if isinstance(value, Mapping) and isinstance(beneath, Mapping):
            merged[key] = _merge(beneath, value)
        else:
            merged[key] = value
    return merged


def explain_flags(error: ValidationError) -> str:
    """What is wrong with settings that were all given as flags."""
    lines = []
    for each in error.errors(include_url=False):
        path = tuple(str(part) for part in each["loc"])
        flag = "--" + ".".join(path).replace("_", "-")
        lines.append(f"{flag}: {_complaint(each, path)}")
    return "\n".join(lines)


def _explain(error: ValidationError, sources: tuple[_Source, ...]) -> str:
    lines = []
    for each in error.errors(include_url=False):
        field = each.get("ctx", {}).get("field", "")
        path = tuple(str(part) for part in each["loc"]) or (str(field),)
        source = max(sources, key=lambda source: source.depth(path))
        origin = source.name_of(path) if source.depth(path) else "by default"
        lines.append(f"{'.'.join(path)} ({origin}): {_complaint(each, path)}")
    return "\n".join(lines)


def _complaint(details: ErrorDetails, path: tuple[str, ...]) -> str:
    message = _message(details["type"], details["msg"], path)
    value = details["input"]
    if path == ("redis_url",):
        return f"{message}; it is {without_password(str(value))!r}"
    if isinstance(value, str | int | float) and details["type"] != "extra_forbidden":
        return f"{message}; it is {value!r}"
    return message


def _message(kind: str, message: str, path: tuple[str, ...]) -> str:
    if kind == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {
            "policy": PolicySettings,
            "fallback": Fallback,
            "shares": ShareSettings,
            "families": FamilySettings,
        }
        model = tables.get(path[0], Settings) if len(path) > 1 else Settings
        close = difflib.get_close_matches(path[-1].replace("-", "_"), model.model_fields, n=1)
        return "is not a setting" + (f"; did you mean {close[0]}?" if close else "")
    if kind == "missing":
        return "is missing"
    if kind == "model_type":
        return "should be a table (in JSON an object)"
    examples = Settings.model_fields[path[0]].examples if path[0] in Settings.model_fields else ()
    if kind == "string_pattern_mismatch" and examples:
        return "should look like " + " or ".join(repr(example) for example in examples)
    return message.removeprefix("Value error, ").replace("Input should", "should", 1)
