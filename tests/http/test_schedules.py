"""Recurring submissions over HTTP."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.http.conftest import Site

URL = "/v1/schedules"
NIGHTLY = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "job": {"task_definition": "t"}}


async def send(site: "Site", method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status code and JSON."""
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with site.http.request(method, site.url + path, **content) as answer:
        return answer.status, await answer.json()


async def test_a_schedule_and_its_life(site: "Site") -> None:
    """PUT adds or replaces, GET shows, DELETE removes; each may be repeated."""
    for _ in range(2):
        status, made = await send(site, "PUT", f"{URL}/nightly", NIGHTLY)
        assert (status, made["name"], made["cron"]) == (200, "nightly", "0 3 * * *")
    assert await site.get(URL) == (200, {"schedules": [made]})
    status, changed = await send(site, "PUT", f"{URL}/nightly", {**NIGHTLY, "cron": "@daily"})
    assert (status, changed["cron"]) == (200, "0 0 * * *")
    _, paused = await site.post(f"{URL}/nightly/pause")
    assert paused["paused"] == "over HTTP"
    _, resumed = await site.post(f"{URL}/nightly/resume")
    assert (resumed["paused"], resumed["next_ms"]) == (None, changed["next_ms"])
    assert (await send(site, "DELETE", f"{URL}/nightly"))[1]["outcome"] == "removed"
    for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/pause"), ("POST", "/resume")):
        status, answer = await send(site, method, f"{URL}/nightly{path}")
        assert (status, answer["error"]) == (404, "no schedule 'nightly' in this queue")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "a schedule is a JSON object"),
        ({"cron": "* * * * *"}, "job: required"),
        ({**NIGHTLY, "cron": "x"}, "cron: "),
        ({**NIGHTLY, "crom": "x"}, "crom: unknown field"),
    ],
)
async def test_what_is_no_schedule(site: "Site", body: Any, complaint: str) -> None:
    """400 says why, and nothing is kept."""
    status, answer = await send(site, "PUT", f"{URL}/s", body)
    assert status == 400
    assert complaint in answer["error"]
    assert await site.get(URL) == (200, {"schedules": []})
