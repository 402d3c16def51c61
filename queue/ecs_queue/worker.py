"""For programs that run as tasks: their payload, and a way to report progress and a result.

Over HTTP it needs nothing but Python; where it talks to Redis itself, redis.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Protocol

from ecs_queue import assignment
from ecs_queue.assignment import (
    Act,
    Answer,
    Assignment,
    NoSuchTask,
    NotYet,
    NotYours,
    Over,
    progress_text,
    result_json,
)
from ecs_queue.errors import NoAssignment, QueueUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ecs_queue.states import QueueName, TaskArn

URL_VARIABLE = "ECS_SCHEDULER_WORKER_URL"
SECRET_VARIABLE = "ECS_SCHEDULER_LAUNCH_SECRET"
METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
REDIS_VARIABLES = ("ECS_SCHEDULER_REDIS_URL", "REDIS_URL")
QUEUE_VARIABLE = "ECS_SCHEDULER_QUEUE"

TRIES, PAUSE_S, LONGEST_PAUSE_S = 40, 0.25, 5.0
"""A task may ask before its launch is settled, or while Redis or the service restarts. The pauses
add up to three minutes, longer than the scheduler takes to find out about a launch without answer.
"""

ANSWER_S = 10.0


class Link(Protocol):
    """The way to the queue."""

    def ask(self, act: Act, told: bytes = b"") -> Answer:
        """One question. Raises QueueUnreachable."""


class Worker:
    """A task's view of its job; as a context manager it reports the result at the end.

    with Worker.from_env() as work:
        work.progress("rendering")
        work.result = render(work.payload)
    """

    def __init__(self, link: Link, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._link = link
        self._sleep = sleep
        self._assignment: Assignment | None = None
        self._result: bytes | None = None

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Worker:
        """The worker of the task that this process runs in.

        Goes through the service where ECS_SCHEDULER_WORKER_URL is set (the service sets it), else
        to the Redis of ECS_SCHEDULER_REDIS_URL or REDIS_URL, queue ECS_SCHEDULER_QUEUE.

        Raises:
            NoAssignment: this is no ECS task, or nothing says where its queue is.
        """
        task_arn = task_arn_of(environ)
        if url := environ.get(URL_VARIABLE):
            return cls(HttpLink(url, task_arn, environ.get(SECRET_VARIABLE, "")), sleep=sleep)
        for name in REDIS_VARIABLES:
            if url := environ.get(name):
                queue = environ.get(QUEUE_VARIABLE, "default")
                return cls(RedisLink(url, task_arn, queue), sleep=sleep)
        raise NoAssignment(
            f"neither {URL_VARIABLE} nor {REDIS_VARIABLES[0]} is set: set worker_url where the "
            "scheduler runs, or give the container the URL of its Redis"
        )

    def __enter__(self) -> Worker:
        self._assignment = self._persist("look")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._result is not None:
            self._persist("result", self._result)

    @property
    def assignment(self) -> Assignment:
        """The job's id, the attempt (from 1), and the index of an array's child."""
        if self._assignment is None:
            self._assignment = self._persist("look")
        return self._assignment

    @property
    def payload(self) -> Any:
        """The job's payload; None where it has none."""
        written = self.assignment.payload
        return None if written is None else json.loads(written)

    def progress(self, progress: str | float) -> None:
        """Say how far it is; 200 characters are kept, of the last time.

        Does nothing while the queue is away: progress is worth no failure.
        """
        try:
            _assigned(self._link.ask("progress", progress_text(progress)))
        except QueueUnreachable:
            return

    @property
    def result(self) -> Any:
        """What came of it: JSON of at most 64 KiB, reported when the `with` block ends."""
        return None if self._result is None else json.loads(self._result)

    @result.setter
    def result(self, result: Any) -> None:
        """Raises ValueError where it is no JSON, or too large."""
        self._result = result_json(result)

    def _persist(self, act: Act, told: bytes = b"") -> Assignment:
        """Ask until the launch is known and the queue is there."""
        away, pause_s = "the launch is not settled yet", PAUSE_S
        for _ in range(TRIES):
            try:
                answer = self._link.ask(act, told)
                if not isinstance(answer, NotYet):
                    return _assigned(answer)
            except QueueUnreachable as error:
                away = str(error)
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise NoAssignment(f"no answer after {TRIES} tries: {away}")


def _assigned(answer: Answer) -> Assignment:
    match answer:
        case Assignment():
            return answer
        case NotYet():
            raise QueueUnreachable("the launch is not settled yet")
        case Over(state):
            raise NoAssignment(f"this task counts as ended; its job went to {state}")
        case NotYours():
            raise NoAssignment("the launch secret is not the one that this task was launched with")
        case NoSuchTask():
            raise NoAssignment("this task was not launched by this queue, or ended long ago")


def task_arn_of(environ: Mapping[str, str]) -> TaskArn:
    """The ARN of the task that this process runs in, from ECS's metadata endpoint, version 4
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html).
    """
    endpoint = environ.get(METADATA_VARIABLE)
    if not endpoint:
        raise NoAssignment(f"{METADATA_VARIABLE} is not set: this process runs in no ECS task")
    try:
        with urllib.request.urlopen(f"{endpoint}/task", timeout=ANSWER_S) as reply:
            arn: TaskArn = json.load(reply)["TaskARN"]
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        raise NoAssignment(f"the metadata endpoint {endpoint}/task is no use: {error}") from error
    return arn


class HttpLink:
    """Through the service."""

    def __init__(self, url: str, task_arn: TaskArn, secret: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/tasks/{task_arn}"
        self._headers = {"Authorization": f"Bearer {secret}"}

    def ask(self, act: Act, told: bytes = b"") -> Answer:
        """One request; the status tells the answers apart."""
        request = urllib.request.Request(self._url, headers=self._headers)
        if act != "look":
            request = urllib.request.Request(
                f"{self._url}/{act}", told, self._headers, method="PUT"
            )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:
                found = json.load(reply)
        except urllib.error.HTTPError as error:
            return _refusal(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise QueueUnreachable(f"the scheduler does not answer: {error}") from error
        payload = found.get("payload")
        written = None if payload is None else json.dumps(payload).encode()
        return Assignment(found["job"], found["attempt"], found["array_index"], written)


def _refusal(error: urllib.error.HTTPError) -> Answer:
    with error:
        match error.code:
            case 401 | 403:
                return NotYours()
            case 404:
                return NoSuchTask()
            case 410:
                return Over(error.headers.get("X-Job-State", "its end"))
        raise QueueUnreachable(f"the scheduler answers {error.code}") from error


class RedisLink:
    """Straight to Redis; whoever reaches that needs no secret."""

    def __init__(self, url: str, task_arn: TaskArn, queue: str) -> None:
        from ecs_queue.connection import connect_sync
        from ecs_queue.script import DEFAULT_SETTINGS, Envelope, sources

        name: QueueName = queue  # type: ignore[assignment]  # no NewType at run time
        self._task_arn = task_arn
        self._redis = connect_sync(url)
        self._envelope = Envelope(name, DEFAULT_SETTINGS, None)
        self._script = self._redis.register_script(sources()["task"])

    def ask(self, act: Act, told: bytes = b"") -> Answer:
        """One call of the queue's script."""
        from redis.exceptions import RedisError

        from ecs_queue.connection import explained, parsed

        command = assignment.ask(act, self._task_arn, None, told)
        try:
            reply = self._script(keys=self._envelope.keys(), args=self._envelope.args(command))
        except RedisError as error:
            raise explained(self._redis, error) from error
        return parsed(self._redis, command, reply)
