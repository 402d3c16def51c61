"""The schema by command, and Batch's requests from files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecs_queue.job import JobId

Cli = Callable[..., Any]
REQUEST = {
    "jobName": "etl",
    "jobDefinition": "etl:3",
    "containerOverrides": {"command": ["run"]},
    "retryStrategy": {"attempts": 2},
}


def test_the_schema_is_printed(cli: Cli) -> None:
    """As it is published."""
    published = Path(__file__).parents[2] / "docs" / "job.schema.json"
    assert json.loads(cli("schema").out) == json.loads(published.read_text(encoding="utf-8"))


def test_requests_of_batch_are_submitted(
    cli: Cli, bare: Path, queue_name: str, on_queue: Callable[..., Any]
) -> None:
    """One object, or a list of them; the container is Batch's own unless it is named."""
    (bare / "one.json").write_text(json.dumps({**REQUEST, "jobId": "one"}))
    (bare / "two.json").write_text(json.dumps([REQUEST, REQUEST]))
    assert cli("submit", "--format", "batch", "--file", "one.json").out.startswith("1 accepted")
    answer = cli("submit", "--format", "batch", "--container", "main", "--file", "two.json")
    assert answer.out.startswith("2 accepted")
    job = on_queue(lambda queue: queue.job(JobId("one"))).job
    assert job.retry.attempts == 2
    assert job.overrides.container_overrides[0].name == "default"


def test_one_bad_request_keeps_the_file_out(cli: Cli, bare: Path, queue_name: str) -> None:
    """With the place of each."""
    requests = [REQUEST, {**REQUEST, "nodeOverrides": {}}, {"jobName": "x"}]
    (bare / "bad.jsonl").write_text("\n".join(map(json.dumps, requests)))
    answer = cli("submit", "--format", "batch", "--file", "bad.jsonl")
    assert answer.code == 2
    assert "bad.jsonl, line 2: nodeOverrides: multi-node" in answer.err
    assert "bad.jsonl, line 3: jobDefinition: a text is required" in answer.err
    assert json.loads(cli("jobs", "-o", "json").out) == []
