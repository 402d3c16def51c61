"""Arrays against a small model: every child in one state, and the parent what they add up to; a
second array follows the first one child by child.

Every script runs twice here, as after a lost reply.
"""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
)
from tests.queue.machine import OWNER, TAG, Machine, play

from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.states import (
    JobState,
    Succeeded,
    TaskArn,
    TaskFailed,
)

P, Q = JobId("p"), JobId("q")
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


class ArrayMachine(Machine):
    """`ended` is how the children of p ended, `running` the tasks of those under way."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[int, JobState] = {}
        self.running: dict[int, TaskArn] = {}
        self.failures: dict[int, int] = {}
        self.launches: Counter[int] = Counter()
        self.to_cancel: set[int] = set()
        self.whole_cancelled = False

    @initialize(size=st.integers(2, 20), sequential=st.booleans(), attempts=st.integers(1, 2))
    def submit(self, size: int, sequential: bool, attempts: int) -> None:
        self.size, self.sequential, self.attempts = size, sequential, attempts
        on = (Dependency(type="SEQUENTIAL"),) if sequential else ()
        job = Job(
            id=P,
            task_definition="t",
            array_size=size,
            depends_on=on,
            retry=Retry(attempts=attempts),
        )
        follower = Job(
            id=Q,
            task_definition="t",
            array_size=size,
            depends_on=(Dependency(job=P, type="N_TO_N"),),
        )
        self.do(self.queue.submit([job, follower]))

    @property
    def waiting(self) -> list[int]:
        return [i for i in range(self.size) if i not in self.ended and i not in self.running]

    @rule(count=st.integers(1, 6), data=st.data())
    def launch(self, count: int, data: st.DataObject) -> None:
        """Claim some, start one of them, give the others back."""
        self.do(self.queue.open_lease(OWNER, lease_ms=10_000))
        both = self.do(self.queue.claim(OWNER, count))
        claims = [claim for claim in both if claim.job.id.startswith("p:")]
        claimed = [claim.job.array_index for claim in claims]
        if self.sequential:
            assert claimed == ([] if self.running else self.waiting[:1])
        else:
            assert set(claimed) <= set(self.waiting)
            assert len(claimed) == min(count, len(self.waiting))
        if claims:
            claim = data.draw(st.sampled_from(claims))
            task = self.start(claim)
            self.running[claim.job.array_index] = task
            self.launches[claim.job.array_index] += 1
        self.do(self.queue.hand_back(OWNER))

    @rule(data=st.data(), success=st.booleans())
    def finish(self, data: st.DataObject, success: bool) -> None:
        if not self.running:
            return
        index = data.draw(st.sampled_from(sorted(self.running)))
        verdict = Succeeded() if success else TaskFailed("exit code 1", 1)
        task = self.running.pop(index)
        state = self.do(self.queue.finish(task, verdict))
        self.failures[index] = self.failures.get(index, 0) + (not success)
        if success:
            assert state is SUCCEEDED
        elif index in self.to_cancel:
            assert state is CANCELLED
        elif self.failures[index] < self.attempts:
            assert state is JobState.RUNNABLE
            return
        else:
            assert state is FAILED
        self.end(index, state)

    def end(self, index: int, state: JobState) -> None:
        self.ended[index] = state
        if self.sequential and state is not SUCCEEDED:
            for rest in self.waiting:
                self.ended[rest] = CANCELLED if self.whole_cancelled else FAILED

    @rule(data=st.data())
    def cancel_child(self, data: st.DataObject) -> None:
        """Whatever it is doing; cancelling in the middle of a sequence is left to a story."""
        index = data.draw(st.integers(0, self.size - 1))
        if self.sequential and index not in self.running:
            return
        self.do(self.queue.cancel([JobId(f"p:{index}")]))
        if index in self.running:
            self.to_cancel.add(index)
        elif index not in self.ended:
            self.end(index, CANCELLED)

    @rule(really=st.integers(0, 4))
    def cancel_all(self, really: int) -> None:
        if really:
            return
        self.do(self.queue.cancel([P]))
        if len(self.ended) < self.size:
            self.whole_cancelled = True
            self.to_cancel |= set(self.running)
            for index in self.waiting:
                self.ended[index] = CANCELLED

    @invariant()
    def every_child_is_in_one_state_and_has_its_launches(self) -> None:
        if not hasattr(self, "size"):
            return
        for index in range(self.size):
            record = self.do(self.queue.job(JobId(f"p:{index}")))
            expected = self.ended.get(index, JobState.RUNNABLE)
            assert record.state is (JobState.STARTING if index in self.running else expected)
            assert (record.launches, record.forgotten) == (self.launches[index], False)
            assert len(record.attempts) == self.launches[index] - (index in self.running)

    @invariant()
    def the_parent_is_what_they_add_up_to(self) -> None:
        if not hasattr(self, "size"):
            return
        record = self.do(self.queue.job(P))
        states = list(self.ended.values())
        assert record.array is not None
        assert (record.array.succeeded, record.array.failed, record.array.cancelled) == tuple(
            states.count(state) for state in (SUCCEEDED, FAILED, CANCELLED)
        )
        assert record.array.waiting + record.array.alive == self.size - len(self.ended)
        assert record.array.waiting >= 0
        assert record.state.terminal == (len(self.ended) == self.size)
        if record.state.terminal:
            failed, cancelled = FAILED in states, CANCELLED in states
            first = CANCELLED if cancelled and (self.whole_cancelled or not failed) else FAILED
            assert record.state is (first if failed or cancelled else SUCCEEDED)

    @invariant()
    def a_child_of_the_follower_goes_where_its_counterpart_went(self) -> None:
        """None of them is launched here, so that each waits, is free to go, or has FAILED."""
        if not hasattr(self, "size"):
            return
        succeeded = sum(state is SUCCEEDED for state in self.ended.values())
        array = self.do(self.queue.job(Q)).array
        assert array is not None
        assert (array.succeeded, array.cancelled) == (0, 0)
        assert array.failed == len(self.ended) - succeeded
        assert array.alive <= succeeded
        for index, state in self.ended.items():
            expected = JobState.RUNNABLE if state is SUCCEEDED else FAILED
            assert self.do(self.queue.job(JobId(f"q:{index}"))).state is expected
        free = self.do(self.redis.llen(f"{TAG}free:q"))
        assert array.alive + free == succeeded

    @invariant()
    def only_children_under_way_have_keys(self) -> None:
        if not hasattr(self, "size"):
            return
        record = self.do(self.queue.job(P))
        names = [each.decode() for each in self.do(self.redis.keys(f"{TAG}job:p:*"))]
        assert len(names) == record.array.alive
        documents = self.do(self.redis.keys(f"{TAG}doc:p:*"))
        assert len(documents) == record.array.alive
        assert {f"{TAG}job:p:{index}" for index in self.running} <= set(names)


def test_arrays_keep_their_contract() -> None:
    """No child is lost, run twice at once, or counted twice."""
    play(ArrayMachine, examples=6, steps=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_arrays_keep_their_contract_on_valkey(valkey: EmbeddedValkey) -> None:
    """The same at length, on a real server."""
    play(ArrayMachine, examples=150, steps=60, on=valkey)
