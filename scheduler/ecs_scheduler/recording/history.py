"""The recorded values and their files: a line of JSON per ended job, a file per day; fleets beside
them, one file per change. Old days are compressed, older ones removed.

Reading is forgiving at one place only: a last line that was cut off by a crash is left out.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ecs_scheduler.errors import SchedulerError

DAY_S = 86_400
_JOBS = re.compile(r"jobs-(\d{8})\.jsonl(\.gz)?")
_FLEET = re.compile(r"fleet-(\d{8}T\d{6}Z)\.jsonl")


class UnreadableHistory(SchedulerError):
    """A folder or a line of it is not what `ecs-scheduler record` writes."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """One job that ran: times in seconds since the epoch, what it reserved, and how long its last
    task ran.
    """

    job_id: str
    ended_at_s: float
    submitted_at_s: float
    run_s: float
    exit_code: int
    cpu_units: int
    memory_mib: int
    gpus: int
    share: str = "default"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """So many equal instances, in the fields of a fleet file."""

    count: int
    instance_type: str
    cpu_units: int
    memory_mib: int
    gpus: int
    availability_zone: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """One line of a fleet file."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return known | {"attributes": dict(self.attributes)}


class Folder:
    """A folder of recordings; `keep_days` of jobs and of fleets are kept."""

    def __init__(self, path: Path, keep_days: int = 30) -> None:
        self.path = path
        self._keep_days = keep_days

    def append(self, jobs: Iterable[EndedJob], now_s: float) -> None:
        """Write jobs down, in the file of today, and put older files in order."""
        lines = [json.dumps(asdict(job), separators=(",", ":")) + "\n" for job in jobs]
        if lines:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / f"jobs-{_day(now_s)}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(lines)
        self._rotate(now_s)

    def note_fleet(self, fleet: Sequence[Group], now_s: float) -> bool:
        """Write the fleet down if it differs from the latest one; whether it did."""
        text = "".join(json.dumps(group.document) + "\n" for group in fleet)
        latest = self.latest_fleet()
        if latest is not None and latest.read_text("utf-8") == text:
            return False
        self.path.mkdir(parents=True, exist_ok=True)
        moment = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        (self.path / f"fleet-{moment}.jsonl").write_text(text, encoding="utf-8")
        return True

    def latest_fleet(self) -> Path | None:
        """The fleet file of the latest change."""
        return max(self._matching(_FLEET), default=None, key=lambda path: path.name)

    def jobs(self, since_s: float = 0.0) -> Iterator[EndedJob]:
        """Jobs that were submitted at or after a moment, in the order of their ends."""
        for path in sorted(self._matching(_JOBS), key=lambda path: path.name):
            for job in _read(path):
                if job.submitted_at_s >= since_s:
                    yield job

    def latest(self) -> tuple[float, frozenset[str]]:
        """When the last recorded jobs ended, and their ids; 0 and none before the first."""
        newest = max(self._matching(_JOBS), default=None, key=lambda path: path.name)
        jobs = [] if newest is None else list(_read(newest))
        end_s = max((job.ended_at_s for job in jobs), default=0.0)
        return end_s, frozenset(job.job_id for job in jobs if job.ended_at_s == end_s)

    def _matching(self, pattern: re.Pattern[str]) -> list[Path]:
        if not self.path.is_dir():
            return []
        return [path for path in self.path.iterdir() if pattern.fullmatch(path.name)]

    def _rotate(self, now_s: float) -> None:
        today, oldest = _day(now_s), _day(now_s - self._keep_days * DAY_S)
        for path in self._matching(_JOBS):
            day = path.name[5:13]
            if day < oldest:
                path.unlink()
            elif day < today and path.suffix != ".gz":
                packed = path.with_name(path.name + ".gz")
                packed.write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
        for path in sorted(self._matching(_FLEET))[:-1]:
            if path.name[6:14] < oldest:
                path.unlink()


def _day(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%d")


def _read(path: Path) -> Iterator[EndedJob]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UnreadableHistory(f"{path}: cannot be read: {error}") from error
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield EndedJob(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                return  # cut off by a crash while it was written
            raise UnreadableHistory(f"{path}:{number}: no recorded job: {error}") from error
