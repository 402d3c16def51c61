"""Sending a dead letter again, as it came or corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_queue import dead_letters

if TYPE_CHECKING:
    from ecs_queue.letters import Replay
    from ecs_queue.script import Runs


async def replay(run: Runs, entry_id: str, document: bytes | str | None) -> Replay:
    """Send a dead letter to the inbox once more, as `document` if one is given.

    Raises:
        InvalidJob: it is still no job, or would wait for itself; nothing changed.
    """
    letter = await run(dead_letters.one(entry_id))
    job = dead_letters.corrected(letter, document) if letter else None
    if job is not None and job.depends_on:
        from ecs_queue import graph_submitting  # imports networkx, which few letters need

        await graph_submitting.refuse_circle(run, job)
    return await run(dead_letters.replay(entry_id, job))
