"""What queries and strategies look at, one column over the rows of a Snapshot per subject.

Each column holds its distinct values once, so that a test runs once per value and not per row. Task
groups also count what a batch has placed so far.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.predicates import Test, Value
from ecs_placement.snapshot import Availability, Instance, Snapshot

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """`values[code[row]]` is what a row has."""

    values: tuple[Value, ...]
    code: Ints


class Columns:
    """The columns of one snapshot, made when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[str, Column] = {}
        self._tasks: dict[str, Ints] = {}
        for row, groups in snapshot.groups.items():
            for group, number in groups.items():
                self.tasks_of(group)[row] += number

    def tasks_of(self, group: str) -> Ints:
        """int64[n]: tasks of a group on each row, those placed by this batch included."""
        if group not in self._tasks:
            self._tasks[group] = np.zeros(len(self._snapshot), dtype=np.int64)
        return self._tasks[group]

    def column(self, subject: str) -> Column:
        """The values of `subject` (as queries name it, or `instanceId`)."""
        if subject == "instanceId" or subject.startswith("attribute:"):
            return self._snapshot.lasting.get((subject,), Column, lambda: self._coded(subject))
        if subject not in self._known:
            self._known[subject] = self._coded(subject)
        return self._known[subject]

    def _coded(self, subject: str) -> Column:
        if subject == "instanceId":
            ids = tuple(instance.id for instance in self._snapshot.instances)  # each its own
            return Column(ids, np.arange(len(ids)))
        return _coded(_value(subject, instance) for instance in self._snapshot.instances)

    def where(self, subject: str, test: Test) -> Bools:
        """bool[n]: the rows for which the test holds."""
        if subject == "task:group":
            return self._where_group(test)
        column = self.column(subject)
        holds = np.array([test.holds(value) for value in column.values], dtype=np.bool_)
        return holds[column.code] if holds.size else np.zeros(0, dtype=np.bool_)

    def _where_group(self, test: Test) -> Bools:
        """A row runs many groups: it passes when any does; a negative test, when none fails it."""
        negative = test.operator.startswith("!")
        positive = Test(_POSITIVE.get(test.operator, test.operator), test.arguments, test.order)
        mask = np.zeros(len(self._snapshot), dtype=np.bool_)
        for group, tasks in self._tasks.items():
            if positive.holds(group):
                mask |= tasks > 0
        return ~mask if negative else mask


_POSITIVE = {"!=": "==", "!in": "in", "!~": "=~", "!exists": "exists"}


def _coded(values: Iterable[Value]) -> Column:
    known: dict[Hashable, int] = {}
    code = [known.setdefault(value, len(known)) for value in values]
    return Column(tuple(known), np.array(code, dtype=np.int64))  # type: ignore[arg-type]


def _value(subject: str, instance: Instance) -> Value:
    if subject.startswith("attribute:"):
        name = subject.removeprefix("attribute:")
        if name not in instance.attributes:
            return None
        return instance.attributes[name] or ""
    return _FACTS[subject](instance)


_FACTS: Mapping[str, Callable[[Instance], Value]] = {
    "agentConnected": lambda each: each.availability is not Availability.AGENT_DISCONNECTED,
    "agentVersion": lambda each: each.facts.agent_version,
    "ec2InstanceId": lambda each: each.facts.ec2_instance_id,
    "registeredAt": lambda each: each.facts.registered_at_s,
    "runningTasksCount": lambda each: each.facts.running_tasks,
}
