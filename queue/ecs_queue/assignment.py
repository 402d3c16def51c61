"""Between a task and its job: what the task is to do, how far it is, and what came of it.

A launch's secret is its token and a signature of it under the queue's own key. So one secret serves
all tasks of a call, nothing is stored for it, and it ends with the launch.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ecs_queue.payload import compact
from ecs_queue.script import Command, text

if TYPE_CHECKING:  # the worker runs where no pydantic is
    from ecs_queue.states import LaunchToken, TaskArn

MAX_RESULT_BYTES = 64 * 1024
MAX_PROGRESS_BYTES = 1024
PROGRESS_CHARACTERS = 200

Act = Literal["look", "progress", "result"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a task is to do; `attempt` counts from 1, `payload` is JSON or None."""

    job_id: str
    attempt: int
    array_index: int | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class NotYet:
    """The launch is under way and its tasks are not known yet: ask again."""


@dataclass(frozen=True, slots=True)
class Over:
    """The task counts as ended; its job went to this state."""

    state: str


@dataclass(frozen=True, slots=True)
class NotYours:
    """The secret belongs to another launch, or is none."""


@dataclass(frozen=True, slots=True)
class NoSuchTask:
    """No task of this ARN was launched by this queue, or it ended long ago."""


Answer = Assignment | NotYet | Over | NotYours | NoSuchTask


def ask(
    act: Act, task_arn: TaskArn, token: LaunchToken | None, told: bytes = b""
) -> Command[Answer]:
    """Look at the assignment of a task, or report its progress or result.

    `token` None is for who reaches Redis itself, and so needs no secret.
    """
    return Command("task", (task_arn, token or "", act, told), _answer)


def payload(job_id: str) -> Command[bytes | None]:
    """A job's payload as JSON; None where it has none, or is not there."""
    return Command("payload", (job_id,), lambda reply: reply or None)


def signing_key() -> Command[bytes]:
    """The queue's key for secrets; made up at the first call."""
    return Command("signing_key", (secrets.token_hex(32),), bytes)


def secret_of(token: LaunchToken, key: bytes) -> str:
    """What the tasks of a launch show."""
    return f"{token}.{_signature(token, key)}"


def token_of(secret: str, key: bytes) -> LaunchToken | None:
    """The launch that a secret was made for; None for a forged one. Takes the same time for any."""
    token, _, signature = secret.rpartition(".")
    genuine = hmac.compare_digest(signature.encode(), _signature(token, key).encode())
    return token if genuine else None  # type: ignore[return-value]  # no NewType at run time


def progress_text(progress: object) -> bytes:
    """A text or number as one line of bounded length."""
    flat = " ".join(str(progress).split())
    return flat[:PROGRESS_CHARACTERS].encode("utf-8", "replace")


def result_json(result: Any) -> bytes:
    """A result as it is stored.

    Raises:
        ValueError: it is no JSON, or too large.
    """
    try:
        return _bounded(compact(result))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a result is JSON: {error}") from None


def checked_result(raw: bytes) -> bytes:
    """A result that came as JSON, as it is stored.

    Raises:
        ValueError: it is no JSON, or too large.
    """
    _bounded(raw)
    try:
        return result_json(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the result is not JSON: {error}") from None


def _bounded(written: bytes) -> bytes:
    if len(written) > MAX_RESULT_BYTES:
        raise ValueError(
            f"the result has {len(written)} bytes; at most {MAX_RESULT_BYTES} are taken:"
            " keep large data elsewhere and report a reference to it"
        )
    return written


def _signature(token: str, key: bytes) -> str:
    return hmac.new(key, token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _answer(reply: list[bytes]) -> Answer:
    word, *rest = (text(each) for each in reply[:4])
    match word:
        case "OK":
            job_id, failed, index = rest
            found = reply[4] or None
            return Assignment(job_id, int(failed) + 1, int(index) if index else None, found)
        case "LATER":
            return NotYet()
        case "ENDED":
            return Over(rest[0])
        case "STRANGER":
            return NotYours()
        case _:
            return NoSuchTask()
