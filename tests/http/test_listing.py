"""Jobs are listed over HTTP, by the same filters as on the command line."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.http.conftest import Site

JOBS = [
    {"id": "x/1", "task_definition": "etl:1", "share": "team", "tags": {"film": "7", "k": "a=b"}},
    {"id": "x/2", "task_definition": "etl:2", "share": "team"},
    {"id": "y/1", "task_definition": "render", "tags": {"film": "7"}},
]


@pytest.mark.parametrize(
    ("query", "ids", "go_on_at"),
    [
        ("", ["x/1", "x/2", "y/1"], None),
        ("?family=etl&prefix=x/", ["x/1", "x/2"], None),
        ("?tag=film=7", ["x/1", "y/1"], None),
        ("?tag=film=7&tag=k=a=b", ["x/1"], None),
        ("?share=default&state=RUNNABLE", ["y/1"], None),
        ("?limit=1", ["x/1"], 1),
        ("?limit=1&offset=1", ["x/2"], 2),
        ("?since=9000d&state=RUNNABLE&limit=3", ["x/1", "x/2", "y/1"], None),
        ("?since=4000000000", [], None),
        ("?state=FAILED", [], None),
    ],
)
async def test_what_is_found(
    site: "Site", query: str, ids: list[str], go_on_at: int | None
) -> None:
    """In the order of the queue, with the offset to go on from."""
    await site.post("/v1/jobs", JOBS)
    status, answer = await site.get(f"/v1/jobs{query}")
    assert status == 200
    assert ([each["id"] for each in answer["jobs"]], answer["go_on_at"]) == (ids, go_on_at)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("?stat=FAILED", "stat: unknown; there are state, share"),
        ("?state=failed", "state: failed; there are SUBMITTED"),
        ("?tag=film", "tag: must be KEY=VALUE"),
        ("?since=yesterday", "since: "),
        ("?limit=1001", "limit: must be a number from 1 to 1000"),
        ("?limit=x", "limit: must be"),
        ("?offset=-1", "offset: must be"),
        ("?array=p&share=team", "array: goes together with state"),
        ("?limit=99999999999999999999999", "limit: must be"),
    ],
)
async def test_what_cannot_be_asked(site: "Site", query: str, complaint: str) -> None:
    """400, with the parameter and what it takes."""
    status, answer = await site.get(f"/v1/jobs{query}")
    assert status == 400
    assert complaint in answer["error"]


async def test_the_payload_is_shown_when_it_is_asked_for(site: "Site") -> None:
    """Listed jobs and single ones come without."""
    await site.post("/v1/jobs", {"id": "a", "task_definition": "t", "payload": {"x": [1]}})
    _, plain = await site.get("/v1/jobs/a")
    assert "payload" not in plain
    _, whole = await site.get("/v1/jobs/a?payload=true")
    assert whole == {**plain, "payload": {"x": [1]}}


async def test_the_children_of_an_array(site: "Site") -> None:
    """By state and index; 404 where there is no such array."""
    await site.post("/v1/jobs", {"id": "p", "task_definition": "t", "array_size": 9})
    await site.post("/v1/jobs/p:4/cancel", b"")
    status, answer = await site.get("/v1/jobs?array=p&state=CANCELLED")
    (child,) = answer["children"]
    assert (status, child["id"], child["reason"]) == (200, "p:4", "cancelled over HTTP")
    status, answer = await site.get("/v1/jobs?array=p&limit=2&offset=3")
    assert [each["state"] for each in answer["children"]] == ["RUNNABLE", "CANCELLED"]
    assert answer["go_on_at"] == 5
    assert (await site.get("/v1/jobs?array=ghost"))[0] == 404
