"""The queue for asyncio: thin methods over the commands of `producing` and `scheduling`.

Every method raises QueueUnreachable where Redis does not answer or refuses. A method that changes
something may be repeated after that: it has the effect of once.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import redis.asyncio
from redis.exceptions import RedisClusterException, RedisError

from ecs_queue import dead_letters, listing, producing, replaying, scheduling, staging, submitting
from ecs_queue.connection import explained, parsed, require_bytes
from ecs_queue.document import UnreadableJob
from ecs_queue.errors import UnknownJob
from ecs_queue.job import Job, JobId
from ecs_queue.letters import DeadLetter, Replay
from ecs_queue.pipelining import Pipelining
from ecs_queue.rewinding import Rewinding
from ecs_queue.script import DEFAULT_SETTINGS, Command, Envelope, QueueSettings, sources
from ecs_queue.states import (
    DEFAULT_QUEUE,
    Cancellation,
    Claim,
    Event,
    Failure,
    Intent,
    JobRecord,
    JobState,
    LaunchOutcome,
    LaunchToken,
    LiveTask,
    Note,
    OwnerId,
    PendingCancellation,
    PendingLaunch,
    QueueName,
    Release,
    Sighting,
    TaskArn,
    Verdict,
)
from ecs_queue.steering import Steering
from ecs_queue.submissions import Accepted, Admission, Duplicate, Submission
from ecs_queue.token_bank import TokenBank

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

T = TypeVar("T")

_BATCH = 500


def _fresh_token() -> str:
    return os.urandom(16).hex()  # a sixth of the time of a UUID


class Queue:
    """One queue in Redis; all clients of a name share it.

    `now_ms` None takes the server's time; `new_token` makes the words by which a repeated call is
    recognised, and must never repeat one.
    """

    def __init__(
        self,
        redis: "redis.asyncio.Redis | RedisCluster",
        name: QueueName = DEFAULT_QUEUE,
        *,
        now_ms: Callable[[], int] | None = None,
        settings: QueueSettings = DEFAULT_SETTINGS,
        new_token: Callable[[], str] = _fresh_token,
    ) -> None:
        require_bytes(redis)
        self._redis = redis
        self._envelope = Envelope(name, settings, now_ms)
        self._keys = self._envelope.keys()
        self._scripts = {n: redis.register_script(source) for n, source in sources().items()}
        self._pipelining = Pipelining(redis)
        self.new_token = new_token
        self._steering = Steering(self.run)
        self.rewinding = Rewinding(self.run)
        self._unanswered_claims: dict[OwnerId, str] = {}

    @property
    def steering(self) -> Steering:
        """Suspend, resume and reorder jobs that were submitted."""
        return self._steering

    def token_bank(self, owner: str) -> TokenBank:
        """Token buckets in the same Redis, shared by every queue."""
        return TokenBank(self._redis, owner, self.new_token, self._envelope.now_ms)

    async def run(self, command: Command[T]) -> T:
        """Run one command of this package."""
        script = self._scripts[command.script]
        try:
            send = self._pipelining.alone if command.alone else self._pipelining.run
            reply = await send(script, self._keys, self._envelope.args(command))
        except (RedisError, RedisClusterException) as error:
            raise explained(self._redis, error) from error
        return parsed(self._redis, command, reply)

    async def ping(self) -> None:
        """Ask the server whether it is there."""
        try:
            await self._redis.ping()
        except (RedisError, RedisClusterException) as error:
            raise explained(self._redis, error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    # Producers ------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[Job]) -> tuple[Submission, ...]:
        """Make jobs RUNNABLE, in this order; one answer a job. Sent in batches of 500."""
        return await submitting.submit(self.run, self.new_token, jobs)

    async def submit_graph(
        self, jobs: Sequence[Job], *, boost: int = 0
    ) -> tuple[Accepted | Duplicate, ...]:
        """Submit jobs that depend on one another, all of them or none; one answer a job.

        They may also depend on jobs of the queue. `boost` is added to the priority of the jobs on
        the longest way through the graph.

        Raises:
            InvalidGraph: with all that is wrong: cycles, dependencies that are neither here nor in
                the queue, ids that other jobs hold; nothing was submitted.
        """
        from ecs_queue import graph_submitting  # imports networkx, which only this method needs

        return await graph_submitting.submit_graph(self.run, self.new_token, jobs, boost)

    async def states(self, job_ids: Sequence[JobId]) -> Mapping[JobId, JobState]:
        """The states of those jobs that are in the queue."""
        return await listing.states_of(self.run, job_ids)

    async def cancel(
        self, job_ids: Sequence[JobId], reason: str = "cancelled on request"
    ) -> tuple[Cancellation, ...]:
        """Cancel jobs; one answer an id. What is STARTING or RUNNING ends when its task stops."""
        answers: list[Cancellation] = []
        for i in range(0, len(job_ids), _BATCH):
            batch = await self.run(producing.cancel(job_ids[i : i + _BATCH], reason))
            answers.extend(batch)
        return tuple(answers)

    async def job(self, job_id: JobId) -> JobRecord:
        """Everything known of one job.

        Raises:
            UnknownJob: no such job, or it ended longer than the retention ago.
        """
        return await self.run(producing.job(job_id))

    async def jobs(
        self, state: JobState | None = None, *, limit: int = 100, offset: int = 0
    ) -> tuple[JobRecord, ...]:
        """A page of jobs: RUNNABLE in the order of the queue, other states newest first.

        Without a state: RUNNING, STARTING, RUNNABLE, FAILED, CANCELLED, SUCCEEDED.
        """
        return await self.run(producing.jobs(state, limit, offset))

    async def counts(self) -> Mapping[JobState, int]:
        """The number of jobs in every state; SUBMITTED counts unread inbox entries."""
        return await self.run(producing.counts())

    async def dead_letters(self, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """What could not be admitted, newest first."""
        return await self.run(dead_letters.newest(limit))

    async def dead_letters_kept(self) -> int:
        """How many dead letters there are."""
        return await self.run(dead_letters.kept())

    async def dead_letter(self, entry_id: str) -> DeadLetter | None:
        """One dead letter by its entry id."""
        return await self.run(dead_letters.one(entry_id))

    async def replay(self, entry_id: str, document: bytes | str | None = None) -> Replay:
        """Send a dead letter to the inbox once more, as `document` if one is given.

        Once is enough: repeated, it answers the same for as long as jobs are kept.

        Raises:
            InvalidJob: it is still no job; nothing changed.
        """
        return await replaying.replay(self.run, entry_id, document)

    async def drop_dead_letters(self, entry_ids: Sequence[str]) -> tuple[bool, ...]:
        """Delete dead letters for good; for each, whether it was there."""
        return await self.run(dead_letters.drop(entry_ids))

    async def events(self, after: str = "-", *, limit: int = 1000) -> tuple[Event, ...]:
        """Transitions after the entry id `after` ("-" = from the oldest kept), oldest first."""
        return await self.run(producing.events(after, limit))

    # Schedulers -----------------------------------------------------------------------------------

    async def admit(self, owner: OwnerId, *, count: int = 500) -> Admission:
        """Turn the oldest inbox entries into RUNNABLE jobs or dead letters.

        An entry stays in the inbox until one script has taken it, so none is lost with a crash,
        and two owners admitting at once take each entry once. A conflict is a dead letter too.
        """
        entries, graphs = await self.run(producing.read_inbox(count))
        if graphs:
            await self.run(staging.take_in(self.new_token()))
        if not entries:
            return Admission((), 0)
        judged = [producing.judge(entry) for entry in entries]
        return await self.run(producing.admit(self.new_token(), judged))

    async def open_lease(self, owner: OwnerId, *, lease_ms: int) -> None:
        """Begin a lease; what an earlier life of this owner had claimed goes back to ready."""
        await self.run(scheduling.open_lease(owner, lease_ms))

    async def renew(self, owner: OwnerId, *, lease_ms: int) -> None:
        """Extend the lease to `lease_ms` from now.

        Raises:
            LeaseLost: it ran out; what was claimed may be somebody else's.
        """
        await self.run(scheduling.renew(owner, lease_ms))

    async def lead(
        self, owner: OwnerId, cluster: str, *, lease_ms: int, spread: bool = False, arn: str = ""
    ) -> int | None:
        """Take the lead of a cluster's schedulers, or keep it; it brings the owner's lease along.

        Answers None while another leads, else a fencing number: a new one means that what was
        claimed before is lost. With `spread` the lead goes to the one whom rendezvous hashing picks
        among those who ask, so that several clusters spread over them.

        Raises:
            QueueOfAnotherCluster: launches of the queue, or a leader, are in a cluster other than
                `arn`.
        """
        return await self.run(scheduling.lead(owner, cluster, lease_ms, spread=spread, arn=arn))

    async def resign(self, owner: OwnerId, cluster: str) -> int:
        """End lead and lease at once; answers how many claims went back."""
        return await self.run(scheduling.resign(owner, cluster))

    async def hand_back(self, owner: OwnerId) -> int:
        """End the lease; claims go back under their old score. Answers how many went back now."""
        return await self.run(scheduling.hand_back(owner))

    async def reclaim_expired(self) -> int:
        """Give back what owners hold whose lease ran out. Answers how many went back now."""
        return await self.run(scheduling.reclaim_expired())

    async def claim(
        self,
        owner: OwnerId,
        count: int,
        *,
        claim_id: str | None = None,
        enough: Collection[str] = (),
    ) -> tuple[Claim, ...]:
        """Take up to `count` jobs from the head of the queue; due delayed jobs join it first.

        The same claim id answers the same jobs, less those that are not held any more. Without
        one, a claim that failed on the way is repeated by the owner's next; an owner claims one
        at a time. Jobs of shares that have `enough` are passed by. What this version cannot read is
        given back, and says so.

        Raises:
            LeaseLost: the owner has no live lease.
        """
        word = claim_id or self._unanswered_claims.setdefault(owner, self.new_token())
        claims = await self.run(scheduling.claim(owner, word, count, enough))
        if claim_id is None:
            self._unanswered_claims.pop(owner, None)
        if unreadable := scheduling.unreadable(claims):
            await self.release(owner, unreadable)
            claims = tuple(each for each in claims if not isinstance(each.job, UnreadableJob))
        return claims

    async def shares(self) -> frozenset[str]:
        """Every share that a job was ever submitted for, and `default`."""
        return await self.run(scheduling.shares())

    async def release(self, owner: OwnerId, releases: Sequence[Release]) -> None:
        """Give claimed jobs back, each with the reason why it waits."""
        if releases:
            await self.run(scheduling.release(owner, releases))

    async def fail(self, owner: OwnerId, failures: Sequence[Failure]) -> None:
        """Claimed jobs that can't be launched at all are FAILED, each with its reason."""
        if failures:
            await self.run(scheduling.fail(owner, failures))

    async def expire(self, *, most: int = 500) -> int:
        """End or move RUNNABLE jobs whose deadline has passed, or that waited longer than allowed.

        Answers how many it looked at; as many as `most` means that there may be more.
        """
        return await self.run(scheduling.expire(most))

    async def held(self, owner: OwnerId) -> frozenset[JobId]:
        """What the owner has claimed and not launched; cancelled jobs are no longer in it."""
        return await self.run(scheduling.held(owner))

    async def put_back(self, owner: OwnerId, job_ids: Sequence[JobId]) -> None:
        """Make claimed jobs ready again that the owner lost track of, whatever their epoch."""
        if job_ids:
            await self.run(scheduling.put_back(owner, job_ids))

    async def note(self, owner: OwnerId, notes: Sequence[Note]) -> None:
        """Write down why claimed jobs wait; they stay claimed."""
        if notes:
            await self.run(scheduling.note(owner, notes))

    async def intend(
        self, owner: OwnerId, token: LaunchToken, api: str, intents: Sequence[Intent]
    ) -> frozenset[JobId]:
        """Enter a launch in the ledger: its jobs are STARTING.

        Answers those that may be launched; the others were cancelled or lost to another owner.
        """
        if not intents:
            return frozenset()
        return await self.run(scheduling.intend(owner, token, api, intents))

    async def settle(self, token: LaunchToken, outcomes: Sequence[LaunchOutcome]) -> None:
        """Write down what certainly became of a launch; a refused job is RUNNABLE again.

        A refused job whose cancellation was asked for is CANCELLED.
        """
        if outcomes:
            await self.run(scheduling.settle(token, outcomes))

    async def pending_launches(
        self, *, older_than_ms: int = 0, limit: int = 100
    ) -> tuple[PendingLaunch, ...]:
        """Ledger entries whose outcome is open, oldest first."""
        return await self.run(scheduling.pending_launches(older_than_ms, limit))

    async def doubted_launches(self, *, kept_ms: int) -> tuple[LaunchToken, ...]:
        """Launches that counted as absent less than `kept_ms` ago; ECS may yet show a task."""
        return await self.run(scheduling.doubted_launches(kept_ms))

    async def known_tasks(self, task_arns: Sequence[TaskArn]) -> frozenset[TaskArn]:
        """Those of the tasks that are some job's, or were one's within two hours."""
        return await self.run(scheduling.known_tasks(task_arns)) if task_arns else frozenset()

    async def live_tasks(self) -> tuple[LiveTask, ...]:
        """Tasks that ECS acknowledged and that were not seen STOPPED."""
        found: dict[TaskArn, LiveTask] = {}
        cursor = ""
        while cursor != "0":
            cursor, page = await self.run(scheduling.live_tasks(cursor or "0"))
            found.update((task.task_arn, task) for task in page)
        return tuple(found.values())

    async def running(self, sightings: Sequence[Sighting]) -> None:
        """STARTING jobs whose tasks were seen RUNNING are RUNNING; unknown tasks are skipped."""
        for i in range(0, len(sightings), _BATCH):
            await self.run(scheduling.running(sightings[i : i + _BATCH]))

    async def finish(self, task_arn: TaskArn, verdict: Verdict, *, delay_ms: int = 0) -> JobState:
        """A task stopped. Answers a terminal state, or RUNNABLE for a retry after `delay_ms`.

        Success always is; otherwise a requested cancellation makes it CANCELLED. Repeated within
        two hours it answers the same.

        Raises:
            UnknownJob: no job of this queue runs as this task.
        """
        [state] = await self.finish_all([(task_arn, verdict, delay_ms)])
        if state is None:
            raise UnknownJob(f"no job of this queue runs as task {task_arn}")
        return state

    async def finish_all(
        self, endings: Sequence[tuple[TaskArn, Verdict, int]]
    ) -> tuple[JobState | None, ...]:
        """The same for several tasks at once; None for a task that no job runs as."""
        budget = self._envelope.settings.infrastructure_budget
        return await self.run(scheduling.finish(endings, budget)) if endings else ()

    async def cancellations(self) -> tuple[PendingCancellation, ...]:
        """STARTING and RUNNING jobs to be stopped: cancelled on request, or past their timeout."""
        return await self.run(scheduling.cancellations())
