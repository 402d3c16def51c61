"""Whatever tasks ask and report, in whatever order: each sees its own payload, and only the current
attempt's result counts.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ecs_queue import producing, scheduling
from ecs_queue.assignment import Answer, Assignment, NoSuchTask, NotYet, NotYours, Over, ask
from ecs_queue.job import Job, JobId
from ecs_queue.payload import compact
from ecs_queue.retrying import Retry
from ecs_queue.script import DEFAULT_SETTINGS, Command, Envelope, sources
from ecs_queue.states import (
    DEFAULT_QUEUE,
    InfrastructureFailed,
    Intent,
    LaunchToken,
    OwnerId,
    Refused,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)

T = TypeVar("T")
ME = OwnerId("me")
ATTEMPTS = 3
PAYLOADS = st.none() | st.integers(-5, 5) | st.dictionaries(st.text(max_size=2), st.integers(0, 3))


@dataclass
class Task:
    """One launch of one job; `state` is what the job went to when it ended."""

    job: str
    token: LaunchToken
    arn: TaskArn
    attempt: int
    settled: bool = False
    refused: bool = False
    state: str = ""


@dataclass
class Known:
    """What the model knows of a job."""

    payload: Any
    failed: int = 0
    ended: bool = False
    result: Any = None
    tasks: list[Task] = field(default_factory=list)


class Payloads(RuleBasedStateMachine):
    """A queue and its tasks, some of which are late."""

    def __init__(self) -> None:
        super().__init__()
        redis = fakeredis.FakeRedis()
        self.envelope = Envelope(DEFAULT_QUEUE, DEFAULT_SETTINGS, lambda: 1_800_000_000_000)
        self.scripts = {name: redis.register_script(text) for name, text in sources().items()}
        self.jobs: dict[str, Known] = {}
        self.tasks: list[Task] = []
        self.run(scheduling.open_lease(ME, 10**9))
        for payload in (1, {"two": 2}, None):
            self._submit(payload)

    def run(self, command: Command[T]) -> T:
        reply = self.scripts[command.script](
            keys=self.envelope.keys(), args=self.envelope.args(command)
        )
        return command.parse(reply)

    @rule(payload=PAYLOADS)
    def submit(self, payload: Any) -> None:
        self._submit(payload)

    def _submit(self, payload: Any) -> None:
        job_id = f"j{len(self.jobs)}"
        retry = Retry(attempts=ATTEMPTS, backoff_s=0)
        job = Job(id=JobId(job_id), task_definition="t", payload=payload, retry=retry)
        self.run(producing.submit(f"submit-{job_id}", [producing.Written.of(job)]))
        self.jobs[job_id] = Known(payload)

    @rule(count=st.integers(1, 2))
    def intend(self, count: int) -> None:
        """Some jobs are launched together, under one token."""
        number = len(self.tasks)
        claims = self.run(scheduling.claim(ME, f"claim-{number}-{len(self.jobs)}", count))
        token = LaunchToken(f"token-{number}")
        intents = [Intent(each.job.id, each.epoch, None) for each in claims]
        for job_id in self.run(scheduling.intend(ME, token, "RunTask", intents)):
            known = self.jobs[job_id]
            task = Task(job_id, token, TaskArn(f"{token}/{job_id}"), known.failed + 1)
            known.tasks.append(task)
            self.tasks.append(task)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), refused=st.integers(0, 4).map(lambda number: number == 4))
    def settle(self, data: st.DataObject, refused: bool) -> None:
        task = data.draw(st.sampled_from(self.tasks))
        outcome = Started(JobId(task.job), task.arn, None)
        if task.settled or task.refused:
            self.run(scheduling.settle(task.token, [outcome]))  # a repetition changes nothing
        elif not refused:
            self.run(scheduling.settle(task.token, [outcome]))
            task.settled = True
        else:
            self.run(scheduling.settle(task.token, [Refused(JobId(task.job), "no room")]))
            task.refused = True

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), kind=st.sampled_from(["succeeded", "failed", "lost"]))
    def finish(self, data: st.DataObject, kind: str) -> None:
        task, _ = self.pair(data)
        if not task.settled or task.state:
            return
        known = self.jobs[task.job]
        verdicts: dict[str, Verdict] = {
            "succeeded": Succeeded(),
            "failed": TaskFailed("exit code 1", 1),
            "lost": InfrastructureFailed("instance lost"),
        }
        [state] = self.run(scheduling.finish([(task.arn, verdicts[kind], 0)], 100))
        assert state is not None
        task.state = state.value
        known.failed += kind == "failed"
        known.ended = task.state != "RUNNABLE"
        if not known.ended:
            known.result = None

    def pair(self, data: st.DataObject) -> tuple[Task, LaunchToken]:
        """A task, more often than not a live one, and its own secret or any."""
        live = [each for each in self.tasks if each.settled and not each.state]
        task = data.draw(st.sampled_from([*live, *live, *self.tasks]))
        return task, data.draw(st.sampled_from([task, task, *self.tasks])).token

    def expected(self, task: Task, token: LaunchToken) -> Answer:
        known = self.jobs[task.job]
        if task.state:
            return Over(task.state)
        if not task.settled:
            open_launch = any(
                each.token == token and not each.settled and not each.refused for each in self.tasks
            )
            return NotYet() if open_launch else NoSuchTask()
        if token != task.token:
            return NotYours()
        payload = None if known.payload is None else compact(known.payload)
        return Assignment(task.job, task.attempt, None, payload)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """By its own secret, or by that of any other launch."""
        task, token = self.pair(data)
        assert self.run(ask("look", task.arn, token)) == self.expected(task, token)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), result=st.integers())
    def report(self, data: st.DataObject, result: int) -> None:
        task, token = self.pair(data)
        answer = self.run(ask("result", task.arn, token, str(result).encode()))
        expected = self.expected(task, token)
        assert type(answer) is type(expected)
        if isinstance(expected, Assignment):
            self.jobs[task.job].result = result

    @invariant()
    def results_are_those_of_the_current_attempt(self) -> None:
        for job_id, known in self.jobs.items():
            assert self.run(producing.job(JobId(job_id))).result == known.result


TestPayloads = Payloads.TestCase
TestPayloads.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
