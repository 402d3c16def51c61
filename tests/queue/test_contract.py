"""The published contract: schema and conformance files say what the code does.

After a change of the contract, docs/job.schema.json is what `ecs-scheduler schema` prints.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from ecs_queue.contract import SCHEMA_ID, job_schema
from ecs_queue.document import canonical, from_canonical, parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import JobId

DOCS = Path(__file__).parents[2] / "docs"


def cases(name: str) -> list[Any]:
    lines = (DOCS / "conformance" / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["name"]) for case in map(json.loads, lines)]


def by_the_schema(document: object) -> bool:
    return bool(jsonschema.Draft202012Validator(job_schema()).is_valid(document))


def test_the_published_schema_is_the_model_s() -> None:
    """What other languages build on is what is taken here, under its version's name."""
    published = json.loads((DOCS / "job.schema.json").read_text(encoding="utf-8"))
    assert published == job_schema()
    assert published["$id"] == SCHEMA_ID == "urn:ecs-scheduler:job:1"


def test_the_schema_is_a_schema() -> None:
    """By its own meta-schema."""
    jsonschema.Draft202012Validator.check_schema(job_schema())


@pytest.mark.parametrize("case", cases("valid.jsonl"))
def test_valid_documents_are_taken_and_stored_as_shown(case: dict[str, Any]) -> None:
    """By parser and schema; and what is stored means the same again."""
    assert by_the_schema(case["document"])
    job = parse_job(json.dumps(case["document"]), default_id="made-up")
    assert json.loads(canonical(job)) == case["stored"]
    again = from_canonical(JobId(job.id), canonical(job))
    kept = {"payload": None, "payload_digest": again.payload_digest}
    assert again == job.model_copy(update=kept)


@pytest.mark.parametrize("case", cases("valid.jsonl"))
def test_what_was_stored_stays_readable(case: dict[str, Any]) -> None:
    """The file holds what each version stores: a later one reads it, and would store it again."""
    document = json.dumps(case["stored"], separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(from_canonical(JobId("a"), document)) == document


@pytest.mark.parametrize("case", cases("invalid.jsonl"))
def test_invalid_documents_are_refused_where_it_says(case: dict[str, Any]) -> None:
    """By the parser always; by the schema too, unless the case says that it cannot know."""
    with pytest.raises(InvalidJob) as caught:
        parse_job(json.dumps(case["document"]), default_id="made-up")
    assert case["complaint"] in str(caught.value)
    assert by_the_schema(case["document"]) is not case["schema"]


def test_both_names_of_a_field_at_once_are_refused() -> None:
    """Nobody could say which of them counts."""
    both = {"task_definition": "t", "retry": {"attempts": 2}, "retryStrategy": {"attempts": 3}}
    with pytest.raises(InvalidJob, match="retryStrategy"):
        parse_job(json.dumps(both), default_id="made-up")
