"""Stories of documents: what is read, what is refused, and what the refusal says."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ecs_queue.document import canonical, from_canonical, parse_job
from ecs_queue.errors import InvalidJob
from ecs_queue.job import MAX_DOCUMENT_BYTES, ContainerOverride, Job, JobId, TaskOverride

SMALLEST = {"id": "a", "task_definition": "sleep:1"}


def refusal(document: object) -> str:
    raw = document if isinstance(document, bytes) else json.dumps(document)
    with pytest.raises(InvalidJob) as caught:
        parse_job(raw)
    return str(caught.value)


def test_smallest_document() -> None:
    """An id and a task definition are enough."""
    job = parse_job(b'{"id": "a", "task_definition": "sleep:1"}')
    assert Job(id=JobId("a"), task_definition="sleep:1") == job


def test_default_id() -> None:
    """Where the document names no id, the given one is taken; its own id wins."""
    assert parse_job('{"task_definition": "t"}', default_id="17-0").id == "17-0"
    assert parse_job('{"task_definition": "t", "id": "a"}', default_id="17-0").id == "a"


def test_pasted_run_task_overrides() -> None:
    """Overrides keep ECS's spelling, so a piece of a RunTask request can be pasted in."""
    overrides = {
        "containerOverrides": [
            {"name": "main", "memoryReservation": 128, "environment": [{"name": "A", "value": "1"}]}
        ]
    }
    job = parse_job(json.dumps({**SMALLEST, "overrides": overrides}))
    assert job.overrides.container_overrides[0].memory_reservation == 128


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "the document is not JSON: EOF"),
        (b'{"id": ', "the document is not JSON: EOF"),
        (b"\xff", "the document is not JSON"),
        (b"[" * 10_000, "the document is not JSON: recursion limit"),
        ([], "a job is a JSON object with at least task_definition, this is a list"),
        (None, "this is null"),
        ({"id": "a"}, "task_definition: required, but missing"),
        ({**SMALLEST, "id": "a b"}, 'id: must have 1 to 128 letters, digits, _ . : / or -'),
        ({**SMALLEST, "id": "a" * 129}, "(131 characters)"),
        ({**SMALLEST, "prority": 1}, "prority: unknown field; did you mean priority?"),
        ({**SMALLEST, "zzz": 1}, "zzz: unknown field; known here: id, task_definition,"),
        ({**SMALLEST, "priority": "5"}, 'priority: must be a valid integer, got "5"'),
        ({**SMALLEST, "priority": 1001}, "priority: must be less than or equal to 1000, got 1001"),
        ({**SMALLEST, "priority": 10**40}, "priority: must be"),
        ({**SMALLEST, "enable_execute_command": 1}, "must be a valid boolean, got 1"),
        ({**SMALLEST, "retry": {"attempts": 11}}, "retry.attempts: must be less than or equal"),
        ({**SMALLEST, "group": "g" * 256}, "group: String must have at most 255 characters"),
        ({**SMALLEST, "tags": {"aws:a": "1"}}, 'tags: "aws:a": tag keys beginning with aws:'),
        ({**SMALLEST, "tags": {"a!": "1"}}, "tags.a!: must have letters, digits, spaces and"),
        ({**SMALLEST, "share": "a b"}, "share: must have 1 to 255 letters"),
        ({**SMALLEST, "overrides": {"cpu": "x"}}, 'cpu: must be CPU units such as "1024"'),
        ({**SMALLEST, "overrides": {"memory": "1 PB"}}, 'memory: must be MiB such as "2048"'),
        (b'{"id": "a", "task_definition": "t", "id": "b"}', '"id": stands twice in one object'),
        (
            b'{"id": "a", "task_definition": "t", "tags": {"a": "1", "a": "2"}}',
            '"a": stands twice in one object',
        ),
        (
            {**SMALLEST, "overrides": {"containerOverrides": [{"name": "c"}, {"name": "c"}]}},
            'overrides.containerOverrides: container "c" stands there twice',
        ),
        ({**SMALLEST, "propagate_tags": "SERVICE"}, "expected 'TASK_DEFINITION' or 'NONE'"),
        (
            {**SMALLEST, "overrides": {"containerOverrides": [{"name": "c", "enviroment": []}]}},
            "overrides.containerOverrides[0].enviroment: unknown field; did you mean environment?",
        ),
        (
            {**SMALLEST, "overrides": {"container_overrides": []}},
            "overrides.container_overrides: unknown field; did you mean containerOverrides?",
        ),
        (
            {**SMALLEST, "network_configuration": {"awsvpcConfiguration": {"subnets": []}}},
            "network_configuration.awsvpcConfiguration.subnets: ",
        ),
        (
            {**SMALLEST, "overrides": {"containerOverrides": [
                {"name": "c", "resourceRequirements": [{"type": "GPU", "value": "1.5"}]}]}},
            'a whole number of GPUs such as "1", not "1.5"',
        ),
        (
            {**SMALLEST, "overrides": {"taskRoleArn": "x" * 8200}},
            "overrides: 8218 characters as JSON; ECS takes 8192",
        ),
        (
            {**SMALLEST, "fallback": {"after_s": 1, "launch_type": "EC2",
                "capacity_provider_strategy": [{"capacityProvider": "p"}]}},
            "fallback: ECS takes capacity_provider_strategy or launch_type, not both",
        ),
    ],
)  # fmt: skip
def test_what_a_refusal_says(document: object, said: str) -> None:
    """A refusal names the field and what was expected there."""
    assert said in refusal(document)


