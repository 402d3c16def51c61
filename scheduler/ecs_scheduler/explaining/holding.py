"""What keeps a job that is only planned from starting although there is room: its own conditions,
its policy's windows, its share's quotas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_queue.errors import UnknownJob
from ecs_queue.timing import shown
from ecs_scheduler.sharing.fairness import Waiting, rank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_placement.request import Shape
    from ecs_queue.client import Queue
    from ecs_queue.job import Job
    from ecs_scheduler.policies.book import NamedPolicy
    from ecs_scheduler.sharing.fairness import Cluster
    from ecs_scheduler.sharing.rules import Rules

MOST_DEPENDENCIES = 20


async def dependencies_open(job: Job, queue: Queue) -> list[str]:
    """The first jobs that it waits for, each in a sentence."""
    said = []
    for each in job.depends_on[:MOST_DEPENDENCIES]:
        if not each.job:
            continue  # each child waits for the one before it
        try:
            state = (await queue.job(each.job)).state
        except UnknownJob:
            said.append(f"it depends on {each.job}, which the queue does not know")
            continue
        if not state.terminal:
            said.append(f"it waits for {each.job}, which is {state.value}")
    return said


def not_yet(job: Job, policy: NamedPolicy, now_ms: int) -> Iterator[str]:
    """Times that have not come."""
    if job.not_before is not None and job.not_before * 1000 > now_ms:
        yield f"it starts not before {shown(job.not_before)}"
    if not policy.windows.open_at(now_ms):
        yield policy.closed(now_ms)


def beyond_quota(
    job: Job, shape: Shape, family: str, cluster: Cluster, rules: Rules
) -> Iterator[str]:
    """What its share may not start now."""
    demand = (shape.cpu_units, shape.memory_mib, shape.gpus)
    ranked = rank({job.share: [Waiting(job.id, demand, family)]}, cluster, rules)
    yield from (reason for _, reason in ranked.held_back)
