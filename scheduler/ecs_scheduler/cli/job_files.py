"""Reads files of jobs: JSON lines, one JSON array or object, or the lines of a trace.

A file is read twice, once to check every entry and once to submit, so that size costs no memory;
what can't be read twice (standard input, pipes) is spooled first.
"""

import shutil
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic_core import from_json, to_json

from ecs_queue.document import canonical, parse_job, read_json
from ecs_queue.errors import InvalidJob
from ecs_queue.job import MAX_SENT_BYTES, Job
from ecs_scheduler.cli.failures import InvalidInput

MAX_LINE_BYTES = 2 * MAX_SENT_BYTES
"""A trace's line holds more than the document; whatever is longer is no line of jobs."""

MAX_ARRAY_BYTES = 256 * 1024 * 1024
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of a file; `place` is what a person calls it: "line 7", "item 3"."""

    place: str
    document: bytes


@dataclass
class Check:
    """What reading a file once found: the number of valid jobs, whether any of them depends on
    another, and a message per bad entry.
    """

    valid: int = 0
    depend: bool = False
    problems: list[str] = field(default_factory=list)
    bad_places: set[str] = field(default_factory=set)

    @property
    def bad(self) -> int:
        """The number of bad entries."""
        return len(self.bad_places)

    def add_problem(self, place: str, message: str) -> None:
        """Note a bad entry; only the first SHOWN_PROBLEMS messages are kept."""
        self.bad_places.add(place)
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(message)

    def report(self) -> str:
        """Every kept message, one a line."""
        more = (
            [f"and {self.bad - len(self.problems)} more"] if self.bad > len(self.problems) else []
        )
        return "\n".join([*self.problems, *more])


@contextmanager
def opened(name: str, stdin: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file, or standard input for `-`, as something that can be read twice.

    Raises InvalidInput if there is no such file.
    """
    try:
        source = stdin if name == "-" else Path(name).open("rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InvalidInput(f"--file: cannot read {name}: {error.strerror}") from error
    try:
        if name != "-" and source.seekable():
            yield source
            return
        with tempfile.TemporaryFile() as spool:
            shutil.copyfileobj(source, spool)
            spool.seek(0)
            yield spool
    except IsADirectoryError as error:
        raise InvalidInput(f"--file: {name} is a directory") from error
    finally:
        if source is not stdin:
            source.close()


def check(file: IO[bytes], name: str) -> Check:
    """Read the whole file and judge every entry, without keeping the jobs."""
    result = Check()
    places: dict[str, tuple[str, int]] = {}
    gangs: dict[str, tuple[str, dict[str, object]]] = {}
    for entry in entries(file, name):
        try:
            job = parse_job(_document(entry.document), default_id="-")
            _refuse_conflict(job, entry.place, places)
            _refuse_odd_member(job, entry.place, gangs)
        except InvalidJob as error:
            result.add_problem(entry.place, f"{shown(name)}, {entry.place}: {error}")
        else:
            result.valid += 1
            result.depend = result.depend or bool(job.depends_on)
    return result


def jobs(file: IO[bytes], name: str, checked: Check, new_id: Callable[[], str]) -> Iterator[Job]:
    """The jobs that `check` found valid; `new_id` names those without an id."""
    for entry in entries(file, name):
        if entry.place not in checked.bad_places:
            yield parse_job(_document(entry.document), default_id=new_id())


def shown(name: str) -> str:
    """What a person calls the file."""
    return "standard input" if name == "-" else name


def entries(file: IO[bytes], name: str) -> Iterator[Entry]:
    """Every document of the file from its beginning, blank lines and the mark that some editors
    put in front left out. Raises InvalidInput.
    """
    file.seek(0)
    start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
    file.seek(start)
    head = file.read(4096).lstrip()
    file.seek(start)
    if head.startswith(b"[") or name.endswith(".json"):
        yield from _items(file, name)
        return
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
            line = b" " * (MAX_SENT_BYTES + 1)  # parse_job says what is wrong with it
        if line.strip() or len(line) > MAX_SENT_BYTES:
            yield Entry(f"line {number}", line)


def _items(file: IO[bytes], name: str) -> Iterator[Entry]:
    raw = file.read(MAX_ARRAY_BYTES + 1)
    if len(raw) > MAX_ARRAY_BYTES:
        raise InvalidInput(
            f"{shown(name)}: more than {MAX_ARRAY_BYTES} bytes; put one job per line instead"
        )
    try:
        value = read_json(raw, "it")
    except InvalidJob as error:
        raise InvalidInput(f"{shown(name)}: {error}") from None
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        yield Entry(f"item {index}", to_json(item))


def _document(raw: bytes) -> bytes:
    """The job document of an entry: itself, or what a trace's line has under `job`."""
    if b'"job"' not in raw or len(raw) > MAX_LINE_BYTES:
        return raw
    try:
        if not _is_trace_line(from_json(raw)):
            return raw
        return to_json(read_json(raw, "the line")["job"])
    except (ValueError, InvalidJob):
        return raw  # parse_job says what is wrong with it


def _is_trace_line(value: object) -> bool:
    return isinstance(value, dict) and "job" in value and "task_definition" not in value


def _refuse_conflict(job: Job, place: str, places: dict[str, tuple[str, int]]) -> None:
    if job.id == "-":
        return
    digest = hash(canonical(job))
    first_place, first_digest = places.setdefault(job.id, (place, digest))
    if digest != first_digest:
        raise InvalidJob(f"id: another document has the id {job.id!r} on {first_place}")


def _refuse_odd_member(
    job: Job, place: str, gangs: dict[str, tuple[str, dict[str, object]]]
) -> None:
    if job.gang is None:
        return
    said = {**job.gang.model_dump(), "share": job.share, "policy": job.policy}
    first_place, before = gangs.setdefault(job.gang.id, (place, said))
    for name, value in said.items():
        if value != before[name]:
            raise InvalidJob(
                f"gang {job.gang.id}: {name} is {value or 'none'} here, and "
                f"{before[name] or 'none'} on {first_place}; all members of a gang say the same"
            )