def test_every_bad_field_is_named() -> None:
    """One look shows all there is to mend."""
    said = refusal({"id": "a", "priority": -1, "share": "a b"})
    assert [p.split(":")[0] for p in said.split("; ")] == ["task_definition", "priority", "share"]


def test_a_hundred_problems_stay_readable() -> None:
    """Beyond ten problems the rest is counted."""
    said = refusal({**SMALLEST, **{f"unknown{i}": 1 for i in range(100)}})
    assert said.endswith("; and 90 more")


def test_largest_document() -> None:
    """A document may have 64 KiB, and not one byte more."""
    document = json.dumps(SMALLEST).encode()
    assert parse_job(document.ljust(MAX_DOCUMENT_BYTES)).id == "a"
    assert "has 65537 bytes; at most 65536" in refusal(document.ljust(MAX_DOCUMENT_BYTES + 1))


def test_a_job_made_in_python_keeps_the_limits() -> None:
    """What ECS would refuse cannot be built either."""
    command = ("x" * 9000,)
    overrides = TaskOverride(
        containerOverrides=(ContainerOverride(name="main", command=command),)  # type: ignore[call-arg]
    )
    with pytest.raises(ValidationError, match="ECS takes 8192"):
        Job(id=JobId("a"), task_definition="t", overrides=overrides)


def test_canonical_form_ignores_how_it_was_written() -> None:
    """Order of fields, spelled-out defaults and the id make no other document."""
    written = parse_job('{"tags":{"b":"2","a":"1"},"task_definition":"t","id":"a","priority":0}')
    same = parse_job('{"id":"b","task_definition":"t","tags":{"a":"1","b":"2"}}')
    assert canonical(same) == b'{"task_definition":"t","tags":{"a":"1","b":"2"}}'
    assert canonical(same) == canonical(written)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
jobs = st.builds(
    lambda **fields: parse_job(json.dumps(fields)),
    id=st.from_regex(r"[A-Za-z0-9_.:/-]{1,128}", fullmatch=True),
    task_definition=texts.filter(bool),
    priority=st.integers(0, 1000),
    overrides=st.fixed_dictionaries(
        {"containerOverrides": st.lists(st.builds(lambda n, c: {"name": n, "command": c}, texts,
                                                  st.lists(texts, max_size=3)),
                                        max_size=3, unique_by=lambda each: each["name"])}
    ),
    tags=st.dictionaries(st.from_regex(r"[b-z]{1,9}", fullmatch=True), st.just("ä 1"), max_size=4),
    retry=st.fixed_dictionaries({"attempts": st.integers(1, 10)}),
)  # fmt: skip


plain_jobs = st.builds(
    lambda fields: parse_job(json.dumps(fields)),
    st.fixed_dictionaries(
        {"id": st.just("a"), "task_definition": texts.filter(bool)},
        optional={
            "overrides": st.sampled_from(
                [{}, {"containerOverrides": []}, {"containerOverrides": [{"name": "ä"}]}]
            ),
            "group": texts.filter(bool),
            "priority": st.integers(0, 2),
            "share": st.sampled_from(["default", "film"]),
            "policy": st.just("spread"),
            "timeout_s": st.integers(1, 2),
            "payload": st.sampled_from([None, {"a": 1}]),
            "tags": st.sampled_from([{}, {"b": "1"}]),
        },
    ),
)  # fmt: skip


@given(plain_jobs)
def test_however_a_job_is_written_its_canonical_form_is_the_same(job: Job) -> None:
    """Byte for byte what pydantic writes of a job: a duplicate is told from a conflict by it."""
    by_pydantic = job.model_dump_json(
        by_alias=True, exclude_defaults=True, exclude={"id", "payload"}
    )
    written = re.sub(rb',"payload_digest":"[0-9a-f]+"', b"", canonical(job))
    assert written == by_pydantic.encode()


@given(jobs)
def test_nothing_is_lost_in_the_canonical_form(job: Job) -> None:
    """Writing and reading back never changes a job."""
    assert job == from_canonical(job.id, canonical(job))


@given(st.sampled_from(["cpu", "memory", "memoryReservation"]), st.integers(min_value=2**31))
def test_no_number_is_taken_that_ecs_could_not_hold(member: str, number: int) -> None:
    """Absurd amounts never get as far as the arithmetic of placement."""
    override = {"name": "main", member: number}
    said = refusal({**SMALLEST, "overrides": {"containerOverrides": [override]}})
    assert said.startswith(f"overrides.containerOverrides[0].{member}: must be ")


@given(st.sampled_from(["cpu", "memory"]), st.text(max_size=30))
def test_task_sizes_are_short_ascii_numbers(member: str, text: str) -> None:
    """What is taken as the size of a task is never anything that float() could choke on."""
    with contextlib.suppress(InvalidJob):
        parse_job(json.dumps({**SMALLEST, "overrides": {member: text}}))
        assert len(text) <= 20
        assert float(text.lower().removesuffix("vcpu").removesuffix("gb")) < 1e12


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda s: json.dumps({s: s}).encode()))
def test_no_document_does_worse_than_being_refused(document: bytes) -> None:
    """Never anything but a job or InvalidJob."""
    outcome: Job | None = None
    with contextlib.suppress(InvalidJob):
        outcome = parse_job(document)
    assert outcome is None or isinstance(outcome, Job)
