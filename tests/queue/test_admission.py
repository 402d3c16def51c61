"""Stories of how jobs come in: directly, through the inbox, or not at all."""

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ecs_queue.job import Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.states import JobState, OwnerId
from ecs_queue.submissions import Accepted, Admission, Conflict, Duplicate

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE, BOB = OwnerId("alice"), OwnerId("bob")
A, B = JobId("a"), JobId("b")
INBOX = inbox_key()


def text(entry_id: bytes | str) -> str:
    assert isinstance(entry_id, bytes)
    return entry_id.decode()


def job(job_id: str, task_definition: str = "sleep:1") -> Job:
    return Job(id=JobId(job_id), task_definition=task_definition)


async def test_submitted_jobs_are_runnable(story: "Story") -> None:
    """A submitted job waits in the queue at once, in the order of submission."""
    assert (Accepted(A), Accepted(B)) == await story.queue.submit([job("a"), job("b")])
    assert [record.job.id for record in await story.queue.jobs(JobState.RUNNABLE)] == ["a", "b"]


async def test_submitting_again_is_a_no_op(story: "Story") -> None:
    """The same document under the same id is a duplicate, whether together or later."""
    assert (Accepted(A), Duplicate(A)) == await story.queue.submit([job("a"), job("a")])
    assert (Duplicate(A),) == await story.queue.submit([job("a")])
    assert await story.total() == 1


async def test_another_document_under_a_taken_id(story: "Story") -> None:
    """A conflict leaves the first job as it was."""
    await story.queue.submit([job("a")])
    assert (Conflict(A),) == await story.queue.submit([job("a", "other:1")])
    assert (await story.queue.job(A)).job.task_definition == "sleep:1"


async def test_more_than_one_batch(story: "Story") -> None:
    """Thousands of jobs in one call keep their order."""
    ids = [f"job-{i:04}" for i in range(1200)]
    submissions = await story.queue.submit([job(i) for i in ids])
    assert [Accepted(JobId(i)) for i in ids] == list(submissions)
    page = await story.queue.jobs(JobState.RUNNABLE, offset=1190, limit=100)
    assert ids[1190:] == [record.job.id for record in page]


async def test_xadd_by_a_foreign_producer(story: "Story") -> None:
    """One XADD of one JSON document is all a producer in another language needs."""
    await story.redis.xadd(INBOX, {"job": '{"id": "a", "task_definition": "t", "priority": 7}'})
    assert (await story.queue.counts())[JobState.SUBMITTED] == 1
    assert Admission((Accepted(A),), dead=0) == await story.queue.admit(ALICE)
    assert (await story.queue.job(A)).job.priority == 7
    assert (await story.queue.counts())[JobState.SUBMITTED] == 0


async def test_document_without_an_id(story: "Story") -> None:
    """The stream entry's id becomes the job's."""
    entry = text(await story.redis.xadd(INBOX, {"job": '{"task_definition": "t"}'}))
    await story.queue.admit(ALICE)
    assert entry == (await story.queue.job(JobId(entry))).job.id


async def test_submission_time_is_the_producers(story: "Story") -> None:
    """A job of the inbox was submitted when its entry was written, and RUNNABLE when admitted."""
    await story.redis.xadd(INBOX, {"job": '{"id": "a", "task_definition": "t"}'}, id="5000-1")
    await story.queue.admit(ALICE)
    record = await story.queue.job(A)
    assert (5000, story.clock.ms) == (record.submitted_at_ms, record.runnable_at_ms)


async def test_two_owners_admit_at_once(story: "Story") -> None:
    """Each entry is taken once, whoever comes first."""
    for i in range(50):
        await story.redis.xadd(INBOX, {"job": json.dumps({"id": f"j{i}", "task_definition": "t"})})
    await story.redis.xadd(INBOX, {"job": "no JSON"})
    await asyncio.gather(story.queue.counts(), story.queue.counts())  # two open connections
    both = await asyncio.gather(story.queue.admit(ALICE), story.queue.admit(BOB))
    taken = [submission for admission in both for submission in admission.submissions]
    assert {Accepted(JobId(f"j{i}")) for i in range(50)} == set(taken)
    assert (sum(a.dead for a in both), len(await story.queue.dead_letters())) == (1, 1)
    assert 50 == len(taken) == (await story.queue.counts())[JobState.RUNNABLE]


