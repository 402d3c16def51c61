"""Stories of payloads: kept apart from the document, read by the task, and of what it reports."""

import json
from typing import TYPE_CHECKING

import pytest
from tests.queue.claimed_jobs import as_said

from ecs_queue import producing, staging
from ecs_queue.assignment import (
    Answer,
    Assignment,
    NoSuchTask,
    NotYet,
    NotYours,
    Over,
    ask,
    payload,
    secret_of,
    signing_key,
    token_of,
)
from ecs_queue.document import parse_job, sendable
from ecs_queue.errors import InvalidJob
from ecs_queue.job import MAX_PAYLOAD_BYTES, Job, JobId
from ecs_queue.states import (
    InstanceArn,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
)
from ecs_queue.submissions import Accepted, Conflict, Duplicate

if TYPE_CHECKING:
    from tests.queue.conftest import Story

A = JobId("a")


def a_job(job_id: str = "a", **fields: object) -> Job:
    return parse_job(json.dumps({"id": job_id, "task_definition": "t", **fields}))


async def launched(story: "Story", job_id: str = "a") -> tuple[LaunchToken, TaskArn]:
    token = await story.intend((await story.claim())[job_id])
    task = TaskArn(f"task-of-{token}")
    await story.queue.settle(token, [Started(JobId(job_id), task, None)])
    return token, task


async def looked(story: "Story", task: TaskArn, token: LaunchToken | None = None) -> Answer:
    return await story.queue.run(ask("look", task, token))


async def test_a_task_finds_its_payload(story: "Story") -> None:
    """What went in comes out at the task of the launch, and a claim never carries it."""
    await story.queue.submit([a_job(payload={"film": ["ä\n", 7, None]})])
    claim = (await story.claim())["a"]
    assert as_said(claim.job).payload is None
    token = await story.intend(claim)
    task = TaskArn("task")
    assert await looked(story, task, token) == NotYet()
    await story.queue.settle(token, [Started(A, task, None)])
    found = await looked(story, task, token)
    assert found == Assignment("a", 1, None, '{"film":["ä\\n",7,null]}'.encode())
    assert await looked(story, task) == found


async def test_only_the_tasks_of_the_launch_are_answered(story: "Story") -> None:
    """Another launch's token opens nothing, and an unknown task is none."""
    await story.queue.submit([a_job(payload=1), a_job("b", payload=2)])
    claims = await story.claim()
    one, other = await story.intend(claims["a"]), await story.intend(claims["b"])
    await story.queue.settle(one, [Started(A, TaskArn("one"), None)])
    assert await looked(story, TaskArn("one"), other) == NotYours()
    assert await looked(story, TaskArn("one"), LaunchToken("made-up")) == NotYours()
    assert await looked(story, TaskArn("two"), LaunchToken("made-up")) == NoSuchTask()


async def test_a_retried_attempt_gets_it_again_and_the_old_one_is_over(story: "Story") -> None:
    """The first task's late report is refused, and the second starts from nothing."""
    await story.queue.submit([a_job(payload=[1], retry={"attempts": 2, "backoff_s": 0})])
    token, task = await launched(story)
    await story.queue.run(ask("progress", task, token, b"half"))
    await story.queue.run(ask("result", task, token, b'"first"'))
    assert (await story.queue.job(A)).result == "first"
    await story.queue.finish(task, TaskFailed("exit code 1", 1))
    before = await story.queue.job(A)
    assert (before.result, before.progress) == (None, None)
    assert await story.queue.run(ask("result", task, token, b"0")) == Over("RUNNABLE")
    token, second = await launched(story)
    assert await looked(story, second, token) == Assignment("a", 2, None, b"[1]")
    await story.queue.run(ask("result", second, token, b'"second"'))
    await story.queue.finish(second, Succeeded())
    record = await story.queue.job(A)
    assert (record.state, record.result) == (JobState.SUCCEEDED, "second")
    assert await story.queue.run(ask("result", second, token, b"0")) == Over("SUCCEEDED")
    assert (await story.queue.job(A)).result == "second"


async def test_progress_and_result_are_in_the_record(story: "Story") -> None:
    """The last report counts; each may be repeated."""
    await story.queue.submit([a_job()])
    token, task = await launched(story)
    await story.queue.run(ask("progress", task, token, b"1 of 2"))
    story.clock.advance(1000)
    await story.queue.run(ask("progress", task, token, b"2 of 2"))
    for result in (b"1", b'{"rows": 2}'):
        await story.queue.run(ask("result", task, token, result))
    record = await story.queue.job(A)
    assert record.progress is not None
    assert (record.progress.text, record.progress.at_ms) == ("2 of 2", story.clock())
    assert record.result == {"rows": 2}
    (listed,) = await story.queue.jobs()
    assert (listed.progress, listed.result) == (record.progress, None)


async def test_the_children_of_an_array_share_it(story: "Story") -> None:
    """Each child's task is told its index; a child's result outlives its record."""
    await story.queue.submit([a_job(array_size=2, payload={"day": 1})])
    token, task = await launched(story, "a:1")
    assert await looked(story, task, token) == Assignment("a:1", 1, 1, b'{"day":1}')
    assert await story.queue.run(payload("a:1")) == b'{"day":1}'
    await story.queue.run(ask("result", task, token, b"7"))
    await story.queue.finish(task, Succeeded())
    child = await story.queue.job(JobId("a:1"))
    assert (child.state, child.result) == (JobState.SUCCEEDED, 7)


