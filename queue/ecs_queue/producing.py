"""The commands of producers and of people who look on: submit, cancel, read."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ecs_queue import records
from ecs_queue.document import parse_job, stored
from ecs_queue.errors import InvalidJob, UnknownJob
from ecs_queue.gang import Gang
from ecs_queue.job import Job, JobId
from ecs_queue.records import SCORE_STEP
from ecs_queue.script import Command, line, pairs, text
from ecs_queue.states import (
    DEFAULT_QUEUE,
    AlreadyEnded,
    Cancellation,
    Cancelled,
    CancelRequested,
    Event,
    JobRecord,
    JobState,
    NoSuchJob,
    QueueName,
    state_of,
)
from ecs_queue.submissions import (
    Accepted,
    Admission,
    Circular,
    Conflict,
    Duplicate,
    Submission,
    Unequal,
)

BATCH_JOBS = 500
BATCH_BYTES = 4 * 1024 * 1024


def inbox_key(name: QueueName = DEFAULT_QUEUE) -> str:
    """The stream that producers in any language XADD to, with one field `job`."""
    return f"{{q:{name}}}:inbox"


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One unread entry of the inbox stream, as its producer wrote it."""

    entry_id: str
    fields: Mapping[bytes, bytes]


class Written(NamedTuple):
    """A valid job as it is stored, payload included, and the inbox entry it came in, if any.

    A tuple, since it is made in a third of the time of a frozen dataclass, one a job.
    """

    job: Job
    document: bytes
    entry_id: str = ""

    @classmethod
    def of(cls, job: Job, entry_id: str = "") -> "Written":
        """Write `job` down."""
        return cls(job=job, document=stored(job), entry_id=entry_id)

    def args(self) -> tuple[str | bytes | int, ...]:
        """Its part of the enqueue script's arguments."""
        score = (1000 - self.job.priority) * SCORE_STEP
        return (
            self.entry_id,
            "J",
            self.job.id,
            self.document,
            score,
            _fields(self.job),
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An inbox entry that is no job; `document` is empty where the entry holds it as `job`."""

    entry_id: str
    reason: str
    document: str = ""

    def args(self) -> tuple[str | bytes | int, ...]:
        """Its part of the enqueue script's arguments."""
        return (self.entry_id, "X", line(self.reason), self.document, "", "")


_TOLD = frozenset(
    {
        "gang",
        "array_size",
        "retry",
        "depends_on",
        "share",
        "timeout_s",
        "not_before",
        "deadline",
        "max_wait",
    }
)
"""The members of a job that `_fields` looks at."""


def _fields(job: Job) -> str:
    """What the scripts have to know of a job beside its document, as words in pairs."""
    if _TOLD.isdisjoint(job.model_fields_set):
        return ""
    pairs: list[tuple[str, object]] = []
    if job.gang is not None:
        pairs.append(("G", _gang_word(job.gang, job.policy)))
    if job.array_size is not None:
        pairs.append(("N", job.array_size))
    if job.follows is not None:
        pairs.append(("M", job.follows))
    if job.sequential:
        pairs.append(("Q", 1))
    if job.retry.attempts != 1:
        pairs.append(("m", job.retry.attempts))
    marks = {"afterok": "k", "afterany": "a", "afternotok": "n"}
    if others := [each for each in job.depends_on if each.type in marks]:
        pairs.append((">", ",".join(marks[each.type] + each.job for each in others)))
    if job.share != "default":
        pairs.append(("T", job.share))
    pairs += _time_fields(job)
    return " ".join(f"{name} {value}" for name, value in pairs)


def _gang_word(gang: Gang, policy: str | None) -> str:
    on_failure = "s" if gang.on_failure == "stop" else "c"
    bounds = f"{gang.size},{gang.within_s * 1000},{gang.arrive_within_s},{on_failure}"
    return f"{bounds},{gang.id}" if policy is None else f"{bounds},{policy},{gang.id}"


def _time_fields(job: Job) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    if job.timeout_s is not None:
        pairs.append(("q", job.timeout_s))
    if job.not_before is not None:
        pairs.append(("r", job.not_before * 1000))
    if job.deadline is not None:
        pairs.append(("d", job.deadline * 1000))
    if job.max_wait is not None and job.max_wait.action != "fallback":
        bound = job.max_wait
        action = "C" if bound.action == "cancel" else f"P:{bound.priority}"
        pairs.append(("b", f"{bound.after_s * 1000}:{action}"))
    return pairs


class Batches:
    """Jobs as they are stored, grouped so that no call grows beyond a few megabytes."""

    def __init__(self) -> None:
        self._batch: list[Written] = []
        self._bytes = 0

    def add(self, job: Job) -> list[Written]:
        """Take a job in; answers the batch that had to be closed before it, if any."""
        written, closed = Written.of(job), []
        size = len(written.document)
        if self._batch and (len(self._batch) == BATCH_JOBS or self._bytes + size > BATCH_BYTES):
            closed, self._batch, self._bytes = self._batch, [], 0
        self._batch.append(written)
        self._bytes += size
        return closed

    def rest(self) -> list[Written]:
        """What is left, maybe nothing."""
        return self._batch


def batches(jobs: Iterable[Job]) -> Iterator[list[Written]]:
    """Jobs in batches, as the scripts take them."""
    forming = Batches()
    for job in jobs:
        if batch := forming.add(job):
            yield batch
    if batch := forming.rest():
        yield batch


def judge(entry: InboxEntry) -> Written | Unreadable:
    """Validate what a producer wrote."""
    document = entry.fields.get(b"job")
    if document is None:
        found = {text(name): text(value) for name, value in entry.fields.items()}
        names = ", ".join(found)
        reason = f'job: the entry has no field "job" that holds the document (it has: {names})'
        return Unreadable(entry.entry_id, reason, json.dumps(found))
    try:
        return Written.of(parse_job(document, default_id=entry.entry_id), entry.entry_id)
    except InvalidJob as error:
        return Unreadable(entry.entry_id, str(error))


def submit(token: str, batch: Sequence[Written]) -> Command[tuple[Submission, ...]]:
    """Take jobs in directly; repeated under the same token it answers the same."""

    def parse(reply: bytes) -> tuple[Submission, ...]:
        letters, *lines = text(reply).split("\n")
        ways = iter(lines)
        return tuple(
            _submission(letter, written.job.id, ways)
            for letter, written in zip(letters, batch, strict=True)
        )

    return Command("enqueue", _enqueue_args(token, batch), parse)


def read_inbox(count: int) -> Command[tuple[tuple[InboxEntry, ...], int]]:
    """The oldest entries, which stay until `admit` takes them, and the number of open graphs."""

    def parse(reply: list[Any]) -> tuple[tuple[InboxEntry, ...], int]:
        entries, graphs = reply
        return tuple(InboxEntry(text(entry), dict(pairs(flat))) for entry, flat in entries), graphs

    return Command("inbox", (count,), parse)


def admit(token: str, judged: Sequence[Written | Unreadable]) -> Command[Admission]:
    """Take judged entries out of the inbox; those that another call took are left out."""

    def parse(reply: bytes) -> Admission:
        letters, *lines = text(reply).split("\n")
        ways = iter(lines)
        submissions = [
            _submission(letter, each.job.id, ways)
            for letter, each in zip(letters, judged, strict=True)
            if isinstance(each, Written) and letter != "-"
        ]
        return Admission(tuple(submissions), dead=sum(map(letters.count, "XCYU")))

    return Command("enqueue", _enqueue_args(token, judged), parse)


def cancel(job_ids: Sequence[JobId], reason: str) -> Command[tuple[Cancellation, ...]]:
    """RUNNABLE jobs end at once, STARTING and RUNNING ones once their task has stopped."""

    def parse(reply: list[bytes]) -> tuple[Cancellation, ...]:
        return tuple(
            _cancellation(text(word), job_id) for word, job_id in zip(reply, job_ids, strict=True)
        )

    return Command("cancel", (line(reason), *job_ids), parse)


def job(job_id: JobId) -> Command[JobRecord]:
    """One job; parsing raises UnknownJob where there is none."""

    def parse(reply: list[Any] | None) -> JobRecord:
        if reply is None:
            raise UnknownJob(
                f"no job {job_id!r} in this queue: it was never admitted, or ended long ago"
            )
        return records.record(reply)

    return Command("job", (job_id,), parse)


def jobs(state: JobState | None, limit: int, offset: int) -> Command[tuple[JobRecord, ...]]:
    """A page of jobs."""
    return Command("jobs", (state or "", offset, limit), records.records)


def times(state: JobState, limit: int, offset: int) -> Command[tuple[records.Times, ...]]:
    """When the jobs of an ended state came, were launched and ended, and nothing else of them."""
    return Command("times", (state, offset, limit), records.times)


def forget(state: JobState) -> Command[int]:
    """Forget some of those that ended in this state first, beyond `QueueSettings.ended_kept`;
    answers how many. Each end does that by itself, so it is for who reads with other settings than
    the jobs end with.
    """
    return Command("forget", (state,), int)


def states(job_ids: Sequence[JobId]) -> Command[dict[JobId, JobState]]:
    """The states of those jobs that are in the queue."""

    def parse(reply: list[bytes]) -> dict[JobId, JobState]:
        return {
            job_id: state_of(state) for job_id, state in zip(job_ids, reply, strict=True) if state
        }

    return Command("states", tuple(job_ids), parse)


def counts() -> Command[Mapping[JobState, int]]:
    """The number of jobs in every state."""

    def parse(reply: list[Any]) -> Mapping[JobState, int]:
        found = {state_of(state): int(number) for state, number in pairs(reply)}
        return {state: found.get(state, 0) for state in JobState}

    return Command("counts", (), parse)


def events(after: str, limit: int) -> Command[tuple[Event, ...]]:
    """Transitions after an entry id, oldest first."""
    return Command("events", (after, limit), records.events)


def _enqueue_args(
    token: str, batch: Sequence[Written | Unreadable]
) -> tuple[str | bytes | int, ...]:
    args: list[str | bytes | int] = [token]
    for each in batch:
        args += each.args()
    return tuple(args)


_OUTCOMES: dict[str, type[Accepted | Duplicate | Conflict]] = {
    "A": Accepted,
    "D": Duplicate,
    "C": Conflict,
}


def _submission(letter: str, job_id: JobId, ways: Iterator[str]) -> Submission:
    if letter == "Y":
        return Circular(job_id, tuple(JobId(each) for each in next(ways).split(" -> ")))
    if letter == "U":
        leader, has, wants = next(ways).split(" ")
        return Unequal(job_id, JobId(leader), int(has), int(wants))
    return _OUTCOMES[letter](job_id)


def _cancellation(word: str, job_id: JobId) -> Cancellation:
    match word:
        case "NONE":
            return NoSuchJob(job_id)
        case "CANCELLED":
            return Cancelled(job_id)
        case "REQUESTED":
            return CancelRequested(job_id)
        case _:
            return AlreadyEnded(job_id, JobState(word))
