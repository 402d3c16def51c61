"""What a simulation takes down while it runs is all there is to know, however little is kept."""

import asyncio
import hashlib

import numpy as np
import pytest
from redis.exceptions import NoScriptError

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.script import QueueSettings
from ecs_queue.states import JobState, OwnerId
from ecs_scheduler.policies.book import PolicyBook
from ecs_scheduler.simulate.blocking_redis import connect_blocking
from ecs_scheduler.simulate.collecting import JobColumns
from ecs_scheduler.simulate.measures import Measures
from ecs_scheduler.simulate.prices import Prices
from ecs_scheduler.simulate.record import Jobs
from ecs_scheduler.simulate.study import Study, run
from ecs_scheduler.simulate.submissions import Submission, Submissions
from ecs_scheduler.simulate.workload import Wanted

NAMES = [f"job-{number}" for number in range(9)]


def submissions() -> Submissions:
    return Submissions(
        Submission(float(row), name, f'{{"id": "{name}"}}', "default", (128, 256, 0), 5.0)
        for row, name in enumerate(NAMES)
    )


async def ended_three_at_a_time(socket_path: str) -> Jobs:
    """Eight of nine jobs are cancelled; the queue keeps the latest four that ended."""
    now = 1_000_000
    client = connect_blocking(socket_path)
    queue = Queue(client, now_ms=lambda: now, settings=QueueSettings(ended_kept=4))
    columns = JobColumns(submissions(), 1000.0)
    await queue.submit([Job(id=JobId(name), task_definition="batch") for name in NAMES])
    await queue.admit(OwnerId("o"))
    for name in NAMES[:8]:
        now += 1000
        await queue.cancel([JobId(name)])
        if name in ("job-2", "job-5"):
            await columns.look(queue)
    jobs = await columns.finish(queue)
    await client.aclose()
    return jobs


def test_jobs_that_the_queue_has_dropped_are_in_the_columns_nonetheless() -> None:
    """Each was read after it ended, once; the one that waits still has no end."""
    with EmbeddedValkey() as server:
        jobs = asyncio.run(ended_three_at_a_time(str(server.socket_path)))
    assert jobs.ids == tuple(NAMES)
    np.testing.assert_array_equal(jobs.ended_s, [1, 2, 3, 4, 5, 6, 7, 8, np.nan])
    np.testing.assert_array_equal(jobs.submitted_s, np.zeros(9))


async def kept_after_a_look(socket_path: str) -> tuple[Jobs, int]:
    """All nine end at once; the service keeps all, and who looks keeps two."""
    client = connect_blocking(socket_path)
    queue, looking = (
        Queue(client, now_ms=lambda: 2_000_000, settings=QueueSettings(ended_kept=kept))
        for kept in (9, 2)
    )
    columns = JobColumns(submissions(), 1000.0)
    await queue.submit([Job(id=JobId(name), task_definition="batch") for name in NAMES])
    await queue.admit(OwnerId("o"))
    await queue.cancel([JobId(name) for name in NAMES])
    await columns.look(looking)
    kept = (await queue.counts())[JobState.CANCELLED]
    jobs = await columns.finish(looking)
    await client.aclose()
    return jobs, kept


def test_what_was_taken_down_is_forgotten_and_nothing_before() -> None:
    """However many end at once."""
    with EmbeddedValkey() as server:
        jobs, kept = asyncio.run(kept_after_a_look(str(server.socket_path)))
    assert np.isfinite(jobs.ended_s).all()
    assert kept == 2


async def answers_together(socket_path: str) -> list[object]:
    """Calls that travel together, one of them of a script that the server does not know."""
    client = connect_blocking(socket_path)
    adds = client.register_script("return ARGV[1] + 1")
    first = await adds(args=[1])
    pipeline = client.pipeline(transaction=False)
    for sha, value in ((adds.sha, 5), ("f" * 40, 6), (adds.sha, 7)):
        pipeline.evalsha(sha, 0, value)
    replies = await pipeline.execute(raise_on_error=False)
    await client.aclose()
    return [first, *replies]


def test_calls_that_travel_together_have_each_its_own_answer() -> None:
    """What goes wrong with one is that one's answer, and the next reads its own."""
    with EmbeddedValkey() as server:
        first, one, unknown, other = asyncio.run(answers_together(str(server.socket_path)))
    assert (first, one, other) == (2, 6, 8)
    assert isinstance(unknown, NoScriptError)


def test_submissions_give_back_what_was_put_in() -> None:
    """As columns they take little; one by one they are what they were."""
    assert [each.job_id for each in submissions()] == NAMES
    assert submissions()[-1] == submissions()[8]
    assert submissions()[8].document == '{"id": "job-8"}'
    assert [each.at_s for each in submissions()[2:4]] == [2.0, 3.0]
    assert submissions() == submissions()


def digest(measures: Measures, jobs: Jobs) -> str:
    found = hashlib.sha256()
    for column in (measures.waits_s, jobs.launched_s, jobs.ended_s, measures.heat):
        found.update(np.ascontiguousarray(column).tobytes())
    return found.hexdigest()


@pytest.mark.slow
def test_one_process_and_two_find_the_same_bit_for_bit() -> None:
    """Two seeds, played one after the other and beside each other."""

    def digests(processes: int) -> list[str]:
        policies = (("default", PolicyBook()),)
        wanted = Wanted(jobs=120, instances=8)
        study = Study(policies, wanted, (1, 2), Prices(), 60.0, processes)
        comparison, jobs = run(study, lambda told: None)
        return [digest(each, jobs[each.seed]) for each in comparison.policies[0].runs]

    assert digests(1) == digests(2)
