"""Rotating files of decisions: gzip, one JSON line each, flushed line by line.

A file begins with a whole snapshot and goes on with what changed. A line costs what changed and
what was asked; what a crash cut off is the last line at most.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError

from ecs_placement.errors import PlacementError
from ecs_placement.plan import Plan, Reserving, Start
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_scheduler.decisions.coding import LINE, Asked, Decision, Line, WrittenPlan, line_of_json
from ecs_scheduler.errors import DecisionLogUnreadable

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SUFFIX = ".decisions.gz"
FILES = 8
"""The log's size is divided among so many files; the oldest goes when a new one is begun."""


class DecisionLog:
    """Writes decisions into a directory, `most_bytes` at most in all."""

    def __init__(self, directory: Path, owner: str, most_bytes: int) -> None:
        self._directory = directory
        self._owner = owner.rpartition("-")[2]
        self._most_bytes = most_bytes
        self._file: gzip.GzipFile | None = None
        self._path = directory
        self._number = 0
        self._known: dict[InstanceId, Instance] = {}
        self._last: tuple[Snapshot, Sequence[Asked], Reserving] | None = None
        self._id = ""
        self.written = 0
        self.failed = 0

    def record(
        self,
        snapshot: Snapshot,
        asked: tuple[Asked, ...],
        reserving: Reserving,
        plan: Plan,
        at_ms: int,
    ) -> str:
        """Write one decision down; its id. The same question again keeps its first answer's id.

        A log that cannot be written never stops the service: it is told, and tried again.
        """
        if not any(each.requests for each in asked):
            return ""
        last = self._last
        if last is not None and last[0] is snapshot and last[1:] == (asked, reserving):
            return self._id
        try:
            self._write(snapshot, asked, reserving, plan, at_ms)
        except OSError as error:
            self.failed += 1
            self.close()
            log.warning("decision not written down", error=str(error))
            return ""
        self._last = (snapshot, asked, reserving)
        return self._id

    def close(self) -> None:
        """End the file; the next decision begins a new one."""
        file, self._file, self._last = self._file, None, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                log.warning("decision log not closed", error=str(error))

    def _write(
        self,
        snapshot: Snapshot,
        asked: tuple[Asked, ...],
        reserving: Reserving,
        plan: Plan,
        at_ms: int,
    ) -> None:
        whole = self._file is None or self._path.stat().st_size > self._most_bytes // FILES
        if whole:
            self._begin(at_ms)
        self._number += 1
        self._id = f"{self._path.name.removesuffix(SUFFIX)}.{self._number}"
        now = {instance.id: instance for instance in snapshot.instances}
        changed = tuple(each for each in now.values() if self._known.get(each.id) is not each)
        gone = tuple(sorted(self._known.keys() - now.keys()))
        self._known = now
        line = Line(self._id, at_ms, asked, WrittenPlan.of(plan), changed, gone, reserving, whole)
        assert self._file is not None
        self._file.write(LINE.dump_json(line, exclude_defaults=True) + b"\n")
        self._file.flush(zlib.Z_SYNC_FLUSH)
        self.written += 1

    def _begin(self, at_ms: int) -> None:
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        files = log_files(self._directory)
        for old in files[: max(0, len(files) - FILES + 1)]:
            old.unlink(missing_ok=True)
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        stem = f"{moment:%Y%m%dT%H%M%S}{at_ms % 1000:03d}-{self._owner}"
        self._path = self._directory / f"{stem}{SUFFIX}"
        self._file = gzip.GzipFile(self._path, "ab", compresslevel=1)
        self._number, self._known = 0, {}


def log_files(directory: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def read_file(path: Path) -> Iterator[Decision]:
    """The decisions of one file, as far as it was written; raises DecisionLogUnreadable."""
    known: dict[InstanceId, Instance] = {}
    for number, text in enumerate(_lines(path), 1):
        try:
            line = line_of_json(text)
            known = {} if line.whole else known
            for gone in line.gone:
                known.pop(gone, None)
            known.update((instance.id, instance) for instance in line.changed)
            snapshot = Snapshot.of(known.values())
            plan = line.plan.plan
            unknown = {e.instance_id for e in plan.decisions if isinstance(e, Start)} - known.keys()
            if unknown:
                raise ValueError(f"plan: instance {min(unknown)!r} is not in the snapshot")
        except (ValueError, PlacementError) as error:
            raise DecisionLogUnreadable(
                f"{path}:{number}: is no decision: {_first_fault(error)}"
            ) from error
        yield Decision(line.id, line.at_ms, line.asked, snapshot, plan, line.reserving)


def _first_fault(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else first["msg"]


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            for text in file:
                if text.endswith(b"\n"):
                    yield text
    except EOFError:
        return  # it is being written, or its writer was killed
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DecisionLogUnreadable(f"{path}: cannot be read: {reason}") from error


def find(directory: Path, decision_id: str) -> Decision:
    """The decision of this id; raises DecisionLogUnreadable."""
    stem = decision_id.rpartition(".")[0]
    path = directory / f"{stem}{SUFFIX}"
    if not directory.is_dir():
        raise DecisionLogUnreadable(f"there is no directory {directory}; --log names the log's")
    files = log_files(directory)
    if path not in files:
        oldest = files[0].name.removesuffix(SUFFIX) if files else ""
        known = f"its oldest file is {oldest}" if files else "it is empty"
        raise DecisionLogUnreadable(
            f"decision {decision_id!r} is not in {directory}: {known}; "
            "`ecs-scheduler decisions` lists them"
        )
    last = "none"
    for decision in read_file(path):
        if decision.id == decision_id:
            return decision
        last = decision.id
    raise DecisionLogUnreadable(
        f"decision {decision_id!r} is not in {path}, of which the last is {last}"
    )
