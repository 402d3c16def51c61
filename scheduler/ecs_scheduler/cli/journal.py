"""`ecs-scheduler dead` and `events`: what was refused, and what happened."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_queue.client import Queue
from ecs_queue.states import Event
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import OK
from ecs_scheduler.cli.output import one_line, print_json, print_lines, report, time_shown
from ecs_scheduler.presentation import dead_letter_as_json, event_as_json

POLL_S = 0.5
PAGE = 5000

Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=Number(gte=1, lte=10_000))]


async def dead(*, limit: Limit = 20, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """List dead letters, newest first: documents of the inbox that are not jobs, and why.

    Args:
        limit: Most documents to list.
        queue: The queue.
    """
    async with queue.connected() as client:
        letters = await client.dead_letters(limit=limit)
    if queue.output == "json":
        print_json([dead_letter_as_json(letter) for letter in letters])
        return OK
    for letter in letters:
        document = letter.document if len(letter.document) <= 200 else letter.document[:199] + "…"
        print_lines(
            (
                f"{time_shown(letter.at_ms)}  {letter.entry_id}",
                f"    reason:   {one_line(letter.reason)}",
                f"    document: {one_line(document)}",
            )
        )
    if not letters:
        report("no dead letters")
    return OK


async def events(
    *,
    limit: Limit = 100,
    follow: Annotated[bool, Parameter(name=["--follow", "-F"])] = False,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Show the latest transitions of jobs, oldest first; with -o json one object per line.

    Args:
        limit: How many of the latest ones to show.
        follow: Go on showing new ones until interrupted.
        queue: The queue.
    """
    async with queue.connected() as client:
        latest, last = await _latest(client, limit)
        _print(latest, queue.output)
        while follow:
            fresh = await client.events(last, limit=PAGE)
            _print(fresh, queue.output)
            last = fresh[-1].entry_id if fresh else last
            await asyncio.sleep(0 if len(fresh) == PAGE else POLL_S)
    return OK


async def _latest(client: Queue, limit: int) -> tuple[Sequence[Event], str]:
    """The last `limit` events kept, and where the next ones will come after."""
    kept: deque[Event] = deque(maxlen=limit)
    last = "-"
    while page := await client.events(last, limit=PAGE):
        kept.extend(page)
        last = page[-1].entry_id
    return tuple(kept), last


def _print(fresh: Sequence[Event], output: str) -> None:
    if output == "json":
        print_lines(json.dumps(event_as_json(event), ensure_ascii=False) for event in fresh)
        return
    print_lines(
        f"{time_shown(event.at_ms)}  {event.state.value:9}  {event.job_id}  "
        f"{one_line(event.reason)}".rstrip()
        for event in fresh
    )
