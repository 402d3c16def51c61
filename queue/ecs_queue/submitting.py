"""Submitting many jobs: while the server takes one batch in, the next is written down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ecs_queue import producing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from ecs_queue.job import Job
    from ecs_queue.script import Runs
    from ecs_queue.submissions import Submission

JOBS_PER_TURN = 25
TURNS_TO_SEND = 6
"""Turns of the event loop after which a batch is with the server; it would idle for as many times
the writing of JOBS_PER_TURN jobs."""


async def submit(
    run: Runs,
    new_token: Callable[[], str],
    jobs: Iterable[Job],
) -> tuple[Submission, ...]:
    """Make jobs RUNNABLE in this order, one batch under way at a time; one answer a job."""
    submissions: list[Submission] = []
    sent: asyncio.Future[tuple[Submission, ...]] | None = None
    try:
        async for batch in _paced(jobs):
            command = producing.submit(new_token(), batch)  # while the one before is under way
            if sent is not None:
                submissions.extend(await sent)
            sent = asyncio.ensure_future(run(command))
            for _ in range(TURNS_TO_SEND):
                await asyncio.sleep(0)
        if sent is not None:
            submissions.extend(await sent)
    finally:
        if sent is not None:
            sent.cancel()
    return tuple(submissions)


async def _paced(jobs: Iterable[Job]) -> AsyncIterator[list[producing.Written]]:
    """Batches, with a turn for the rest of the event loop every few jobs: the batch on its way to
    the server gets there while the next is written down.
    """
    forming = producing.Batches()
    for number, job in enumerate(jobs):
        if number % JOBS_PER_TURN == 0:
            await asyncio.sleep(0)
        if batch := forming.add(job):
            yield batch
    if batch := forming.rest():
        yield batch
