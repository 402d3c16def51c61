"""Claimed jobs, read by msgspec, say what the models say that producers made."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.queue.claimed_jobs import as_said

from ecs_queue.document import UnreadableJob, canonical, from_canonical, parse_job
from ecs_queue.job import (
    ContainerOverride,
    Job,
    JobId,
    KeyValuePair,
    ResourceRequirement,
    TaskOverride,
)
from ecs_queue.stored import (
    AnyJob,
    StoredContainer,
    StoredJob,
    StoredOverrides,
    StoredPair,
    StoredRequirement,
    read,
)

CONFORMANCE = Path(__file__).parents[2] / "docs" / "conformance" / "valid.jsonl"
STORED = [json.loads(line)["stored"] for line in CONFORMANCE.read_text("utf-8").splitlines()]
TWINS: list[tuple[type[BaseModel], type[Any]]] = [
    (Job, StoredJob),
    (TaskOverride, StoredOverrides),
    (ContainerOverride, StoredContainer),
    (KeyValuePair, StoredPair),
    (ResourceRequirement, StoredRequirement),
]


def claimed(*documents: bytes) -> list[AnyJob]:
    ids = [b"job-%d" % number for number in range(len(documents))]
    return list(read(ids, [document[1:] for document in documents]))


def test_both_have_the_same_members() -> None:
    """By name, spelling in JSON and default: a new one has to be told to both."""
    for model, struct in TWINS:
        told = {name: field.alias or name for name, field in model.model_fields.items()}
        told.pop("payload", None)
        fields = struct.__struct_fields__
        assert dict(zip(fields, struct.__struct_encode_fields__, strict=True)) == told
    fresh, stored = (
        parse_job('{"id":"job-0","task_definition":"t"}'),
        claimed(b'{"task_definition":"t"}'),
    )
    assert [as_said(each) for each in stored] == [fresh]


def test_every_kind_of_document_is_read_as_pydantic_reads_it() -> None:
    """Those of the conformance file, in one claim; no claim falls back to pydantic for them."""
    documents = [json.dumps(each, separators=(",", ":")).encode() for each in STORED]
    jobs = claimed(*documents)
    assert {type(job) for job in jobs} == {StoredJob}
    for number, (job, document) in enumerate(zip(jobs, documents, strict=True)):
        model = from_canonical(JobId(f"job-{number}"), document)
        assert as_said(job) == model
        assert job.overrides.as_json() == model.overrides.as_json()
        ours, theirs = job.overrides.container_overrides, model.overrides.container_overrides
        assert [json.dumps(each.as_ecs()) for each in ours] == [
            json.dumps(each.as_ecs()) for each in theirs
        ]


words = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.lists(st.tuples(words, st.lists(words, max_size=3)), max_size=3, unique_by=lambda c: c[0])
)
def test_no_text_is_read_or_written_differently(overridden: list[tuple[str, list[str]]]) -> None:
    """Overrides reach ECS as they were said, whatever characters they are made of."""
    containers = [{"name": name, "command": command} for name, command in overridden]
    overrides = {"overrides": {"containerOverrides": containers}} if containers else {}
    model = parse_job(json.dumps({"id": "job-0", "task_definition": "t", **overrides}))
    [job] = claimed(canonical(model))
    assert isinstance(job, StoredJob)
    assert (as_said(job), job.overrides.as_json()) == (model, model.overrides.as_json())


BEYOND = [
    *({"priority": value} for value in (-1, 1001)),
    *({"timeout_s": value} for value in (0, 30 * 86_400 + 1)),
    *({"array_size": value} for value in (1, 1_000_001)),
    *({name: value} for name in ("not_before", "deadline") for value in (-1, 4_102_444_800)),
    {"array_index": -1},
    {"group": ""},
    {"group": "g" * 256},
    {"task_definition": "t" * 513},
    {"retry": {"attempts": 11}},
    {"resources": {"disk": 10**15 + 1}},
    {"resources": {f"disk{number}": 1 for number in range(21)}},
    {"resources": {"Gpu": 1}},
    {"tags": {"a": "b" * 257}},
    {"tags": {"a" * 129: "b"}},
    {"tags": {"": "b"}},
    {"tags": {f"a{number}": "b" for number in range(51)}},
    {"placement_constraints": [{"type": "distinctInstance"}] * 11},
    {"propagate_tags": "SERVICE"},
    {"overrides": {"cpu": "1" * 21}},
    *(
        {"overrides": {"containerOverrides": [{"name": "main", **member}]}}
        for member in (
            {"cpu": -1},
            {"cpu": 2**31},
            {"memory": 5},
            {"memoryReservation": 2**31},
            {"resourceRequirements": [{"type": "TPU", "value": "1"}]},
            {"environment": [{"name": "a", "value": 1}]},
            {"user": "root"},
        )
    ),
    {"from_the_future": 1},
]


@pytest.mark.parametrize("members", BEYOND, ids=str)
def test_what_another_version_allows_is_unreadable_to_both(members: dict[str, Any]) -> None:
    """Such a job waits, with its reason, and those claimed with it are read."""
    document = json.dumps({"task_definition": "t", **members}).encode()
    odd, sound = claimed(document, b'{"task_definition":"t"}')
    assert isinstance(odd, UnreadableJob)
    assert not isinstance(sound, UnreadableJob)


def test_bytes_that_are_no_text_are_unreadable() -> None:
    """Somebody wrote into Redis by hand; the reason shows it."""
    odd, sound = claimed(b'{"task_definition":"\xff"}', b'{"task_definition":"t"}')
    assert isinstance(odd, UnreadableJob)
    assert "invalid unicode" in odd.problem
    assert not isinstance(sound, UnreadableJob)


def test_a_document_of_two_is_unreadable() -> None:
    """It is no job more, and takes nobody else's place."""
    two = b'{"task_definition":"t"},{"id":"other","task_definition":"t"}'
    odd, sound = claimed(two, b'{"task_definition":"t"}')
    assert isinstance(odd, UnreadableJob)
    assert (odd.id, sound.id) == ("job-0", "job-1")
    assert not isinstance(sound, UnreadableJob)