async def test_equal_means_with_an_equal_payload(story: "Story") -> None:
    """The order of members does not matter, another value does."""
    assert await story.queue.submit([a_job(payload={"x": 1, "y": 2})]) == (Accepted(A),)
    assert await story.queue.submit([a_job(payload={"y": 2, "x": 1})]) == (Duplicate(A),)
    assert await story.queue.submit([a_job(payload={"x": 1, "y": 3})]) == (Conflict(A),)
    assert await story.queue.submit([a_job()]) == (Conflict(A),)
    assert await story.queue.run(payload("a")) == b'{"x":1,"y":2}'
    assert await story.queue.run(payload("nobody")) is None


async def test_a_payload_goes_with_its_job(story: "Story") -> None:
    """What is kept of an ended job ends with its retention, in every key."""
    await story.queue.submit([a_job(payload=1)])
    token, task = await launched(story)
    await story.queue.run(ask("result", task, token, b"2"))
    await story.queue.finish(task, Succeeded())
    for kind in ("doc", "job", "payload", "result"):
        assert await story.redis.ttl(f"{{q:default}}:{kind}:a") > 0


async def test_graphs_and_replays_carry_payloads(story: "Story") -> None:
    """A graph is laid down with them; a dead letter of one is the whole document again."""
    jobs = [
        a_job("b", payload="later", depends_on=[{"job": "a"}]),
        a_job(payload={"a": [1]}),
    ]
    await story.queue.submit_graph(jobs)
    assert await story.queue.run(payload("a")) == b'{"a":[1]}'
    assert await story.queue.run(payload("b")) == b'"later"'
    await story.redis.xadd("{q:default}:inbox", {"job": sendable(a_job(payload="other"))})
    await story.queue.admit(OwnerId("alice"))
    (letter,) = await story.queue.dead_letters()
    assert parse_job(letter.document).payload == "other"
    await story.queue.replay(letter.entry_id, letter.document.replace('"a"', '"c"'))
    await story.queue.admit(OwnerId("alice"))
    assert await story.queue.run(payload("c")) == b'"other"'


async def test_what_of_a_graph_is_refused_late_keeps_its_payload(story: "Story") -> None:
    """An id that was taken between laying down and taking in: a dead letter, whole."""
    jobs = [a_job("b", depends_on=[{"job": "a"}]), a_job(payload={"n": [1]})]
    (batch,) = producing.batches(jobs)
    await story.queue.run(staging.stage("g", 0, batch))
    await story.queue.submit([a_job(payload="first")])
    await story.queue.run(staging.commit("g"))
    await story.queue.run(staging.take_in("x"))
    (letter,) = await story.queue.dead_letters()
    assert parse_job(letter.document) == jobs[1]


def test_the_largest_payload_is_taken_and_one_byte_more_is_not() -> None:
    """Counted as JSON in UTF-8; the rest of the document has its own bound."""
    most = "x" * (MAX_PAYLOAD_BYTES - 2)
    assert a_job(payload=most, group="g" * 255).payload == most
    with pytest.raises(InvalidJob, match="payload: 262145 bytes of JSON; at most 262144"):
        a_job(payload=most + "x")
    with pytest.raises(InvalidJob, match=r"the document has \d+ bytes; at most 65536"):
        parse_job(json.dumps({"id": "a", "task_definition": "t", "payload": 1}).ljust(70_000))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('{"task_definition": "t", "payload": NaN}', "payload"),
        ('{"task_definition": "t", "payload_digest": "00"}', "payload_digest: is set by the queue"),
        ('{"task_definition": "t", "payload": {"a": 1, "a": 2}}', "stands twice"),
        ('{"task_definition": "t", "payload": ' + "[" * 2000 + "]" * 2000 + "}", "JSON"),
    ],
)
def test_what_is_no_payload(document: str, complaint: str) -> None:
    """Values that no other reader would take, and the name that stands for the payload."""
    with pytest.raises(InvalidJob, match=complaint):
        parse_job(document, "x")


def test_a_secret_names_its_launch_and_no_other() -> None:
    """Whatever is changed of it, it is a forgery; so is one made with another key."""
    secret = secret_of(LaunchToken("token"), b"key")
    assert token_of(secret, b"key") == "token"
    for forged in ("", ".", "token", secret[:-1], secret[:-1] + "é", "Token" + secret[5:]):
        assert token_of(forged, b"key") is None
    assert token_of(secret, b"another key") is None


async def test_a_queue_has_one_signing_key(story: "Story") -> None:
    """Whoever asks first makes it."""
    assert await story.queue.run(signing_key()) == await story.queue.run(signing_key())


async def test_a_secret_serves_every_task_of_its_call(story: "Story") -> None:
    """Ten jobs that differ in their payload alone share one launch."""
    jobs = [a_job(f"j{i}", payload={"i": i}) for i in range(10)]
    await story.queue.submit(jobs)
    claims = list((await story.claim()).values())
    token = LaunchToken("one")
    intents = [Intent(c.job.id, c.epoch, InstanceArn(c.job.id)) for c in claims]
    await story.queue.intend(OwnerId("alice"), token, "StartTask", intents)
    started = [Started(c.job.id, TaskArn(f"task/{c.job.id}"), None) for c in claims]
    await story.queue.settle(token, started[:5])
    assert await looked(story, TaskArn("task/j7"), token) == NotYet()
    await story.queue.settle(token, started[5:])
    for i in range(10):
        found = await looked(story, TaskArn(f"task/j{i}"), token)
        assert found == Assignment(f"j{i}", 1, None, b'{"i":%d}' % i)
