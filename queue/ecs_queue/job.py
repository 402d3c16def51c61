"""The job document: what a producer asks for, validated.

Our own fields are snake_case; what ECS takes as is (overrides, network configuration, ...) keeps
ECS's camelCase JSON inside, so that a piece of a RunTask request can be pasted in. Limits are those
of the ECS API model. `ecs_queue.document` reads and writes the JSON.
"""

from typing import Annotated, Any, Literal, NewType, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    JsonValue,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from ecs_queue.gang import Gang
from ecs_queue.payload import compact
from ecs_queue.retrying import Retry
from ecs_queue.timing import MaxWait, Moment
from ecs_queue.wire import EcsModel, OwnModel

JobId = NewType("JobId", str)

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_SENT_BYTES = MAX_DOCUMENT_BYTES + MAX_PAYLOAD_BYTES
MAX_OVERRIDES_CHARACTERS = 8192
MAX_ARRAY_ID_CHARACTERS = 120
MAX_ARRAY_SIZE = 1_000_000
JOB_ID_PATTERN = r"^[A-Za-z0-9_.:/-]{1,128}$"
POLICY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
SCHEDULE_PATTERN = r"^[A-Za-z0-9_.-]{1,100}$"
SHARE_PATTERN = r"^[A-Za-z0-9_.-]{1,255}$"
TAG_PATTERN = r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"
CPU_PATTERN = r"^ *[0-9]{1,12}(\.[0-9]{1,6})? *([vV][cC][pP][uU])? *$"
MEMORY_PATTERN = r"^ *[0-9]{1,12}(\.[0-9]{1,6})? *([gG][bB])? *$"
MAX_QUANTITY_CHARACTERS = 20
MAX_GPU_DIGITS = 4
MAX_INTEGER = 2**31 - 1
"""ECS's own integers have 32 bits."""


class KeyValuePair(EcsModel):
    """An environment variable."""

    name: str
    value: str


class ResourceRequirement(EcsModel):
    """A GPU (or inference accelerator) request of a container; `value` is a string, as in ECS."""

    type: Literal["GPU", "InferenceAccelerator"]
    value: str = Field(max_length=255)

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.type != "GPU" or self.value == "ALL":
            return self
        if not (self.value.isascii() and self.value.isdigit()):
            raise ValueError(f'value: a whole number of GPUs such as "1", not "{self.value}"')
        if len(self.value) > MAX_GPU_DIGITS:
            raise ValueError(f"value: {self.value} GPUs; more than {MAX_GPU_DIGITS} digits")
        return self


class ContainerOverride(EcsModel):
    """What one container of the task definition gets instead of its defined values."""

    name: str
    command: tuple[str, ...] | None = None
    environment: tuple[KeyValuePair, ...] | None = None
    cpu: int | None = Field(default=None, ge=0, le=MAX_INTEGER)
    memory: int | None = Field(default=None, ge=6, le=MAX_INTEGER)
    memory_reservation: int | None = Field(default=None, ge=6, le=MAX_INTEGER)
    resource_requirements: tuple[ResourceRequirement, ...] | None = None

    def as_ecs(self) -> dict[str, Any]:
        """What is set, in ECS's spelling."""
        return self.model_dump(by_alias=True, exclude_none=True)


class TaskOverride(EcsModel):
    """ECS's TaskOverride; at most 8192 characters as JSON."""

    container_overrides: tuple[ContainerOverride, ...] = ()
    cpu: str | None = Field(default=None, max_length=MAX_QUANTITY_CHARACTERS, pattern=CPU_PATTERN)
    memory: str | None = Field(
        default=None, max_length=MAX_QUANTITY_CHARACTERS, pattern=MEMORY_PATTERN
    )
    execution_role_arn: str | None = None
    task_role_arn: str | None = None

    def as_json(self) -> str:
        """What is set, in ECS's spelling."""
        return self.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)


class AwsVpcConfiguration(EcsModel):
    """Where the task's network interface goes."""

    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[str, ...] = Field(default=(), max_length=5)
    assign_public_ip: Literal["ENABLED", "DISABLED"] = "DISABLED"


class NetworkConfiguration(EcsModel):
    """ECS's networkConfiguration, for task definitions with network mode awsvpc."""

    awsvpc_configuration: AwsVpcConfiguration


