"""Jobs as claims hand them out: read by msgspec into structs, in a seventh of the time that
pydantic takes to make models of them, which was a third of a claim.

They have the members of `job.Job`, which is what producers say. Here names, types and limits are
checked once more, patterns are not. What a job seldom has is one of `job`'s models in both.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from pydantic import BaseModel

from ecs_queue.document import array_of, from_canonicals
from ecs_queue.gang import Gang
from ecs_queue.job import (
    MAX_ARRAY_SIZE,
    MAX_INTEGER,
    MAX_QUANTITY_CHARACTERS,
    RESOURCES_OF_ECS,
    Dependency,
    Fallback,
    Job,
    JobId,
    NetworkConfiguration,
    PlacementConstraint,
    TaskOverride,
)
from ecs_queue.retrying import Retry
from ecs_queue.timing import LATEST_S, MaxWait

_Moment = Annotated[int, Meta(ge=0, lt=LATEST_S)]
_ResourceName = Annotated[str, Meta(pattern=rf"^(?!(?i:{'|'.join(RESOURCES_OF_ECS)})\Z)")]
_Resources = Annotated[
    dict[_ResourceName, Annotated[int, Meta(ge=0, le=10**15)]], Meta(max_length=20)
]
_TagKey = Annotated[str, Meta(min_length=1, max_length=128)]
_Tags = Annotated[dict[_TagKey, Annotated[str, Meta(max_length=256)]], Meta(max_length=50)]


class _Stored(
    msgspec.Struct,
    frozen=True,
    gc=False,  # they cannot refer to one another in a circle
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What all of them have in common."""


class StoredPair(_Stored, frozen=True, rename="camel"):
    """job.KeyValuePair."""

    name: str
    value: str


class StoredRequirement(_Stored, frozen=True, rename="camel"):
    """job.ResourceRequirement."""

    type: Literal["GPU", "InferenceAccelerator"]
    value: Annotated[str, Meta(max_length=255)]


class StoredContainer(_Stored, frozen=True, rename="camel"):
    """job.ContainerOverride."""

    name: str
    command: tuple[str, ...] | None = None
    environment: tuple[StoredPair, ...] | None = None
    cpu: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] | None = None
    memory: Annotated[int, Meta(ge=6, le=MAX_INTEGER)] | None = None
    memory_reservation: Annotated[int, Meta(ge=6, le=MAX_INTEGER)] | None = None
    resource_requirements: tuple[StoredRequirement, ...] | None = None

    def as_ecs(self) -> dict[str, Any]:
        """What is set, in ECS's spelling."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        return members


class StoredOverrides(_Stored, frozen=True, rename="camel"):
    """job.TaskOverride."""

    container_overrides: tuple[StoredContainer, ...] = ()
    cpu: Annotated[str, Meta(max_length=MAX_QUANTITY_CHARACTERS)] | None = None
    memory: Annotated[str, Meta(max_length=MAX_QUANTITY_CHARACTERS)] | None = None
    execution_role_arn: str | None = None
    task_role_arn: str | None = None

    def as_json(self) -> str:
        """What is set, in ECS's spelling; the same text as of an equal job.TaskOverride."""
        return msgspec.json.encode(self).decode()


class StoredJob(_Stored, frozen=True):
    """job.Job without the payload, which only the job's task reads."""

    id: JobId
    task_definition: Annotated[str, Meta(min_length=1, max_length=512)]
    overrides: StoredOverrides = StoredOverrides()
    group: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    priority: Annotated[int, Meta(ge=0, le=1000)] = 0
    share: str = "default"
    policy: str | None = None
    retry: Retry = Retry()
    timeout_s: Annotated[int, Meta(ge=1, le=30 * 86_400)] | None = None
    not_before: _Moment | None = None
    deadline: _Moment | None = None
    array_size: Annotated[int, Meta(ge=2, le=MAX_ARRAY_SIZE)] | None = None
    array_index: Annotated[int, Meta(ge=0)] | None = None
    max_wait: MaxWait | None = None
    depends_on: Annotated[tuple[Dependency, ...], Meta(max_length=1000)] = ()
    gang: Gang | None = None
    fallback: Fallback | None = None
    network_configuration: NetworkConfiguration | None = None
    placement_constraints: Annotated[tuple[PlacementConstraint, ...], Meta(max_length=10)] = ()
    resources: _Resources = {}  # each gets one of its own
    tags: _Tags = {}
    propagate_tags: Literal["TASK_DEFINITION", "NONE"] | None = None
    enable_execute_command: bool = False
    payload_digest: str | None = None


AnyOverrides = TaskOverride | StoredOverrides
AnyJob = Job | StoredJob
"""Whoever only looks at a job takes it as it was said or as it was claimed."""


def _model(kind: type[BaseModel], value: Any) -> BaseModel:
    return kind.model_validate(value)


_DECODER = msgspec.json.Decoder(list[StoredJob], dec_hook=_model)


def read(job_ids: Sequence[bytes], members: Sequence[bytes]) -> Sequence[AnyJob]:
    """The jobs that `document.canonical` wrote; `members` is what follows a document's first brace.
    Where one of them is not as it should be, pydantic judges all, and says what is wrong.
    """
    try:
        jobs: list[StoredJob] = _DECODER.decode(array_of(job_ids, members))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return from_canonicals(job_ids, members)
    return jobs if len(jobs) == len(members) else from_canonicals(job_ids, members)
