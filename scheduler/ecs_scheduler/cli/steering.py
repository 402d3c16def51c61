"""`ecs-scheduler suspend`, `resume`, `reprioritise` and `cancel`: of single jobs, of those with
some tags or of one share, or of the whole queue.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_queue.client import Queue
from ecs_queue.job import JobId
from ecs_queue.states import (
    AlreadyEnded,
    Cancellation,
    Cancelled,
    CancelRequested,
    JobState,
    NoSuchJob,
)
from ecs_queue.steering import (
    Reprioritised,
    Resumed,
    Selector,
    Steered,
    Suspended,
    SuspendedLater,
    WaitsWithItsArray,
)
from ecs_scheduler.cli.connection import DEFAULT_QUEUE, QueueFlags
from ecs_scheduler.cli.failures import FAILED, OK, InvalidInput
from ecs_scheduler.cli.job_flags import Repeatable, pairs
from ecs_scheduler.cli.output import print_json, print_lines

Shown = tuple[str, bool]
"""What became of a job in words, and whether that is what was asked for."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Jobs that are not named one by one."""

    tag: Repeatable = ()
    """Jobs with this tag KEY=VALUE; repeatable, and then all have to match."""
    share: str | None = None
    """Jobs of this share."""
    everything: Annotated[bool, Parameter(name="--all")] = False
    """Every job of the queue."""

    @property
    def selector(self) -> Selector:
        """The jobs that these flags name."""
        return Selector(pairs("--tag", self.tag), self.share)


ByName = Which()


async def suspend(*job_ids: str, which: Which = ByName, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Suspend waiting jobs, or with --all the whole queue: nothing is launched until `resume`.

    Args:
        job_ids: Ids of the jobs.
        which: Jobs by tag or share.
        queue: The queue.
    """
    async with queue.connected() as client:
        if which.everything and _nothing_else(job_ids, which):
            await client.steering.pause("suspended by hand")
            return _whole_queue("suspended", queue)
        ids = await _named(client, job_ids, which, "suspend")
        answers = await client.steering.suspend(ids, "by hand")
    return _tell([(each.job_id, _shown(each)) for each in answers], job_ids, queue)


async def resume(*job_ids: str, which: Which = ByName, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Resume suspended jobs, or with --all the suspended queue.

    Args:
        job_ids: Ids of the jobs.
        which: Jobs by tag or share.
        queue: The queue.
    """
    async with queue.connected() as client:
        if which.everything and _nothing_else(job_ids, which):
            await client.steering.unpause()
            return _whole_queue("resumed", queue)
        ids = await _named(client, job_ids, which, "resume")
        answers = await client.steering.resume(ids)
    return _tell([(each.job_id, _shown(each)) for each in answers], job_ids, queue)


async def reprioritise(
    priority: Annotated[int, Parameter(validator=Number(gte=0, lte=1000))],
    /,
    *job_ids: str,
    which: Which = ByName,
    queue: QueueFlags = DEFAULT_QUEUE,
) -> int:
    """Give jobs another priority; running ones keep it for their retries.

    Args:
        priority: 0 to 1000; higher goes first.
        job_ids: Ids of the jobs.
        which: Jobs by tag or share.
        queue: The queue.
    """
    async with queue.connected() as client:
        ids = await _named(client, job_ids, which, "reprioritise")
        answers = await client.steering.reprioritise(ids, priority)
    return _tell([(each.job_id, _shown(each)) for each in answers], job_ids, queue)


async def cancel(*job_ids: str, which: Which = ByName, queue: QueueFlags = DEFAULT_QUEUE) -> int:
    """Cancel jobs: waiting ones at once, running ones once their task has stopped.

    Args:
        job_ids: Ids of the jobs.
        which: Jobs by tag or share.
        queue: The queue.
    """
    async with queue.connected() as client:
        ids = await _named(client, job_ids, which, "cancel")
        answers = await client.cancel(ids, "cancelled by hand")
    shown = [(each.job_id, _cancellation_shown(each)) for each in answers]
    return _tell(shown, job_ids, queue)


async def _named(
    client: Queue, job_ids: Sequence[str], which: Which, command: str
) -> Sequence[JobId]:
    if job_ids and which == ByName:
        return [JobId(each) for each in job_ids]
    if job_ids:
        raise InvalidInput(f"{command}: name jobs by their ids, or by --tag, --share or --all")
    if which == ByName:
        raise InvalidInput(f"{command}: name at least one job id, or use --tag, --share or --all")
    _nothing_else(job_ids, which)
    return await client.steering.select(which.selector)


def _nothing_else(job_ids: Sequence[str], which: Which) -> bool:
    if which.everything and (job_ids or which.tag or which.share is not None):
        raise InvalidInput("--all: means every job; leave out ids, --tag and --share")
    return True


def _whole_queue(outcome: str, flags: QueueFlags) -> int:
    if flags.output == "json":
        print_json({"queue": outcome})
    else:
        print_lines([f"the queue is {outcome}"])
    return OK


def _tell(outcomes: Sequence[tuple[JobId, Shown]], named: Sequence[str], flags: QueueFlags) -> int:
    """One line a job where jobs were named, else how many of each kind."""
    counts = Counter(text for _, (text, _) in outcomes)
    if flags.output == "json":
        print_json([{"id": each, "outcome": text} for each, (text, _) in outcomes])
    elif named:
        print_lines(f"{each}: {text}" for each, (text, _) in outcomes)
    else:
        print_lines([f"{n:,} {text}" for text, n in counts.items()] or ["no jobs"])
    return OK if all(fine for _, (_, fine) in outcomes) else FAILED


_DONE = {
    Suspended: "suspended",
    SuspendedLater: "not waiting now; suspended if it has to wait again",
    Resumed: "resumed",
    Reprioritised: "reprioritised",
}


def _shown(answer: Steered) -> Shown:
    match answer:
        case AlreadyEnded():
            return f"ended before, as {answer.state.value}", False
        case WaitsWithItsArray(job_id):
            return f"waits with its array; name {job_id.rpartition(':')[0]} as a whole", False
        case NoSuchJob():
            return "no such job in this queue", False
        case _:
            return _DONE[type(answer)], True


def _cancellation_shown(answer: Cancellation) -> Shown:
    match answer:
        case Cancelled():
            return "cancelled", True
        case CancelRequested():
            return "cancellation requested; its task is being stopped", True
        case AlreadyEnded():
            return f"ended before, as {answer.state.value}", answer.state is JobState.CANCELLED
        case NoSuchJob():
            return "no such job in this queue", False