class CapacityProviderStrategyItem(EcsModel):
    """One capacity provider of a strategy."""

    capacity_provider: str
    weight: int = Field(default=1, ge=0, le=1000)
    base: int = Field(default=0, ge=0, le=100_000)


class PlacementConstraint(EcsModel):
    """One of ECS's placementConstraints: memberOf with an expression, distinctInstance without."""

    type: Literal["memberOf", "distinctInstance"]
    expression: str | None = Field(default=None, min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _expression_where_it_belongs(self) -> Self:
        if (self.type == "memberOf") != (self.expression is not None):
            raise ValueError("memberOf needs an expression, and distinctInstance takes none")
        return self


DependencyType = Literal["afterok", "afterany", "afternotok", "SEQUENTIAL", "N_TO_N"]


class Dependency(OwnModel):
    """Another job that has to end first: SUCCEEDED, anyhow, or anything but SUCCEEDED.

    SEQUENTIAL names none: each child of the array depends on the one before it. N_TO_N names an
    array of the same size: each child depends on the other array's child of its index.
    """

    job: JobId = Field(
        default=JobId(""), pattern=JOB_ID_PATTERN, validation_alias=AliasChoices("job", "jobId")
    )
    type: DependencyType = "afterok"

    @model_validator(mode="after")
    def _names_a_job(self) -> Self:
        if (self.job == "") != (self.type == "SEQUENTIAL"):
            raise ValueError("job: required, but for type SEQUENTIAL, which names none")
        return self


class Fallback(OwnModel):
    """When and how RunTask is used instead: after `after_s` seconds RUNNABLE without room.

    Without a strategy or a launch type, the cluster's default strategy decides.
    """

    after_s: int = Field(ge=0, le=7 * 86_400)
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = Field(
        default=(), max_length=20
    )
    launch_type: Literal["EC2", "FARGATE", "EXTERNAL"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.capacity_provider_strategy and self.launch_type is not None:
            raise ValueError("ECS takes capacity_provider_strategy or launch_type, not both")
        if sum(item.base > 0 for item in self.capacity_provider_strategy) > 1:
            raise ValueError("only one item of capacity_provider_strategy may have a base")
        return self


def _tags_in_order(tags: dict[str, str]) -> dict[str, str]:
    for key in tags:
        if key.lower().startswith("aws:"):
            raise ValueError(f'"{key}": tag keys beginning with aws: belong to AWS')
    return dict(sorted(tags.items()))


TagKey = Annotated[str, Field(min_length=1, max_length=128, pattern=TAG_PATTERN)]
TagValue = Annotated[str, Field(max_length=256, pattern=TAG_PATTERN)]
Tags = Annotated[dict[TagKey, TagValue], Field(max_length=50), AfterValidator(_tags_in_order)]
"""ECS tags, in the order of their keys, so that equal tags are written equally."""


def _resources_of_users(resources: dict[str, int]) -> dict[str, int]:
    for name in resources:
        if name.lower() in RESOURCES_OF_ECS:
            raise ValueError(f'"{name}" is counted by ECS: overrides and the task definition ask')
    return dict(sorted(resources.items()))


RESOURCES_OF_ECS = ("cpu", "memory", "gpu", "eni", "ports", "ports_udp")
ResourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Resources = Annotated[
    dict[ResourceName, Annotated[int, Field(ge=0, le=10**15)]],
    Field(max_length=20),
    AfterValidator(_resources_of_users),
]
"""Amounts of what users define and instances declare (licences, disk, ...), by name."""


class Job(OwnModel):
    """One batch work item.

    Submitting the same id again is a no-op; another document under the same id is a conflict.
    `id` may be left out of an inbox document: the stream entry's id then becomes the job's, so
    that the entry can't be admitted twice. A stored job has the digest of its payload instead of
    the payload, which only its task reads.
    """

    id: JobId = Field(pattern=JOB_ID_PATTERN)
    task_definition: str = Field(min_length=1, max_length=512)
    overrides: TaskOverride = TaskOverride()
    group: str | None = Field(default=None, min_length=1, max_length=255)
    priority: int = Field(default=0, ge=0, le=1000)
    share: str = Field(default="default", pattern=SHARE_PATTERN)
    policy: str | None = Field(default=None, pattern=POLICY_PATTERN)
    retry: Retry = Field(default=Retry(), validation_alias=AliasChoices("retry", "retryStrategy"))
    timeout_s: int | None = Field(default=None, ge=1, le=30 * 86_400)
    not_before: Moment | None = None
    deadline: Moment | None = None
    array_size: int | None = Field(default=None, ge=2, le=MAX_ARRAY_SIZE)
    array_index: SkipJsonSchema[int | None] = Field(default=None, ge=0)
    max_wait: MaxWait | None = None
    depends_on: tuple[Dependency, ...] = Field(
        default=(), max_length=1000, validation_alias=AliasChoices("depends_on", "dependsOn")
    )
    gang: Gang | None = None
    fallback: Fallback | None = None
    network_configuration: NetworkConfiguration | None = None
    placement_constraints: tuple[PlacementConstraint, ...] = Field(default=(), max_length=10)
    resources: Resources = Field(default_factory=dict)
    tags: Tags = Field(default_factory=dict)
    propagate_tags: Literal["TASK_DEFINITION", "NONE"] | None = None
    enable_execute_command: bool = False
    payload: JsonValue = None
    payload_digest: SkipJsonSchema[str | None] = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        self._check_times()
        self._check_dependencies()
        self._check_array()
        self._check_gang()
        self._check_overrides()
        self._check_payload()
        return self

    def _check_times(self) -> None:
        first, last = self.not_before, self.deadline
        if first is not None and last is not None and last <= first:
            raise ValueError("deadline: is not after not_before, so the job could never start")

    def _check_dependencies(self) -> None:
        seen: set[JobId] = set()
        for each in self.depends_on:
            if each.job == self.id or self.has_child(each.job):
                raise ValueError(f"depends_on: the job would wait for itself ({each.job})")
            if each.job in seen:
                raise ValueError(f"depends_on: {each.job} stands there twice")
            seen.add(each.job)

    def _check_array(self) -> None:
        if self.array_index is not None:
            raise ValueError("array_index: is set by the queue, for the children of an array")
        if self.array_size is not None and len(self.id) > MAX_ARRAY_ID_CHARACTERS:
            raise ValueError(
                f"id: {len(self.id)} characters; an array's has {MAX_ARRAY_ID_CHARACTERS} at most"
            )
        kinds = [each.type for each in self.depends_on if each.type in ("SEQUENTIAL", "N_TO_N")]
        if kinds and self.array_size is None:
            raise ValueError(f"depends_on: {kinds[0]} is for arrays; array_size is missing")
        if len(kinds) > 1:
            raise ValueError(f"depends_on: only one of {' and '.join(kinds)} is taken")

    def _check_payload(self) -> None:
        if self.payload_digest is not None:
            raise ValueError("payload_digest: is set by the queue, from the payload")
        try:
            size = 0 if self.payload is None else len(compact(self.payload))
        except ValueError as error:
            raise ValueError(f"payload: is not JSON that everybody reads: {error}") from None
        if size > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"payload: {size} bytes of JSON; at most {MAX_PAYLOAD_BYTES} are taken:"
                " keep large data elsewhere and pass a reference to it"
            )

    def _check_gang(self) -> None:
        if self.gang is None:
            return
        if self.array_size is not None:
            raise ValueError("gang: an array is none; submit its members one by one")
        if self.fallback or (self.max_wait and self.max_wait.action == "fallback"):
            raise ValueError("gang: takes no fallback, which would start its members one by one")

    def has_child(self, job_id: JobId) -> bool:
        """Whether this is the id of a child of this array."""
        if self.array_size is None:
            return False
        array, _, digits = job_id.rpartition(":")
        if array != self.id or not digits.isdecimal():
            return False
        return int(digits) < self.array_size and str(int(digits)) == digits

    @property
    def sequential(self) -> bool:
        """Whether the children of this array run one after the other."""
        return any(each.type == "SEQUENTIAL" for each in self.depends_on)

    @property
    def follows(self) -> JobId | None:
        """The array that this one depends on child by child."""
        return next((each.job for each in self.depends_on if each.type == "N_TO_N"), None)

    def _check_overrides(self) -> None:
        if not self.overrides.model_fields_set:
            return
        names = [each.name for each in self.overrides.container_overrides]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f'overrides.containerOverrides: container "{twice}" stands there twice'
            )
        size = len(self.overrides.model_dump_json(by_alias=True, exclude_defaults=True))
        if size > MAX_OVERRIDES_CHARACTERS:
            raise ValueError(
                f"overrides: {size} characters as JSON; ECS takes {MAX_OVERRIDES_CHARACTERS}"
            )
