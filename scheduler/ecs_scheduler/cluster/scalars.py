"""Resources that users define: an instance declares them as attributes, jobs hold them.

ECS counts none of them, so we do: what our launches hold is known by task. After a start nothing
is given out until the tasks that run already have been looked up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_placement.request import Shape
    from ecs_queue.states import InstanceArn, TaskArn

PREFIX = "ecs-scheduler.resource."
"""Of the attribute's name: `ecs-scheduler.resource.licence` = 4 declares four licences."""

_DIGITS = 18  # within int64


def declared(attributes: Mapping[str, str | None]) -> dict[str, int]:
    """What an instance has of each scalar; a value that is no whole number declares none."""
    return {
        name.removeprefix(PREFIX): int(value)
        for name, value in attributes.items()
        if name.startswith(PREFIX)
        and value is not None
        and value.isascii()
        and value.isdigit()
        and len(value) <= _DIGITS
    }


class Scalars:
    """What our tasks hold of users' resources, by instance."""

    def __init__(self) -> None:
        self._held: defaultdict[InstanceArn, dict[TaskArn, frozenset[tuple[str, int]]]]
        self._held = defaultdict(dict)
        self.known = False

    def hold(self, arn: InstanceArn, task: TaskArn, scalars: frozenset[tuple[str, int]]) -> bool:
        """A live task holds these there; whether that is news."""
        if not scalars or self._held[arn].get(task) == scalars:
            return False
        self._held[arn][task] = scalars
        return True

    def release(self, arn: InstanceArn, task: TaskArn) -> bool:
        """The task has ended; whether it held anything."""
        return self._held[arn].pop(task, None) is not None

    def forget(self) -> None:
        """Nothing is known any more of what is held."""
        self._held.clear()
        self.known = False

    def of(
        self, arn: InstanceArn, attributes: Mapping[str, str | None], pending: Iterable[Shape]
    ) -> dict[str, tuple[int, int]]:
        """Total and free by name, less what `pending` launches will hold."""
        total = declared(attributes)
        if not total:
            return {}
        if not self.known:
            return {name: (amount, 0) for name, amount in total.items()}
        used: Counter[str] = Counter()
        for scalars in (*self._held[arn].values(), *(shape.scalars for shape in pending)):
            used.update(dict(scalars))
        return {name: (amount, amount - used[name]) for name, amount in total.items()}
