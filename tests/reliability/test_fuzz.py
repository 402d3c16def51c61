"""The fuzzer: promises hold under its seeds, a seed replays, and its judges can say no."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ecs_queue.gang import Gang, GangId
from ecs_queue.job import Dependency
from ecs_queue.states import JobState
from ecs_scheduler.fuzz.invariants import INVARIANTS, Evidence, violations
from ecs_scheduler.fuzz.run import play
from ecs_scheduler.fuzz.scenario import draw
from ecs_scheduler.fuzz.servers import Servers
from ecs_simulator.names import TaskArn

FINGERPRINT = """
from ecs_scheduler.fuzz.run import play
from ecs_scheduler.fuzz.scenario import draw
from ecs_scheduler.fuzz.servers import Servers
with Servers() as servers:
    play(draw(9, 0.1, jobs=2), servers)
    print(play(draw(4, 0.4, jobs=12), servers).history.fingerprint())
"""


@pytest.mark.parametrize("seed", [3, 4, 7])
def test_promises_hold_under_faults(seed: int, servers: Servers) -> None:
    """Forty seconds of faults and twenty-five jobs each."""
    played = play(draw(seed, 0.7, jobs=25), servers)
    assert played.violations == (), played.history.text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4, 7, 16, 18, 19, 21, 1003060, 1003099, 1004775])
def test_seeds_that_found_bugs(seed: int, servers: Servers) -> None:
    """Ten minutes of faults each; what they found is told in docs/reliability.md."""
    played = play(draw(seed, 10.0), servers)
    assert played.violations == (), played.history.text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [330152, 130813345])
def test_short_seeds_that_found_bugs(seed: int, servers: Servers) -> None:
    """Two minutes of faults each, as CI plays them; what they found is told there too."""
    played = play(draw(seed, 2.0, jobs=12), servers)
    assert played.violations == (), played.history.text()


def test_a_seed_replays_to_the_letter() -> None:
    """Two processes that hash differently write the same history."""
    histories = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(histories) == 1


def test_drawing_is_pure() -> None:
    """Equal seeds, equal scenarios; other seeds, others."""
    assert draw(5, 10.0) == draw(5, 10.0)
    assert draw(5, 10.0) != draw(6, 10.0)


# The judges -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(servers: Servers) -> Evidence:
    """The first short run in which a job was tried again: every judge has something to look at."""
    for seed in range(5, 50):
        evidence = play(draw(seed, 0.5, jobs=12), servers).evidence
        if any(record.launches > 1 for record in evidence.records.values()):
            return evidence
    raise AssertionError("no seed tries a job again")


def with_first_record(evidence: Evidence, **changes: Any) -> Evidence:
    """The same evidence, but of one SUCCEEDED job the books say something else."""
    job_id = next(
        each
        for each, record in evidence.records.items()
        if record.state is JobState.SUCCEEDED and record.launches
    )
    changed = replace(evidence.records[job_id], **changes)
    return replace(evidence, records={**evidence.records, job_id: changed})


def running_on(evidence: Evidence) -> Evidence:
    """The same, but a retried job's first task never stopped."""
    retried = next(r for r in evidence.records.values() if r.launches > 1)
    first = evidence.tasks_of(retried)[0]
    tasks = tuple(replace(t, stopped_at=None) if t is first else t for t in evidence.tasks)
    return replace(evidence, tasks=tasks)


def with_a_stray(evidence: Evidence) -> Evidence:
    """The same, but ECS ran one more task of ours."""
    more = replace(evidence.tasks[0], arn=TaskArn("arn:stray"))
    return replace(evidence, tasks=(*evidence.tasks, more))


def with_half_a_gang(evidence: Evidence) -> Evidence:
    """The same, but a task still runs whose gang has a member that was never started."""
    done = [r for r in evidence.records.values() if r.state is JobState.SUCCEEDED and r.launches]
    first, other = done[:2]
    gang = Gang(id=GangId("half"), size=2)
    members = {
        first.job.id: replace(first, job=first.job.model_copy(update={"gang": gang})),
        other.job.id: replace(
            other, job=other.job.model_copy(update={"gang": gang}), attempts=(), task_arn=None
        ),
    }
    started = evidence.tasks_of(first)[-1]
    tasks = tuple(replace(t, stopped_at=None) if t is started else t for t in evidence.tasks)
    return replace(evidence, records={**evidence.records, **members}, tasks=tasks)


def with_a_hasty_dependent(evidence: Evidence) -> Evidence:
    """The same, but the job that started first depended on the one that ended last."""
    ran = {p.job.id: evidence.tasks_of(evidence.records[p.job.id]) for p in evidence.planned}
    first, *_, last = sorted(
        (p for p in evidence.planned if ran[p.job.id]),
        key=lambda p: (ran[p.job.id][-1].stopped_at or 0, ran[p.job.id][0].created_at),
    )
    waits = Dependency(job=last.job.id, type="afterany")
    hasty = replace(first, job=first.job.model_copy(update={"depends_on": (waits,)}))
    return replace(evidence, planned=(hasty,))


BROKEN: dict[str, Callable[[Evidence], Evidence]] = {
    "nothing_is_lost": lambda good: replace(good, records={}),
    "one_effective_launch": with_a_stray,
    "attempts_do_not_overlap": running_on,
    "launches_are_counted_once": lambda good: with_first_record(good, launches=7),
    "tokens_are_used_once": lambda good: replace(good, tokens_sent={"token": 2}),
    "only_failures_use_attempts": lambda good: with_first_record(good, state=JobState.FAILED),
    "jobs_end_as_their_tasks_did": lambda good: with_first_record(good, state=JobState.CANCELLED),
    "work_is_done_once": lambda good: with_first_record(good, attempts=(), task_arn=None),
    "dependents_wait": with_a_hasty_dependent,
    "gangs_run_whole": with_half_a_gang,
    "fail_overs_are_noticed": lambda good: replace(good, unnoticed=(12.0,)),
    "nothing_is_left_behind": lambda good: replace(good, left_behind={"open intents": 1}),
    "the_service_never_crashes": lambda good: replace(good, crashes=("r1: TypeError()",)),
    "ecs_was_never_overcommitted": lambda good: replace(good, complaints=("CPU over-committed",)),
    "it_converges": lambda good: replace(good, timed_out=True),
}


def test_a_good_run_is_judged_good(good: Evidence) -> None:
    """Nothing to say of it."""
    assert violations(good) == ()


@pytest.mark.parametrize("name", BROKEN)
def test_a_judge_says_no(good: Evidence, name: str) -> None:
    """Each invariant notices the evidence that breaks it."""
    assert any(said.startswith(f"{name}:") for said in violations(BROKEN[name](good)))


def test_every_invariant_has_a_case_that_it_refuses() -> None:
    """A judge that was never seen to say no proves nothing."""
    assert set(BROKEN) == {invariant.__name__ for invariant in INVARIANTS}
