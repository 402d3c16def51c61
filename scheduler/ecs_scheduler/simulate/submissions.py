"""The jobs of a simulation in order of time, as columns: some hundred bytes each, where objects
would take a kilobyte.
"""

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

T = TypeVar("T", bound=Hashable)
Size = tuple[int, int, int]
"""CPU units, MiB and GPUs."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One job: when it comes, and its document in the form in which the queue stores it."""

    at_s: float
    job_id: str
    document: str
    share: str
    shape: Size
    run_s: float


class Numbered(Generic[T]):
    """A column of few distinct values: `numbers` of what stands `in_order` of first appearance."""

    def __init__(self) -> None:
        self._known: dict[T, int] = {}
        self.numbers = array("l")
        self.in_order: list[T] = []

    def append(self, value: T) -> None:
        """One more row."""
        number = self._known.setdefault(value, len(self._known))
        if number == len(self.in_order):
            self.in_order.append(value)
        self.numbers.append(number)

    def __getitem__(self, row: int) -> T:
        return self.in_order[self.numbers[row]]


class Submissions(Sequence[Submission]):
    """Made from submissions in order of time, which are not kept."""

    def __init__(self, submissions: Iterable[Submission]) -> None:
        self.at_s, self.run_s = array("d"), array("d")
        self.ids: list[str] = []
        self.shares, self.shapes = Numbered[str](), Numbered[Size]()
        self._documents, self._ends = bytearray(), array("Q", [0])
        for each in submissions:
            self.at_s.append(each.at_s)
            self.run_s.append(each.run_s)
            self.ids.append(each.job_id)
            self.shares.append(each.share)
            self.shapes.append(each.shape)
            self._documents += each.document.encode()
            self._ends.append(len(self._documents))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Submission: ...

    @overload
    def __getitem__(self, row: slice) -> list[Submission]: ...

    def __getitem__(self, row: int | slice) -> Submission | list[Submission]:
        if isinstance(row, slice):
            return [self._one(each) for each in range(*row.indices(len(self)))]
        return self._one(range(len(self))[row])

    def __iter__(self) -> Iterator[Submission]:
        return (self._one(row) for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Submissions) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((len(self), tuple(self.ids[:1])))

    def document(self, row: int) -> bytes:
        """The document of one job."""
        return bytes(self._documents[self._ends[row] : self._ends[row + 1]])

    @property
    def linked(self) -> bool:
        """Whether any job may depend on another; a word in a command is enough to be careful."""
        return b'"depends_on"' in self._documents

    def _one(self, row: int) -> Submission:
        return Submission(
            self.at_s[row],
            self.ids[row],
            self.document(row).decode(),
            self.shares[row],
            self.shapes[row],
            self.run_s[row],
        )
