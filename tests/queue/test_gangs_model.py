"""Gangs against a small model: whatever happens on the way, a gang is handed out whole, and none
of it runs for longer than the bound while others were not started.

Every script runs twice here, as after a lost reply.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from tests.queue.machine import OWNER, Machine, play

from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.gang import Gang, GangId
from ecs_queue.job import Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.states import (
    Claim,
    Intent,
    JobState,
    LaunchToken,
    Refused,
    Release,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
)

SIZES = {"g": 2, "h": 3}
WITHIN_S, ARRIVE_S = 60, 600
GANGS = {
    "g": Gang(id=GangId("g"), size=2, within_s=WITHIN_S, arrive_within_s=ARRIVE_S),
    "h": Gang(
        id=GangId("h"), size=3, within_s=WITHIN_S, arrive_within_s=ARRIVE_S, on_failure="stop"
    ),
}
NAMES = ("g0", "g1", "h0", "h1", "h2", "single")
names = st.sampled_from(NAMES)


@dataclass
class Start:
    """One start of a gang: when its first member was launched, and whom ECS acknowledged."""

    at_ms: int
    acknowledged: set[str] = field(default_factory=set)
    formed: bool = False


class GangMachine(Machine):
    """Follows what was claimed and launched; what state a job is in, it asks the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[str, Claim] = {}
        self.tasks: dict[str, TaskArn] = {}
        self.open: dict[LaunchToken, str] = {}
        self.starts: dict[str, Start] = {}
        self.known: set[str] = set()
        self.ended: dict[str, JobState] = {}

    def state(self, name: str) -> JobState:
        state: JobState = self.do(self.queue.job(JobId(name))).state
        return state

    def peers(self, name: str) -> set[str]:
        """The members of its gang that have not ended."""
        return {each for each in self.known if each[0] == name[0] and not self.state(each).terminal}

    @rule(name=names, priority=st.integers(0, 2))
    def submit(self, name: str, priority: int) -> None:
        if name not in self.known:
            job = Job(
                id=JobId(name),
                task_definition="t",
                priority=priority,
                gang=GANGS.get(name[0]),
                retry=Retry(attempts=2),
            )
            self.do(self.queue.submit([job]))
            self.known.add(name)

    @rule()
    def submit_all(self) -> None:
        for name in NAMES:
            self.submit(name, 0)

    @rule(count=st.integers(1, 3))
    def claim(self, count: int) -> None:
        """A gang comes whole, or, while it is being started, member by member."""
        self.do(self.queue.open_lease(OWNER, lease_ms=10**9))
        claims = {each.job.id: each for each in self.do(self.queue.claim(OWNER, count))}
        assert len({each.epoch for each in claims.values()}) <= 1
        for name, claim in claims.items():
            gang, start = name[0], self.starts.get(name[0])
            if claim.together:
                assert claim.together == len(self.peers(name))
                assert {each for each in claims if each[0] == gang} == self.peers(name)
                self.starts.pop(gang, None)
            elif gang in SIZES:
                assert start is not None
                assert claim.overdue is not start.formed
        self.claims = claims

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), acknowledged=st.sampled_from([True, True, False, None]))
    def launch(self, data: st.DataObject, acknowledged: bool | None) -> None:
        """Of a claimed job, perhaps a stale claim; None leaves the outcome open."""
        name = data.draw(st.sampled_from(sorted(self.claims)))
        claim, token = self.claims.pop(name), LaunchToken(f"token-{self.fresh()}")
        intents = [Intent(claim.job.id, claim.epoch, None)]
        if not self.do(self.queue.intend(OWNER, token, "RunTask", intents)):
            return
        if claim.together and name[0] not in self.starts:
            self.starts[name[0]] = Start(self.now)
        self.open[token] = name
        if acknowledged is not None:
            self.settle(token, acknowledged)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), acknowledged=st.booleans())
    def find_out(self, data: st.DataObject, acknowledged: bool) -> None:
        self.settle(data.draw(st.sampled_from(sorted(self.open))), acknowledged)

    def settle(self, token: LaunchToken, acknowledged: bool) -> None:
        name, task = self.open.pop(token), TaskArn(f"arn:{token}")
        started, refused = Started(JobId(name), task, None), Refused(JobId(name), "full")
        self.do(self.queue.settle(token, [started if acknowledged else refused]))
        if acknowledged:
            self.tasks[name] = task
            if start := self.starts.get(name[0]):
                start.acknowledged.add(name)
                start.formed |= self.peers(name) <= start.acknowledged

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), success=st.booleans())
    def finish(self, data: st.DataObject, success: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        verdict = Succeeded() if success else TaskFailed("exit 1", 1)
        self.do(self.queue.finish(self.tasks.pop(name), verdict))

    @rule(name=names)
    def cancel(self, name: str) -> None:
        self.do(self.queue.cancel([JobId(name)]))

    @rule(name=names, resume=st.booleans())
    def suspend(self, name: str, resume: bool) -> None:
        steering = self.queue.steering
        self.do(steering.resume([JobId(name)]) if resume else steering.suspend([JobId(name)]))

    @rule(name=names, priority=st.integers(0, 5))
    def reprioritise(self, name: str, priority: int) -> None:
        self.do(self.queue.steering.reprioritise([JobId(name)], priority))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), delay_ms=st.sampled_from([0, 3000]))
    def release(self, data: st.DataObject, delay_ms: int) -> None:
        claim = self.claims[data.draw(st.sampled_from(sorted(self.claims)))]
        self.do(self.queue.release(OWNER, [Release(claim.job.id, claim.epoch, "", delay_ms)]))

    @rule(s=st.sampled_from([1, 10, WITHIN_S, ARRIVE_S]))
    def advance(self, s: int) -> None:
        self.now += s * 1000
        self.do(self.queue.expire())

    @invariant()
    def every_job_is_in_one_set(self) -> None:
        assert self.members(OWNER) == sorted(self.known)
        counts = self.do(self.queue.counts())
        assert sum(counts.values()) == len(self.known)

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        for name in self.known:
            state = self.state(name)
            assert self.ended.get(name, state) is state
            if state.terminal:
                self.ended[name] = state

    @invariant()
    def no_gang_is_held_in_part(self) -> None:
        """But for the rest of one that is being started."""
        held = self.do(self.queue.held(OWNER))
        for gang in SIZES:
            mine = {each for each in held if each[0] == gang}
            if mine and gang not in self.starts:
                assert mine == self.peers(f"{gang}0")

    @invariant()
    def no_part_of_a_gang_runs_on_beyond_the_bound(self) -> None:
        """Each of its tasks is to be stopped by then."""
        stopped = {each.job_id for each in self.do(self.queue.cancellations())}
        for gang, start in self.starts.items():
            if not start.formed and self.now - start.at_ms >= WITHIN_S * 1000:
                left = {name for name in self.tasks if name[0] == gang} - stopped
                rest = self.peers(f"{gang}0") - start.acknowledged
                assert not (left and rest), (left, rest)


def test_gangs_keep_their_contract() -> None:
    """None is torn apart, lost, or half started for good."""
    play(GangMachine, examples=12, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gangs_keep_their_contract_on_valkey(valkey: EmbeddedValkey) -> None:
    """The same at length, on a real server."""
    play(GangMachine, examples=20, steps=50, on=valkey)
