"""Suspending, resuming and reordering over HTTP."""

from typing import Any

import pytest

from ecs_queue.job import JobId


async def submit(site: Any, *job_ids: str) -> None:
    jobs = [{"id": each, "task_definition": "t", "tags": {"run": "1"}} for each in job_ids]
    await site.post("/v1/jobs", jobs)


async def test_one_job_is_steered(site: Any) -> None:
    """Its id may hold slashes; a repeated request answers the same."""
    await submit(site, "day/1")
    for _ in range(2):
        answer = await site.post("/v1/jobs/day/1/suspend", {"reason": "audit"})
        assert answer == (200, {"id": "day/1", "outcome": "suspended"})
    assert (await site.get("/v1/jobs/day/1"))[1]["reason"] == "suspended: audit"
    answer = await site.post("/v1/jobs/day/1/reprioritise", {"priority": 7})
    assert answer[1]["outcome"] == "reprioritised"
    assert (await site.post("/v1/jobs/day/1/resume", b""))[1]["outcome"] == "resumed"
    assert (await site.queue.job(JobId("day/1"))).priority == 7


async def test_a_selection_is_steered(site: Any) -> None:
    """By tags; the answer counts."""
    await submit(site, "a", "b")
    answer = await site.post("/v1/selection/suspend", {"tags": {"run": "1"}})
    assert answer == (200, {"suspended": 2})
    answer = await site.post("/v1/selection/suspend", {"share": "other"})
    assert answer == (200, {})


async def test_a_selection_is_cancelled(site: Any) -> None:
    """As the shell does it; what has ended is not selected again."""
    await submit(site, "a", "b")
    wish = {"tags": {"run": "1"}, "reason": "the film is off"}
    assert await site.post("/v1/selection/cancel", wish) == (200, {"cancelled": 2})
    assert (await site.get("/v1/jobs/a"))[1]["reason"] == "the film is off"
    assert await site.post("/v1/selection/cancel", wish) == (200, {})


async def test_the_queue_is_suspended_and_resumed(site: Any) -> None:
    """With the reason that was given."""
    assert await site.post("/v1/queue/suspend", {"reason": "upgrade"}) == (
        200,
        {"queue": "suspended"},
    )
    assert await site.queue.steering.paused() == "upgrade"
    assert (await site.post("/v1/queue/resume", b""))[0] == 200
    assert await site.queue.steering.paused() is None


@pytest.mark.parametrize(
    ("path", "body", "code", "complaint"),
    [
        ("/v1/jobs/ghost/suspend", b"", 404, "no job 'ghost'"),
        ("/v1/jobs/a/explode", b"", 404, "explode: is no action"),
        ("/v1/jobs/a/reprioritise", b"", 400, "priority: required"),
        ("/v1/jobs/a/reprioritise", b'{"priority": 1001}', 400, "priority: "),
        ("/v1/jobs/a/suspend", b'{"why": "x"}', 400, "why: "),
        ("/v1/jobs/a/suspend", b"not json", 400, "Invalid JSON"),
        ("/v1/selection/suspend", b"", 400, "name at least one tag"),
        ("/v1/selection/cancel", b"", 400, "name at least one tag"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    site: Any, path: str, body: bytes, code: int, complaint: str
) -> None:
    """The answer says what was wrong."""
    await submit(site, "a")
    answer = await site.post(path, body)
    assert answer[0] == code
    assert complaint in answer[1]["error"]


async def test_an_ended_job_is_a_conflict(site: Any) -> None:
    """409, and nothing changes."""
    await submit(site, "a")
    await site.queue.cancel([JobId("a")])
    code, answer = await site.post("/v1/jobs/a/suspend", b"")
    assert (code, answer["outcome"]) == (409, "ended")
