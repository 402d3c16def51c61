"""What will happen when: a heap of appointments, worked off in order of time and then of making."""

from collections.abc import Callable
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
        self._heap: list[tuple[float, int, Callable[[Any, float], None], Any]] = []
        self._number = 0

    def schedule(self, at: float, step: Callable[[Any, float], None], subject: Subject) -> None:
        """Call `step(subject, at)` at time `at`; an earlier appointment of `subject` becomes
        void."""
        self._number += 1
        subject.due = self._number
        heappush(self._heap, (at, self._number, step, subject))

    def advance(self, now: float) -> None:
        """Work off everything due up to and including `now`; a clock that went back is ignored."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, number, step, subject = heappop(heap)
            if subject.due == number:
                self.clock = at
                step(subject, at)
        self.clock = max(self.clock, now)

    def next_at(self) -> float | None:
        """When the next appointment is due; None when there is none."""
        heap = self._heap
        while heap and heap[0][3].due != heap[0][1]:
            heappop(heap)
        return heap[0][0] if heap else None
