"""Jobs and arrays that wait for one another and for children, in any order: whoever waits hears of
every end, whatever came first.
"""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from pydantic import ValidationError
from tests.queue.machine import OWNER, TAG, Machine, play

from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Dependency, Job, JobId
from ecs_queue.states import JobState, Succeeded, TaskFailed

NAMES = ("a", "film", "tape", "film:7")
CHILDREN = ("film:1", "film:3", "tape:1")
ARRAYS = ("film", "tape")

names = st.sampled_from(NAMES)
waited_for = st.dictionaries(
    st.sampled_from(NAMES + CHILDREN),
    st.sampled_from(("afterok", "afterany", "afternotok")),
    max_size=2,
)
whole_arrays = st.sampled_from(("", "SEQUENTIAL", "N_TO_N"))


class ChildrenMachine(Machine):
    """There is no model: what is found is held against itself."""

    @rule(name=names, on=waited_for, size=st.integers(2, 4), manner=whole_arrays)
    def submit(self, name: str, on: dict[str, Any], size: int, manner: str) -> None:
        depends_on = [Dependency(job=JobId(n), type=kind) for n, kind in on.items()]
        members: dict[str, Any] = {}
        if name in ARRAYS:
            members["array_size"] = size
            if manner == "N_TO_N":
                other = JobId("tape" if name == "film" else "film")
                depends_on = [each for each in depends_on if each.job != other]
                depends_on.append(Dependency(job=other, type="N_TO_N"))
            elif manner:
                depends_on.append(Dependency(type="SEQUENTIAL"))
        try:
            job = Job(id=JobId(name), task_definition="t", depends_on=tuple(depends_on), **members)
        except ValidationError:  # it would wait for itself
            return
        self.do(self.queue.submit([job]))

    @rule(name=st.sampled_from(NAMES + CHILDREN))
    def cancel(self, name: str) -> None:
        self.do(self.queue.cancel([JobId(name)]))

    @rule(most=st.integers(1, 3), success=st.booleans())
    def run(self, most: int, success: bool) -> None:
        """Claim some, run the first to its end, give the others back."""
        self.do(self.queue.open_lease(OWNER, lease_ms=10_000))
        if claims := self.do(self.queue.claim(OWNER, most)):
            verdict = Succeeded() if success else TaskFailed("exit code 1", 1)
            self.do(self.queue.finish(self.start(claims[0]), verdict))
        self.do(self.queue.hand_back(OWNER))

    @invariant()
    def nobody_waits_for_what_has_ended(self) -> None:
        """Nor for a child that its array does not have."""
        for record in self.do(self.queue.jobs(JobState.PENDING, limit=100)):
            on = [each.job for each in record.job.depends_on if each.job]
            states = self.do(self.queue.states(on))
            open_ones = [each for each in on if each not in states or not states[each].terminal]
            follows = record.job.follows is not None
            assert open_ones or follows, record
            absent = [each for each in open_ones if each not in states]
            parents = [JobId(each.rpartition(":")[0]) for each in absent if ":" in each]
            arrays = [self.do(self.queue.job(each)).job for each in self.there(parents)]
            assert not any(each.array_size for each in arrays), record

    def there(self, job_ids: list[JobId]) -> list[JobId]:
        return list(self.do(self.queue.states(job_ids))) if job_ids else []

    @invariant()
    def nothing_is_remembered_of_those_who_wait_no_more(self) -> None:
        for parent in ARRAYS:
            for child in self.do(self.redis.zrange(f"{TAG}awaited:{parent}", 0, -1)):
                assert self.do(self.redis.exists(f"{TAG}after:{child.decode()}"))


def test_whoever_waits_for_a_child_hears_of_its_end() -> None:
    """Whether it ran, was cancelled, or never began, and whoever was submitted first."""
    play(ChildrenMachine, examples=40, steps=15)


@pytest.mark.slow
def test_whoever_waits_for_a_child_hears_of_its_end_on_valkey(valkey: EmbeddedValkey) -> None:
    """The same at length, on a real server."""
    play(ChildrenMachine, examples=300, steps=25, on=valkey)
