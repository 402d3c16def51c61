"""The commands of schedulers: leases, claims, the launch ledger, and how tasks ended."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from ecs_queue.document import UnreadableJob
from ecs_queue.errors import LeaseLost, QueueOfAnotherCluster
from ecs_queue.job import JobId
from ecs_queue.records import SCORE_STEP
from ecs_queue.script import Command, chunks, line, pairs, text
from ecs_queue.states import (
    Absent,
    Claim,
    FailedForGood,
    Failure,
    InfrastructureFailed,
    InstanceArn,
    Intent,
    JobState,
    LaunchOutcome,
    LaunchToken,
    LiveTask,
    Note,
    OwnerId,
    PendingCancellation,
    PendingLaunch,
    Refused,
    Rejected,
    Release,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
    state_of,
)
from ecs_queue.stored import read


def open_lease(owner: OwnerId, lease_ms: int) -> Command[None]:
    """Begin a lease; what this owner held before goes back to ready."""
    return Command("open_lease", (owner, lease_ms), _nothing)


def renew(owner: OwnerId, lease_ms: int) -> Command[None]:
    """Extend the lease; parsing raises LeaseLost where it ran out."""

    def parse(reply: int | None) -> None:
        if reply is None:
            raise _lost(owner)

    return Command("renew", (owner, lease_ms), parse)


def lead(
    owner: OwnerId, cluster: str, lease_ms: int, *, spread: bool, arn: str
) -> Command[int | None]:
    """Take or keep the lead; the fencing number, or None while another leads. Parsing raises
    QueueOfAnotherCluster.
    """

    def parse(reply: Any) -> int | None:
        if isinstance(reply, list):
            raise QueueOfAnotherCluster(_of_another(text(reply[0]), int(reply[1]), arn))
        return None if reply is None else int(reply)

    return Command("lead", (owner, cluster, lease_ms, int(spread), arn), parse)


def resign(owner: OwnerId, cluster: str) -> Command[int]:
    """End the lead and the lease; the number of claims that went back."""
    return Command("resign", (owner, cluster), int)


def hand_back(owner: OwnerId) -> Command[int]:
    """End the lease and give everything claimed back; the number of jobs that went back."""
    return Command("hand_back", (owner,), int)


def reclaim_expired() -> Command[int]:
    """Give back what owners hold whose lease ran out; the number of jobs that went back."""
    return Command("reclaim", (), int)


def claim(
    owner: OwnerId, claim_id: str, count: int, enough: Collection[str] = ()
) -> Command[tuple[Claim, ...]]:
    """The head of the queue, less jobs of shares that have `enough`; parsing raises LeaseLost where
    the owner has no lease.
    """
    if not claim_id or claim_id.split() != [claim_id]:
        raise ValueError(f"a claim id is one word, not {claim_id!r}")

    def parse(reply: list[Any] | None) -> tuple[Claim, ...]:
        if reply is None:
            raise _lost(owner)
        return _claims(reply)

    mark = hashlib.blake2s(claim_id.encode(), digest_size=6).hexdigest()
    return Command("claim", (owner, mark, count, *sorted(enough)), parse, alone=True)


UNREADABLE_DELAY_MS = 60_000


def unreadable(claims: Sequence[Claim]) -> list[Release]:
    """What to give back, for a scheduler of another version or somebody's eyes."""
    return [
        Release(each.job.id, each.epoch, each.job.problem, UNREADABLE_DELAY_MS)
        for each in claims
        if isinstance(each.job, UnreadableJob)
    ]


def shares() -> Command[frozenset[str]]:
    """Every share that a job was ever submitted for, and `default`."""
    return Command("shares", (), lambda reply: frozenset(["default", *map(text, reply)]))


def release(owner: OwnerId, releases: Sequence[Release]) -> Command[None]:
    """Give claimed jobs back; those not held any more are left alone."""
    args = (a for r in releases for a in (r.job_id, r.epoch, line(r.reason), r.delay_ms))
    return Command("release", (owner, *args), _nothing)


