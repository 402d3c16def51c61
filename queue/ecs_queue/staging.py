"""The commands that submit a graph as one: it is laid down in parts that nobody sees, submitted by
one script, and then taken in part by part, by whoever comes first.
"""

from collections.abc import Sequence

from ecs_queue.errors import InvalidGraph
from ecs_queue.producing import Written
from ecs_queue.script import Command, text


def stage(token: str, laid_down: int, batch: Sequence[Written]) -> Command[str]:
    """Lay down the next part; a letter a job: A new, W new and perhaps waited for by
    jobs of the queue, D in the queue already, C its id is taken.
    """
    args = (arg for each in batch for arg in each.args())
    return Command("stage", (token, laid_down, *args), text)


def commit(token: str) -> Command[None]:
    """Submit what was laid down; parsing raises InvalidGraph where it is gone."""

    def parse(reply: int | None) -> None:
        if reply is None:
            raise InvalidGraph("submitting the graph took more than an hour; submit it again")

    return Command("commit", (token,), parse)


def abandon(token: str) -> Command[None]:
    """Take away what was laid down."""
    return Command("abandon", (token,), _nothing)


def take_in(token: str) -> Command[int]:
    """Admit the next part of the oldest submitted graph; how many jobs that were."""
    return Command("enqueue", (token, "G"), lambda reply: len(text(reply).split("\n")[0]))


def _nothing(reply: object) -> None:
    return None