async def test_what_another_owner_left_behind(story: "Story") -> None:
    """Reading takes nothing, so what an owner read and never took is still there."""
    await story.redis.xadd(INBOX, {"job": '{"id": "a", "task_definition": "t"}'})
    await story.redis.xrange(INBOX)
    assert Admission((Accepted(A),), dead=0) == await story.queue.admit(BOB)


async def test_no_more_than_asked_for(story: "Story") -> None:
    """A bounded admission leaves the rest for the next one."""
    for i in range(5):
        await story.redis.xadd(INBOX, {"job": json.dumps({"id": f"j{i}", "task_definition": "t"})})
    await story.queue.admit(ALICE, count=2)
    counts = await story.queue.counts()
    assert (counts[JobState.SUBMITTED], counts[JobState.RUNNABLE]) == (3, 2)


@pytest.mark.parametrize(
    ("fields", "document", "reason"),
    [
        ({"job": "{"}, "{", "the document is not JSON"),
        ({"job": "[1]"}, "[1]", "a job is a JSON object"),
        ({"job": b"\xff\xfe"}, "\\xff\\xfe", "the document is not JSON"),
        ({"job": '{"id":"a"}'}, '{"id":"a"}', "task_definition: required, but missing"),
        ({"job": '{"task_definition":"t","prority":1}'}, "prority", "did you mean priority?"),
        ({"job": '{"task_definition":"t","priority":"1"}'}, '"1"', "must be a valid integer"),
        ({"job": '{"task_definition":"t","group":""}'}, "group", "at least 1 character"),
        ({"job": " " * 400_000}, " ", "at most 65536 are taken"),
        ({"document": "{}"}, '{"document": "{}"}', 'no field "job"'),
    ],
)
async def test_dead_letters(
    story: "Story", fields: dict[str, str | bytes], document: str, reason: str
) -> None:
    """What is no job is kept as it came, with the reason, and holds up nobody behind it."""
    entry = text(await story.redis.xadd(INBOX, fields))  # type: ignore[arg-type]
    await story.redis.xadd(INBOX, {"job": '{"id": "b", "task_definition": "t"}'})
    assert Admission((Accepted(B),), dead=1) == await story.queue.admit(ALICE)
    (letter,) = await story.queue.dead_letters()
    assert document in letter.document
    assert reason in letter.reason
    assert story.clock.ms == letter.at_ms
    assert entry not in str(await story.redis.xrange(INBOX))


async def test_conflict_in_the_inbox(story: "Story") -> None:
    """Nobody waits for the answer to an XADD, so a conflict is kept as a dead letter."""
    await story.submit("a")
    await story.redis.xadd(INBOX, {"job": '{"id":"a","task_definition":"other"}'})
    assert Admission((Conflict(A),), dead=1) == await story.queue.admit(ALICE)
    (letter,) = await story.queue.dead_letters()
    assert 'another document was submitted as "a" before' in letter.reason
    assert letter.document == '{"id":"a","task_definition":"other"}'


async def test_duplicate_in_the_inbox(story: "Story") -> None:
    """A producer that repeats its XADD makes one job."""
    for _ in range(2):
        await story.redis.xadd(INBOX, {"job": '{"id":"a","task_definition":"t"}'})
    assert Admission((Accepted(A), Duplicate(A)), 0) == await story.queue.admit(ALICE)


async def test_newest_dead_letters_first(story: "Story") -> None:
    """The latest mistakes are what a person looks for."""
    for i in range(3):
        await story.redis.xadd(INBOX, {"job": f"not JSON {i}"})
    await story.queue.admit(ALICE)
    letters = await story.queue.dead_letters(limit=2)
    assert [letter.document for letter in letters] == ["not JSON 2", "not JSON 1"]