def note(owner: OwnerId, notes: Sequence[Note]) -> Command[None]:
    """Write down why claimed jobs wait; those not held any more are left alone."""
    args = (a for n in notes for a in (n.job_id, n.epoch, line(n.reason)))
    return Command("note", (owner, *args), _nothing)


def fail(owner: OwnerId, failures: Sequence[Failure]) -> Command[None]:
    """Claimed jobs that can't be launched are FAILED; those not held any more are left alone."""
    args = (a for f in failures for a in (f.job_id, f.epoch, line(f.reason)))
    return Command("fail", (owner, *args), _nothing)


def expire(most: int) -> Command[int]:
    """Act on deadlines and bounded waits that have run out; the number of jobs looked at."""
    return Command("expire", (most,), int)


def held(owner: OwnerId) -> Command[frozenset[JobId]]:
    """What this owner has claimed and not launched."""
    return Command("held", (owner,), lambda reply: frozenset(JobId(text(each)) for each in reply))


def intend(
    owner: OwnerId, token: LaunchToken, api: str, intents: Sequence[Intent]
) -> Command[frozenset[JobId]]:
    """Write the ledger entry of a launch; answers the jobs that may be launched under it."""

    def parse(reply: list[bytes]) -> frozenset[JobId]:
        return frozenset(JobId(text(job_id)) for job_id in reply)

    args = (a for i in intents for a in (i.job_id, i.epoch, i.instance_arn or ""))
    return Command("intend", (owner, token, api, *args), parse)


def settle(token: LaunchToken, outcomes: Sequence[LaunchOutcome]) -> Command[None]:
    """Write down what certainly became of a launch; repeated outcomes change nothing."""
    args = (a for outcome in outcomes for a in _settlement(outcome))
    return Command("settle", (token, *args), _nothing)


def pending_launches(older_than_ms: int, limit: int) -> Command[tuple[PendingLaunch, ...]]:
    """Ledger entries whose outcome is open, oldest first."""

    def parse(reply: list[Any]) -> tuple[PendingLaunch, ...]:
        return tuple(_pending_launch(token, dict(pairs(flat))) for token, flat in pairs(reply))

    return Command("pending_launches", (older_than_ms, limit), parse)


def doubted_launches(kept_ms: int) -> Command[tuple[LaunchToken, ...]]:
    """Tokens of launches that counted as absent less than `kept_ms` ago, oldest first."""
    return Command(
        "doubted_launches", (kept_ms,), lambda reply: tuple(LaunchToken(text(t)) for t in reply)
    )


def known_tasks(task_arns: Sequence[TaskArn]) -> Command[frozenset[TaskArn]]:
    """Those of the tasks that are or were some job's."""
    return Command(
        "known_tasks", tuple(task_arns), lambda reply: frozenset(TaskArn(text(t)) for t in reply)
    )


def put_back(owner: OwnerId, job_ids: Sequence[JobId]) -> Command[None]:
    """What the owner holds of these is ready again."""
    return Command("put_back", (owner, *job_ids), _nothing)


def live_tasks(cursor: str) -> Command[tuple[str, tuple[LiveTask, ...]]]:
    """One page of acknowledged tasks, and the cursor to go on with ("0" at the end)."""

    def parse(reply: list[Any]) -> tuple[str, tuple[LiveTask, ...]]:
        tasks = (
            LiveTask(TaskArn(text(task)), JobId(text(job_id))) for task, job_id in pairs(reply[1])
        )
        return text(reply[0]), tuple(tasks)

    return Command("live_tasks", (cursor,), parse)


def running(sightings: Sequence[Sighting]) -> Command[None]:
    """STARTING jobs whose tasks were seen RUNNING are RUNNING."""
    args = (a for s in sightings for a in (s.task_arn, s.at_ms, s.instance_arn or ""))
    return Command("running", tuple(args), _nothing)


