"""The whole contract against a small model: a dictionary of jobs that anyone can follow.

Hypothesis plays two owners, a clock, repeated calls and stale ones. After every step the real
queue must hold exactly the model's jobs, each in one state and in one set.
"""

from dataclasses import dataclass, field
from typing import Any

import fakeredis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.queue.claimed_jobs import as_said
from tests.queue.machine import Machine, play

from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.errors import LeaseLost
from ecs_queue.job import Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.script import QueueSettings
from ecs_queue.states import (
    Claim,
    InfrastructureFailed,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Refused,
    Release,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)
from ecs_queue.submissions import Accepted, Conflict, Duplicate

OWNERS = (OwnerId("alice"), OwnerId("bob"))
LEASE_MS, BUDGET = 10_000, 1

owners = st.sampled_from(OWNERS)
delays = st.sampled_from([0, 0, 3000])
verdicts = st.sampled_from(
    [Succeeded(), TaskFailed("exit code 1", 1), InfrastructureFailed("instance lost")]
)


@dataclass
class Model:
    """One job as the contract describes it."""

    job: Job
    order: int
    state: JobState = JobState.RUNNABLE
    holder: OwnerId | None = None
    due_ms: int = 0
    cancel: bool = False
    task: TaskArn | None = None
    failures: int = 0
    losses: int = 0

    @property
    def place(self) -> tuple[int, int]:
        return (-self.job.priority, self.order)


@dataclass
class Leases:
    """When each owner's lease ends."""

    expiry: dict[OwnerId, int] = field(default_factory=dict)

    def live(self, owner: OwnerId, now_ms: int) -> bool:
        return self.expiry.get(owner, 0) > now_ms


