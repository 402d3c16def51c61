"""What will happen when: a heap of appointments, worked off in order of time and then of making.

Whatever goes through the same step at the same moment shares one appointment.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Protocol


class Subject(Protocol):
    """Whatever appointments are made for; only the one whose running number is `due` is kept."""

    due: int


class Appointment:
    """A subject for appointments that belong to no task."""

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0


class Agenda:
    """The appointments of one Region; `clock` is the time they have been worked off to."""

    def __init__(self, now: float) -> None:
        self.clock = now
        self._heap: list[tuple[float, int, Callable[[Any, float], None], Sequence[Any]]] = []
        self._number = 0

    def schedule(
        self, at: float, step: Callable[[Any, float], None], subjects: Sequence[Subject]
    ) -> None:
        """Call `step(subjects, at)` at time `at`; earlier appointments of the subjects become void.

        A subject that gets another appointment before then is left out. No step may change the
        appointment of another subject of its own.
        """
        self._number = number = self._number + 1
        for subject in subjects:
            subject.due = number
        heappush(self._heap, (at, number, step, subjects))

    def advance(self, now: float) -> None:
        """Work off everything due up to and including `now`; a clock that went back is ignored."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, number, step, subjects = heappop(heap)
            kept = [subject for subject in subjects if subject.due == number]
            if kept:
                self.clock = at
                step(kept, at)
        self.clock = max(self.clock, now)

    def next_at(self) -> float | None:
        """When the next appointment is due; None when there is none."""
        heap = self._heap
        while heap and all(subject.due != heap[0][1] for subject in heap[0][3]):
            heappop(heap)
        return heap[0][0] if heap else None
