"""`ecs-scheduler events`: what happened."""

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
from ecs_scheduler.cli.output import one_line, print_lines, time_shown
from ecs_scheduler.web.presentation import event_as_json

POLL_S = 0.5
PAGE = 5000

Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=Number(gte=1, lte=10_000))]


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