class QueueMachine(Machine):
    """Each rule does one thing to the queue and to the model, and compares the answers."""

    fake = fakeredis.FakeAsyncRedis
    queue_settings = QueueSettings(infrastructure_budget=BUDGET)

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Model] = {}
        self.leases = Leases()
        self.claims: dict[OwnerId, dict[str, Claim]] = {owner: {} for owner in OWNERS}
        self.launches: dict[LaunchToken, set[str]] = {}
        self.ended: list[tuple[TaskArn, JobState]] = []

    def in_state(self, *states: JobState) -> list[Model]:
        return [model for model in self.jobs.values() if model.state in states]

    # Rules ----------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        for owner in OWNERS:
            self.open_lease(owner)

    @rule(ms=st.sampled_from([1, 3000, LEASE_MS]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(name=st.sampled_from("abcdefgh"), priority=st.integers(0, 2), attempts=st.integers(1, 2))
    def submit(self, name: str, priority: int, attempts: int) -> None:
        job = Job(
            id=JobId(name), task_definition="t", priority=priority, retry=Retry(attempts=attempts)
        )
        known = self.jobs.get(name)
        if known is None:
            self.jobs[name] = Model(job, self.fresh())
            expected: Any = Accepted(job.id)
        else:
            expected = Duplicate(job.id) if known.job == job else Conflict(job.id)
        assert self.do(self.queue.submit([job])) == (expected,)

    @rule(owner=owners)
    def open_lease(self, owner: OwnerId) -> None:
        self.do(self.queue.open_lease(owner, lease_ms=LEASE_MS))
        self.drop_claims(owner)
        self.leases.expiry[owner] = self.now + LEASE_MS

    @rule(owner=owners)
    def renew(self, owner: OwnerId) -> None:
        try:
            self.do(self.queue.renew(owner, lease_ms=LEASE_MS))
        except LeaseLost:
            assert not self.leases.live(owner, self.now)
        else:
            assert self.leases.live(owner, self.now)
            self.leases.expiry[owner] = self.now + LEASE_MS

    @rule(owner=owners)
    def hand_back(self, owner: OwnerId) -> None:
        held = sum(model.holder == owner for model in self.jobs.values())
        assert self.do(self.queue.hand_back(owner)) == held
        self.drop_claims(owner)
        self.leases.expiry.pop(owner, None)

    @rule()
    def reclaim(self) -> None:
        self.do(self.queue.reclaim_expired())
        for owner in OWNERS:
            if not self.leases.live(owner, self.now):
                self.drop_claims(owner)
                self.leases.expiry.pop(owner, None)

    @rule(owner=owners, count=st.integers(1, 4), twice=st.booleans())
    def claim(self, owner: OwnerId, count: int, twice: bool) -> None:
        claim_id = f"claim-{self.fresh()}"
        try:
            claims = self.do(self.queue.claim(owner, count, claim_id=claim_id))
        except LeaseLost:
            assert not self.leases.live(owner, self.now)
            return
        assert self.leases.live(owner, self.now)
        if twice:
            assert self.do(self.queue.claim(owner, count, claim_id=claim_id)) == claims
        free = [
            model
            for model in self.in_state(JobState.RUNNABLE)
            if model.holder is None and model.due_ms <= self.now
        ]
        expected = sorted(free, key=lambda model: model.place)[:count]
        assert [as_said(claim.job) for claim in claims] == [model.job for model in expected]
        for model, claim in zip(expected, claims, strict=True):
            model.holder, model.due_ms = owner, 0
            self.claims[owner][model.job.id] = claim

    @rule(owner=owners, data=st.data(), delay_ms=delays)
    def release(self, owner: OwnerId, data: st.DataObject, delay_ms: int) -> None:
        claim = self.any_claim(owner, data)
        if claim is None:
            return
        release = Release(claim.job.id, claim.epoch, "no room", delay_ms)
        self.do(self.queue.release(owner, [release]))
        if self.current(owner, claim):
            self.wait(self.jobs[claim.job.id], delay_ms)

    @rule(owner=owners, data=st.data())
    def intend(self, owner: OwnerId, data: st.DataObject) -> None:
        claim = self.any_claim(owner, data)
        if claim is None:
            return
        token = LaunchToken(f"token-{self.fresh()}")
        intents = [Intent(claim.job.id, claim.epoch, None)]
        allowed = self.do(self.queue.intend(owner, token, "RunTask", intents))
        assert allowed == ({claim.job.id} if self.current(owner, claim) else set())
        if allowed:
            model = self.jobs[claim.job.id]
            model.state, model.holder = JobState.STARTING, None
            self.launches[token] = {claim.job.id}

    @precondition(lambda self: self.launches)
    @rule(data=st.data(), refused=st.booleans(), delay_ms=delays)
    def settle(self, data: st.DataObject, refused: bool, delay_ms: int) -> None:
        token = data.draw(st.sampled_from(sorted(self.launches)))
        (name,) = self.launches.pop(token)
        model = self.jobs[name]
        task = TaskArn(f"arn:{token}")
        started = Started(model.job.id, task, None)
        outcome = Refused(model.job.id, "full", delay_ms) if refused else started
        self.do(self.queue.settle(token, [outcome]))
        self.do(self.queue.settle(token, [started]))  # a straggler
        if not refused:
            model.task = task
        elif model.cancel:
            model.state = JobState.CANCELLED
        else:
            self.wait(model, delay_ms)

    @rule()
    def see_running(self) -> None:
        tasks = [model.task for model in self.jobs.values() if model.task]
        self.do(self.queue.running([Sighting(task, self.now) for task in tasks]))
        for model in self.jobs.values():
            if model.task:
                model.state = JobState.RUNNING

    @rule(data=st.data(), verdict=verdicts, delay_ms=delays)
    def finish(self, data: st.DataObject, verdict: Verdict, delay_ms: int) -> None:
        live = [model for model in self.jobs.values() if model.task]
        if not live:
            return
        model = data.draw(st.sampled_from(live))
        assert model.task is not None
        task, model.task = model.task, None
        self.judge(model, verdict, delay_ms)
        assert self.do(self.queue.finish(task, verdict, delay_ms=delay_ms)) == model.state
        self.ended.append((task, model.state))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), verdict=verdicts)
    def finish_again(self, data: st.DataObject, verdict: Verdict) -> None:
        task, state = data.draw(st.sampled_from(self.ended))
        assert self.do(self.queue.finish(task, verdict)) == state

    @rule(name=st.sampled_from("abcdefgh"))
    def cancel(self, name: str) -> None:
        self.do(self.queue.cancel([JobId(name)]))
        model = self.jobs.get(name)
        if model is None or model.state.terminal:
            return
        if model.state is JobState.RUNNABLE:
            model.state, model.holder = JobState.CANCELLED, None
        else:
            model.cancel = True

    # The contract ---------------------------------------------------------------------------------

    def judge(self, model: Model, verdict: Verdict, delay_ms: int) -> None:
        match verdict:
            case Succeeded():
                model.state = JobState.SUCCEEDED
                return
            case _ if model.cancel:
                model.state = JobState.CANCELLED
                return
            case TaskFailed():
                model.failures += 1
                spent = model.failures == model.job.retry.attempts
            case InfrastructureFailed():
                model.losses += 1
                spent = model.losses > BUDGET
        if spent:
            model.state = JobState.FAILED
        else:
            self.wait(model, delay_ms)

    def wait(self, model: Model, delay_ms: int) -> None:
        model.state, model.holder = JobState.RUNNABLE, None
        model.due_ms = self.now + delay_ms if delay_ms else 0

    def drop_claims(self, owner: OwnerId) -> None:
        for model in self.jobs.values():
            if model.holder == owner:
                model.holder = None

    def any_claim(self, owner: OwnerId, data: st.DataObject) -> Claim | None:
        """A claim of this owner, perhaps one that it lost long ago."""
        claims = self.claims[owner]
        return claims[data.draw(st.sampled_from(sorted(claims)))] if claims else None

    def current(self, owner: OwnerId, claim: Claim) -> bool:
        newest = all(
            other[claim.job.id].epoch <= claim.epoch
            for other in self.claims.values()
            if claim.job.id in other
        )
        return newest and self.jobs[claim.job.id].holder == owner

    # What never happens ---------------------------------------------------------------------------

    @invariant()
    def no_job_is_lost_or_in_another_state(self) -> None:
        records = self.do(self.queue.jobs(limit=100))
        assert {r.job.id: r.state for r in records} == {
            name: model.state for name, model in self.jobs.items()
        }
        assert len(records) == len(self.jobs)

    @invariant()
    def counts_are_what_a_recount_gives(self) -> None:
        counts = self.do(self.queue.counts())
        assert counts == {state: len(self.in_state(state)) for state in JobState}

    @invariant()
    def no_job_is_in_two_sets(self) -> None:
        assert self.members(*OWNERS) == sorted(self.jobs)

    @invariant()
    def the_ledger_holds_what_is_open(self) -> None:
        pending = self.do(self.queue.pending_launches())
        assert {launch.token: set(launch.jobs) for launch in pending} == self.launches
        live = {task.task_arn: task.job_id for task in self.do(self.queue.live_tasks())}
        assert live == {m.task: m.job.id for m in self.jobs.values() if m.task}

    @invariant()
    def only_active_jobs_are_to_be_stopped(self) -> None:
        active = self.in_state(JobState.STARTING, JobState.RUNNING)
        asked = {model.job.id for model in active if model.cancel}
        assert {c.job_id for c in self.do(self.queue.cancellations())} == asked


def test_the_contract_is_never_broken() -> None:
    """No job is lost, in two states, in two sets, or leaves a terminal state."""
    play(QueueMachine, examples=15, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_contract_is_never_broken_on_valkey(valkey: EmbeddedValkey) -> None:
    """The same at length, on a real server."""
    play(QueueMachine, examples=150, steps=80, on=valkey)
