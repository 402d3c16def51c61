"""An operation of the queue, once, without I/O: a Command is a script, its arguments, and how to
read its answer. `client.Queue` and `sync.SyncQueue` run the same commands.

The scripts are the .lua files beside this module, linked to what they share (`linking`). The keys
known beforehand are declared; the others (one per job, owner, token, task) share their hash tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ecs_queue.linking import Shared

if TYPE_CHECKING:  # the worker runs where no pydantic is
    from ecs_queue.states import QueueName

T = TypeVar("T")

_STATIC_KEYS = (
    "inbox",
    "ready",
    "delayed",
    "owners",
    "claims",
    "intents",
    "live",
    "cancels",
    "dead",
    "events",
    "seq",
    "epoch",
    "in:STARTING",
    "in:RUNNING",
    "in:SUCCEEDED",
    "in:FAILED",
    "in:CANCELLED",
    "timeouts",
    "due",
    "suspended",
    "paused",
)

_SHARED = ("prelude", "holding", "waiting", "ending", "past", "arrays", "steering", "gangs")
_REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What a queue keeps and allows; every client of one queue should use the same.

    `retention_s`: how long a terminal job can be looked up, and its id stays taken.
    `infrastructure_budget`: infrastructure failures after which a job is given up.
    `events_kept`: about how many transitions the events stream holds.
    `ended_kept`: how many jobs of each terminal state are kept, the newest.
    `dead_letters_kept`: about how many dead letters are kept, the newest.
    """

    retention_s: int = 7 * 86_400
    infrastructure_budget: int = 100
    events_kept: int = 100_000
    ended_kept: int = 1_000_000
    dead_letters_kept: int = 100_000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name == "infrastructure_budget" else 1
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")


DEFAULT_SETTINGS = QueueSettings()


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """One call of one script; `parse` turns its raw answer (bytes, ints, lists) into T.

    `alone`: its answer is long, so that it is not sent with others, which would wait behind it.
    """

    script: str
    args: tuple[str | bytes | int, ...]
    parse: Callable[[Any], T]
    alone: bool = False


class Runs(Protocol):
    """What runs a command against Redis."""

    async def __call__(self, command: Command[T], /) -> T:
        """The parsed answer."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every call of one queue carries: its keys, the time, and the settings.

    `now_ms` None leaves the time to the server.
    """

    name: QueueName
    settings: QueueSettings
    now_ms: Callable[[], int] | None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.name):
            raise ValueError(
                f"a queue's name has 1 to 64 letters, digits, _ . or -, unlike {self.name!r}"
            )

    @property
    def prefix(self) -> str:
        """What all keys of the queue begin with."""
        return f"{{q:{self.name}}}:"

    def keys(self) -> list[bytes]:
        """KEYS of every script, encoded once."""
        return [(self.prefix + key).encode() for key in _STATIC_KEYS]

    def args(self, command: Command[T]) -> list[str | bytes | int]:
        """ARGV: what all scripts share, then the command's own."""
        now = "" if self.now_ms is None else self.now_ms()
        settings = self.settings
        kept = f"{settings.events_kept}:{settings.ended_kept}:{settings.dead_letters_kept}"
        shared = (self.prefix, now, settings.retention_s, kept)
        return [*shared, *command.args]


@cache
def sources() -> dict[str, str]:
    """The source of every script by its name, behind what it needs of the shared text."""
    folder = resources.files("ecs_queue") / "lua"
    texts = {
        entry.name.removesuffix(".lua"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".lua")
    }
    shared = Shared.of("\n\n".join(texts.pop(name) for name in _SHARED))
    return {name: shared.linked(text) for name, text in texts.items()}


def text(value: bytes) -> str:
    """A reply as text; bytes that are no UTF-8 are shown as escapes."""
    return value.decode("utf-8", "backslashreplace")


def line(reason: str) -> str:
    """A reason as one line of bounded length, as the queue stores it."""
    flat = " ".join(reason.split())
    return flat if len(flat) <= _REASON_CHARACTERS else flat[: _REASON_CHARACTERS - 1] + "…"


def pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    """A flat reply as pairs."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def chunks(flat: list[Any], size: int) -> list[list[Any]]:
    """A flat reply as groups of `size`."""
    return [flat[i : i + size] for i in range(0, len(flat), size)]
