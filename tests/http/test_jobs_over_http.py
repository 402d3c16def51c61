"""Jobs in and out over HTTP."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecs_queue.job import JobId
from ecs_queue.states import InstanceArn, Intent, JobState, LaunchToken, OwnerId
from ecs_scheduler.web.api import MAX_BODY_BYTES

JOB = {"id": "a", "task_definition": "etl"}


async def test_a_job_is_created_once(site: Any) -> None:
    """201 for a new job, 200 for the same again, 409 for another under its id."""
    assert await site.post("/v1/jobs", JOB) == (201, {"id": "a", "outcome": "accepted"})
    assert await site.post("/v1/jobs", JOB) == (200, {"id": "a", "outcome": "duplicate"})
    code, answer = await site.post("/v1/jobs", {**JOB, "priority": 1})
    assert (code, answer["outcome"]) == (409, "conflict")
    assert answer["error"] == "another document was submitted as a before; choose a new id"


async def test_a_job_without_an_id_gets_one(site: Any) -> None:
    """The answer names the id to ask for later."""
    code, answer = await site.post("/v1/jobs", {"task_definition": "etl"})
    assert (code, answer) == (201, {"id": "made-up-1", "outcome": "accepted"})
    assert (await site.get("/v1/jobs/made-up-1"))[0] == 200


async def test_an_array_is_submitted_together(site: Any) -> None:
    """One outcome per document, in order; 201 if any is new."""
    await site.post("/v1/jobs", JOB)
    code, answer = await site.post("/v1/jobs", [JOB, {**JOB, "id": "b"}])
    assert code == 201
    assert answer == {
        "jobs": [{"id": "a", "outcome": "duplicate"}, {"id": "b", "outcome": "accepted"}]
    }
    assert (await site.post("/v1/jobs", [JOB]))[0] == 200
    assert (await site.post("/v1/jobs", []))[0] == 200


async def test_one_bad_document_keeps_the_array_out(site: Any) -> None:
    """400 names the position and the field of each, and nothing is submitted."""
    code, answer = await site.post("/v1/jobs", [JOB, {"task_definition": 3}, {**JOB, "cpus": 1}])
    assert code == 400
    first, second, third = answer["error"].splitlines()
    assert first == "nothing was submitted:"
    assert second.startswith("[1]: task_definition: ")
    assert third.startswith("[2]: cpus: unknown field")
    assert sum((await site.queue.counts()).values()) == 0


async def test_jobs_that_depend_on_one_another_are_a_graph(site: Any) -> None:
    """All of them or none, in any order; a circle is printed."""
    second = {**JOB, "id": "b", "depends_on": [{"job": "a"}]}
    code, answer = await site.post("/v1/jobs", [{**JOB, "depends_on": [{"job": "b"}]}, second])
    assert code == 400
    assert "a -> b -> a; nothing was submitted" in answer["error"]
    assert sum((await site.queue.counts()).values()) == 0
    assert (await site.post("/v1/jobs", [second, JOB]))[0] == 201
    assert (await site.queue.counts())[JobState.PENDING] == 1


async def test_a_job_that_would_wait_for_itself(site: Any) -> None:
    """409, and the way round."""
    await site.post("/v1/jobs", {**JOB, "id": "b", "depends_on": [{"job": "a"}]})
    code, answer = await site.post("/v1/jobs", {**JOB, "depends_on": [{"job": "b"}]})
    assert (code, answer["outcome"]) == (409, "circular")
    assert answer["error"] == "it would wait for itself: a -> b -> a"


async def test_an_array_that_cannot_follow_another(site: Any) -> None:
    """409, and both sizes."""
    await site.post("/v1/jobs", {**JOB, "array_size": 5})
    follows = [{"job": "a", "type": "N_TO_N"}]
    follower = {**JOB, "id": "b", "array_size": 4, "depends_on": follows}
    code, answer = await site.post("/v1/jobs", follower)
    assert (code, answer["outcome"]) == (409, "unequal")
    assert answer["error"] == "N_TO_N: a has 5 children, not 4"


BAD = {
    "not-json": (b"{", "the document is not JSON"),
    "empty": (b"", "the document is not JSON"),
    "number": (b"3", "a job is a JSON object"),
    "array-not-json": (b"[1,", "the body is not JSON"),
    "array-repeats-member": (
        b'[{"task_definition": "t", "priority": 1, "priority": 2}]',
        '"priority": stands twice in one object',
    ),
    "missing": (b"{}", "task_definition: required, but missing"),
    "unknown": (b'{"task_definition": "a", "prio": 1}', "prio: unknown field"),
    "type": (b'{"task_definition": "a", "priority": "1"}', "priority: must be a valid integer"),
    "not-utf-8": (b'{"task_definition": "\xff"}', "the document is not JSON"),
    "oversized": (
        b'{"task_definition": "a", "tags": {"k": "' + b"x" * 70_000 + b'"}}',
        "the document has 70",
    ),
    "too-many": (b"[" + b"0," * 10_000 + b"0]", "10001 jobs in one request; at most 10000"),
}


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD)
async def test_bad_documents_are_said_plainly(site: Any, body: bytes, message: str) -> None:
    """400, naming the field and what was expected."""
    code, answer = await site.post("/v1/jobs", body)
    assert code == 400
    assert message in answer["error"]


async def test_an_oversized_body_is_refused_by_its_declared_length(site: Any) -> None:
    """413 before a byte of the body is read."""
    answer = await raw_post(site.url, f"Content-Length: {MAX_BODY_BYTES + 1}", b"")
    assert answer.startswith("HTTP/1.1 413 ")
    assert f"the body exceeds {MAX_BODY_BYTES} bytes" in answer


async def test_an_oversized_body_is_refused_while_it_comes(site: Any) -> None:
    """413 as soon as the limit is passed, if no length was declared."""
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    body = chunk * (MAX_BODY_BYTES // 0x100000) + b"1\r\n \r\n"
    answer = await raw_post(site.url, "Transfer-Encoding: chunked", body)
    assert answer.startswith("HTTP/1.1 413 ")


async def raw_post(url: str, header: str, body: bytes) -> str:
    """What comes back for a request that stops after `body`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    writer.write(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_a_job_can_be_looked_up(site: Any) -> None:
    """Ids may hold slashes and colons; the record says what the job is and why it waits."""
    await site.post("/v1/jobs", {"id": "team/a:1", "task_definition": "etl", "priority": 3})
    code, record = await site.get("/v1/jobs/team/a:1")
    assert code == 200
    assert (record["id"], record["state"], record["launches"]) == ("team/a:1", "RUNNABLE", 0)
    assert record["job"] == {"id": "team/a:1", "task_definition": "etl", "priority": 3}
    assert record["reason"] == "waiting for its turn"


async def test_an_unknown_job_is_404(site: Any) -> None:
    """For looking up and for cancelling."""
    assert await site.get("/v1/jobs/nope") == (
        404,
        {"error": "no job 'nope' in this queue: it was never admitted, or ended long ago"},
    )
    code, answer = await site.post("/v1/jobs/nope/cancel")
    assert (code, answer) == (404, {"error": "no job 'nope' in this queue"})


async def test_cancelling_a_waiting_job_ends_it(site: Any) -> None:
    """200 at once, and 200 again."""
    await site.post("/v1/jobs", JOB)
    for _ in range(2):
        answer = await site.post("/v1/jobs/a/cancel")
        assert answer == (200, {"id": "a", "outcome": "cancelled"})
    assert (await site.queue.job(JobId("a"))).state is JobState.CANCELLED


async def test_cancelling_a_launched_job_is_a_request(site: Any) -> None:
    """202: its task has to stop first."""
    await site.post("/v1/jobs", JOB)
    owner = OwnerId("me")
    await site.queue.open_lease(owner, lease_ms=60_000)
    (claim,) = await site.queue.claim(owner, 1)
    intent = Intent(claim.job.id, claim.epoch, InstanceArn("i"))
    await site.queue.intend(owner, LaunchToken("t"), "StartTask", [intent])
    assert await site.post("/v1/jobs/a/cancel") == (202, {"id": "a", "outcome": "requested"})


async def test_pages_elsewhere_cannot_submit_through_a_browser(site: Any) -> None:
    """A browser names the page a request comes from; only our own pages may change anything."""
    foreign = {"Origin": "http://evil.example"}
    code, answer = await site.post("/v1/jobs", JOB, headers=foreign)
    assert code == 403
    assert "http://evil.example" in answer["error"]
    assert (await site.post("/v1/jobs", JOB, headers={"Origin": site.url}))[0] == 201


async def test_redis_being_away_is_503(site_without_redis: Any) -> None:
    """Every way in says so, and says which setting to look at."""
    away = site_without_redis
    for code, answer in (
        await away.post("/v1/jobs", JOB),
        await away.get("/v1/jobs/a"),
        await away.post("/v1/jobs/a/cancel"),
    ):
        assert code == 503
        assert "Redis at redis://127.0.0.1:1/0 does not answer" in answer["error"]


async def test_the_job_schema_is_published(site: Any) -> None:
    """Producers in any language can validate before they submit."""
    code, schema = await site.get("/v1/schemas/job")
    assert code == 200
    assert "task_definition" in schema["required"]
    assert (await site.get("/openapi.json"))[0] == 200
