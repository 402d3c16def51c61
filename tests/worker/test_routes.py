"""The routes for tasks, as curl sees them."""

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from ecs_queue.job import JobId
from ecs_queue.states import LaunchToken, Succeeded

if TYPE_CHECKING:
    from tests.worker.conftest import Site

Reply = tuple[int, Any, Any]


async def send(
    site: "Site", token: LaunchToken, path: str, body: bytes | None = None, *, secret: str = ""
) -> Reply:
    """One request of a task: status, JSON, headers."""
    shown = secret or await site.secret(token)
    url = f"{site.url}/v1/tasks/{site.arn(token)}{path}"
    headers = {"Authorization": f"Bearer {shown}"}
    method = "GET" if body is None else "PUT"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(), answer.headers


async def status_of(url: str, method: str = "GET") -> int:
    """Without any secret."""
    async with aiohttp.ClientSession() as http, http.request(method, url) as answer:
        return answer.status


async def test_a_task_is_answered(site: "Site") -> None:
    """The payload alone, or with what it belongs to."""
    token = await site.launch(id="film/a", payload={"x": [1.5, None]})
    status, found, headers = await send(site, token, "/payload")
    assert (status, found, headers["Content-Type"]) == (200, {"x": [1.5, None]}, "application/json")
    about = {"job": "film/a", "attempt": 1, "array_index": None}
    assert (await send(site, token, ""))[:2] == (200, {**about, "payload": {"x": [1.5, None]}})
    assert (await send(site, token, "/progress", b" 3\n of 4 "))[:2] == (200, about)
    assert (await send(site, token, "/result", b'{"ok": true}'))[:2] == (200, about)
    record = await site.queue.job(JobId("film/a"))
    assert record.progress is not None
    assert (record.progress.text, record.result) == ("3 of 4", {"ok": True})


async def test_a_job_without_a_payload_has_null(site: "Site") -> None:
    """So a program need not know whether there is one."""
    token = await site.launch(id="a")
    assert (await send(site, token, "/payload"))[:2] == (200, None)


@pytest.mark.parametrize("path", ["", "/payload"])
async def test_secrets_open_their_own_launch_only(site: "Site", path: str) -> None:
    """Forged ones are told apart from those of others; neither learns anything."""
    mine, other = await site.launch(id="a", payload=1), await site.launch(id="b", payload=2)
    for forged in ("nonsense", f"{mine}.", f"{mine}.{'0' * 64}", (await site.secret(mine))[:-1]):
        status, answer, headers = await send(site, mine, path, secret=forged)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "payload" not in answer
    assert (await send(site, mine, path, secret=await site.secret(other)))[0] == 403
    assert await status_of(f"{site.url}/v1/tasks/{site.arn(mine)}{path}") == 401


async def test_reports_are_bounded_and_checked(site: "Site") -> None:
    """Too long, no JSON, no secret: nothing is kept; the longest that may be is."""
    token = await site.launch(id="a")
    assert (await send(site, token, "/result", b"{"))[0] == 400
    assert (await send(site, token, "/result", b"[" * 30_000))[0] == 400
    assert (await send(site, token, "/result", b"NaN"))[0] == 400
    assert (await send(site, token, "/result", b"\xff"))[0] == 400
    assert (await send(site, token, "/result", b"1" * 65_537))[0] == 413
    assert (await send(site, token, "/progress", b"x" * 1025))[0] == 413
    assert (await send(site, token, "/result", b"1", secret="x.y"))[0] == 401
    record = await site.queue.job(JobId("a"))
    assert (record.progress, record.result) == (None, None)
    assert (await send(site, token, "/result", b'"%b"' % (b"x" * 65_534)))[0] == 200
    assert (await site.queue.job(JobId("a"))).result == "x" * 65_534
    assert (await send(site, token, "/progress", b"x" * 1024))[0] == 200
    record = await site.queue.job(JobId("a"))
    assert record.progress is not None
    assert record.progress.text == "x" * 200


async def test_after_the_end_nothing_is_taken(site: "Site") -> None:
    """410 says what became of the job."""
    token = await site.launch(id="a")
    await send(site, token, "/result", b"1")
    await send(site, token, "/result", b"2")
    await site.queue.finish(site.arn(token), Succeeded())
    status, _, headers = await send(site, token, "/result", b"3")
    assert (status, headers["X-Job-State"]) == (410, "SUCCEEDED")
    assert (await site.queue.job(JobId("a"))).result == 2


async def test_containers_reach_nothing_else(site: "Site") -> None:
    """Their port knows no route that submits, cancels or shows jobs."""
    await site.launch(id="a")
    for path in ("/v1/jobs/a", "/v1/status", "/metrics"):
        assert await status_of(site.url + path) == 404
    assert await status_of(f"{site.url}/v1/jobs/a/cancel", "POST") == 404
