"""The queue for synchronous producers: the same commands as `client.Queue`, awaited by nobody."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import redis
from redis.exceptions import RedisClusterException, RedisError

from ecs_queue import dead_letters, producing
from ecs_queue.connection import explained, parsed, require_bytes
from ecs_queue.job import Job, JobId
from ecs_queue.letters import DeadLetter
from ecs_queue.script import DEFAULT_SETTINGS, Command, Envelope, QueueSettings, sources
from ecs_queue.states import DEFAULT_QUEUE, Cancellation, JobRecord, JobState, QueueName
from ecs_queue.submissions import Submission

if TYPE_CHECKING:
    from redis.cluster import RedisCluster

T = TypeVar("T")

_BATCH = 500


class SyncQueue:
    """One queue in Redis, for producers; parameters and errors are those of `client.Queue`."""

    def __init__(
        self,
        redis: "redis.Redis | RedisCluster",
        name: QueueName = DEFAULT_QUEUE,
        *,
        now_ms: Callable[[], int] | None = None,
        settings: QueueSettings = DEFAULT_SETTINGS,
        new_token: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        require_bytes(redis)
        self._redis = redis
        self._envelope = Envelope(name, settings, now_ms)
        self._keys = self._envelope.keys()
        self._scripts = {n: redis.register_script(source) for n, source in sources().items()}
        self._new_token = new_token

    def _run(self, command: Command[T]) -> T:
        script = self._scripts[command.script]
        try:
            reply = script(keys=self._keys, args=self._envelope.args(command))
        except (RedisError, RedisClusterException) as error:
            raise explained(self._redis, error) from error
        return parsed(self._redis, command, reply)

    def ping(self) -> None:
        """Ask the server whether it is there."""
        try:
            self._redis.ping()
        except (RedisError, RedisClusterException) as error:
            raise explained(self._redis, error) from error

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def submit(self, jobs: Sequence[Job]) -> tuple[Submission, ...]:
        """Make jobs RUNNABLE, in this order; one answer a job."""
        submissions: list[Submission] = []
        for batch in producing.batches(jobs):
            answers = self._run(producing.submit(self._new_token(), batch))
            submissions.extend(answers)
        return tuple(submissions)

    def cancel(
        self, job_ids: Sequence[JobId], reason: str = "cancelled on request"
    ) -> tuple[Cancellation, ...]:
        """Cancel jobs; one answer an id."""
        answers: list[Cancellation] = []
        for i in range(0, len(job_ids), _BATCH):
            batch = self._run(producing.cancel(job_ids[i : i + _BATCH], reason))
            answers.extend(batch)
        return tuple(answers)

    def job(self, job_id: JobId) -> JobRecord:
        """Everything known of one job; UnknownJob where there is none."""
        return self._run(producing.job(job_id))

    def jobs(
        self, state: JobState | None = None, *, limit: int = 100, offset: int = 0
    ) -> tuple[JobRecord, ...]:
        """A page of jobs, in the order of `client.Queue.jobs`."""
        return self._run(producing.jobs(state, limit, offset))

    def counts(self) -> Mapping[JobState, int]:
        """The number of jobs in every state."""
        return self._run(producing.counts())

    def dead_letters(self, *, limit: int = 100) -> tuple[DeadLetter, ...]:
        """What could not be admitted, newest first."""
        return self._run(dead_letters.newest(limit))
