"""The HTTP side with clients that are slow, many, or lost."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecs_scheduler.web.api import Backend, create_app
from ecs_scheduler.web.body import BODY_TIMEOUT_S
from ecs_scheduler.web.server import listen, serving


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/queue/suspend"])
async def test_a_body_that_does_not_come_is_not_waited_for(site: Any, path: str) -> None:
    """408, and the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(site.url).port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith("HTTP/1.1 408 ")
    assert '{"error":"the body was not there after 1 s; send it again"}' in answer
    assert BODY_TIMEOUT_S == 10


@pytest.mark.parametrize(
    ("method", "path", "code", "error"),
    [
        ("GET", "/v2/jobs", 404, "GET /v2/jobs: there is nothing here"),
        ("DELETE", "/v1/jobs", 405, "DELETE /v1/jobs: this is not the method for it"),
        ("POST", "/metrics", 405, "POST /metrics: this is not the method for it"),
    ],
)
async def test_what_is_not_there_answers_like_all_else(
    site: Any, method: str, path: str, code: int, error: str
) -> None:
    """An object whose `error` says what was asked for."""
    async with site.http.request(method, site.url + path) as answer:
        assert (answer.status, await answer.json()) == (code, {"error": error})
        assert ("Allow" in answer.headers) == (code == 405)


async def test_too_many_connections_are_told_so(site: Any) -> None:
    """503 for who comes after them, instead of a process out of sockets."""
    backend = Backend(site.queue, lambda: site.status, site.metrics, lambda: "made-up")
    with listen("127.0.0.1", 0) as listener:
        async with serving(create_app(backend), listener, max_connections=2) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            async with site.http.get(f"{url}/healthz") as answer:
                assert answer.status == 503
            writer.close()
            await writer.wait_closed()
