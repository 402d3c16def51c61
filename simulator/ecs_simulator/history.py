"""The latest changes of a Region, for whoever has to find out how it came to this."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol


class Named(Protocol):
    """Whatever has an ARN."""

    @property
    def arn(self) -> str:
        """Its name."""


class History:
    """The latest `length` changes: when, what, to whom."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._entries: deque[tuple[float, str, Sequence[Named]]] = deque(maxlen=length)

    def note(self, at: float, what: str, *subjects: Named) -> None:
        """Remember what happened to all of these."""
        self._entries.append((at, what, subjects))

    def __iter__(self) -> Iterator[tuple[float, str, str]]:
        """Time, change and ARN of each, oldest first."""
        changes = [(at, what, one.arn) for at, what, subjects in self._entries for one in subjects]
        return iter(changes[-self._length :])

    def story(self) -> tuple[str, ...]:
        """The same as lines."""
        return tuple(f"{at:.3f} {what} {who}" for at, what, who in self)
