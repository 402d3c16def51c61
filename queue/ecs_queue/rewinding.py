"""A queue that went back in time: a server that restarts, or takes over from another, may have lost
the last writes.

`lead` notices that another server process answers than before, and marks the queue. Whoever leads
then compares it with what ECS runs and with what it remembers, and takes the mark away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecs_queue.job import JobId
from ecs_queue.script import Command, Runs, text
from ecs_queue.states import TaskArn


@dataclass(frozen=True, slots=True)
class Rewound:
    """Writes may be missing since some time before `at_ms`, which is `age_ms` ago."""

    at_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """A launch that ECS acknowledged, as a scheduler remembers it."""

    job_id: JobId
    task_arn: TaskArn


def rewound() -> Command[Rewound | None]:
    """The mark; None where there is none."""

    def parse(reply: list[Any] | None) -> Rewound | None:
        return None if reply is None else Rewound(int(reply[0]), int(reply[1]))

    return Command("rewound", (), parse)


def compared(mark: Rewound) -> Command[None]:
    """Take this mark away."""
    return Command("compared", (mark.at_ms,), lambda _: None)


def restore(tasks: Sequence[Remembered]) -> Command[int]:
    """Enter launches that the queue forgot; how many of these are in its books now."""
    args = (a for each in tasks for a in (each.job_id, each.task_arn))
    return Command("restore", tuple(args), int)


def identity(fresh: str) -> Command[str]:
    """The queue's own word, `fresh` if it has none yet."""
    return Command("identity", (fresh,), text)


def server() -> Command[str | None]:
    """Which process answers; None where we may not ask."""
    return Command("server", (), lambda reply: None if reply is None else text(reply))


class Rewinding:
    """The same as methods of a queue."""

    def __init__(self, run: Runs) -> None:
        self._run = run

    async def mark(self) -> Rewound | None:
        """Since when the queue may have gone back in time; None where it has not."""
        return await self._run(rewound())

    async def compared(self, mark: Rewound) -> None:
        """The queue agrees with ECS again; a later mark stands."""
        await self._run(compared(mark))

    async def restore(self, tasks: Sequence[Remembered]) -> int:
        """Jobs that wait, and of which we know that they were started, have been started."""
        restored = 0
        for i in range(0, len(tasks), 500):
            restored += await self._run(restore(tasks[i : i + 500]))
        return restored

    async def identity(self, fresh: str) -> str:
        """What tells this queue's launches from those of other queues; made once."""
        return await self._run(identity(fresh))

    async def server(self) -> str | None:
        """Which server process answers; None where the ACL forbids INFO: then no restart and no
        fail-over is noticed.
        """
        return await self._run(server())