def finish(
    endings: Sequence[tuple[TaskArn, Verdict, int]], infrastructure_budget: int
) -> Command[tuple[JobState | None, ...]]:
    """Tasks stopped; answers the states their jobs went to, also when repeated."""
    args: list[str | int] = [infrastructure_budget]
    for task_arn, verdict, delay_ms in endings:
        match verdict:
            case Succeeded(exit_code=exit_code, reason=reason):
                kind = "S"
            case TaskFailed(exit_code=exit_code, reason=reason):
                kind = "F"
            case FailedForGood(exit_code=exit_code, reason=reason):
                kind = "X"
            case InfrastructureFailed(reason=reason):
                kind, exit_code = "I", None
        args += (task_arn, kind, line(reason), "" if exit_code is None else exit_code, delay_ms)

    def parse(reply: list[bytes | None]) -> tuple[JobState | None, ...]:
        return tuple([None if state is None else state_of(state) for state in reply])

    return Command("finish", tuple(args), parse)


def cancellations() -> Command[tuple[PendingCancellation, ...]]:
    """STARTING and RUNNING jobs to be stopped: cancelled on request, or past their timeout."""

    def parse(reply: list[bytes]) -> tuple[PendingCancellation, ...]:
        return tuple(
            PendingCancellation(
                JobId(text(job_id)), TaskArn(text(task)) if task else None, text(reason)
            )
            for job_id, task, reason in chunks(reply, 3)
        )

    return Command("cancellations", (), parse)


def _settlement(outcome: LaunchOutcome) -> tuple[str | int, ...]:
    match outcome:
        case Started(job_id, task_arn, instance_arn):
            return ("S", job_id, task_arn, instance_arn or "")
        case Refused(job_id, reason, delay_ms):
            return ("R", job_id, line(reason), delay_ms)
        case Absent(job_id, reason):
            return ("A", job_id, line(reason), 0)
        case Rejected(job_id, reason):
            return ("F", job_id, line(reason), 0)


def _claims(reply: list[bytes]) -> tuple[Claim, ...]:
    if not reply:
        return ()
    documents, (epoch_text, ids, scores, others) = reply[:-4], reply[-4:]
    parts = [document.partition(b"{") for document in documents]
    jobs = read(ids.split(), [members for _, _, members in parts])
    epoch, told = int(epoch_text), map(int, others.split())
    claims = []
    for job, (before, _, _), score in zip(jobs, parts, map(int, scores.split()), strict=True):
        rank, order = divmod(score, SCORE_STEP)
        if words := before.split():  # most; a call with defaults takes four times as long
            known = (job, epoch, 1000 - rank, order, 0, int(words[0]), 0, False)
            claim = tuple.__new__(Claim, known)
        else:
            launches, runnable_at_ms, together = next(told), next(told), next(told)
            gang = max(0, together), together < 0
            claim = Claim(job, epoch, 1000 - rank, order, launches, runnable_at_ms, *gang)
        claims.append(claim)
    return tuple(claims)


def _pending_launch(token: bytes, fields: dict[bytes, bytes]) -> PendingLaunch:
    return PendingLaunch(
        token=LaunchToken(text(token)),
        api=text(fields[b"api"]),
        created_at_ms=int(fields[b"at"]),
        age_ms=int(fields[b"now"]) - int(fields[b"at"]),
        jobs={
            JobId(text(name.removeprefix(b"job:"))): InstanceArn(text(arn)) if arn else None
            for name, arn in fields.items()
            if name.startswith(b"job:")
        },
    )


def _of_another(bound: str, launches: int, arn: str) -> str:
    books = f"{launches} of its tasks are there" if launches else "its scheduler is running"
    return (
        f"the queue is kept for the cluster {bound} ({books}), not for {arn}; give each cluster a "
        "queue of its own (--queue), or correct --cluster, --region or --profile"
    )


def _lost(owner: OwnerId) -> LeaseLost:
    return LeaseLost(f"the lease of {owner} ran out: open a new one and claim again")


def _nothing(reply: object) -> None:
    return None
