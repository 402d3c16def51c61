"""The children of an array one by one, by their index; `Queue.job` knows more of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecs_queue.errors import UnknownJob
from ecs_queue.job import MAX_ARRAY_SIZE, JobId
from ecs_queue.script import Command, chunks
from ecs_queue.states import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Child:
    """How one child stands; what is kept of it says `lua/past.lua`. `launches` is None where an
    ended child was launched and nobody knows any more how often.
    """

    id: JobId
    index: int
    state: JobState
    exit_code: int | None
    reason: str
    launches: int | None


@dataclass(frozen=True, slots=True)
class Children:
    """Some of the children; `go_on_at` is the index to look further from, None at the end."""

    found: tuple[Child, ...]
    go_on_at: int | None


Run = Callable[[Command[Children]], Awaitable[Children]]


async def look_at_children(
    run: Run, array: JobId, state: JobState | None = None, *, limit: int, offset: int = 0
) -> Children:
    """Up to `limit` children in this state (None: in any), from the index `offset` on.

    Raises:
        UnknownJob: no such array.
    """
    found: list[Child] = []
    at: int | None = min(offset, MAX_ARRAY_SIZE)
    while at is not None and len(found) < limit:
        page = await run(_page(array, state, at, limit - len(found)))
        found += page.found
        at = page.go_on_at
    return Children(tuple(found), at)


def _page(array: JobId, state: JobState | None, at: int, most: int) -> Command[Children]:
    def parse(reply: Sequence[Any] | None) -> Children:
        if reply is None:
            raise UnknownJob(f"no array {array!r} in this queue")
        go_on_at, *rest = reply
        found = tuple(
            Child(
                JobId(f"{array}:{int(index)}"),
                int(index),
                JobState(word.decode()),
                int(exit_code) if exit_code else None,
                reason.decode(errors="replace"),
                int(launches) if launches else None,
            )
            for index, word, exit_code, reason, launches in chunks(rest, 5)
        )
        return Children(found, None if int(go_on_at) < 0 else int(go_on_at))

    return Command("children", (array, state or "", at, most), parse)
