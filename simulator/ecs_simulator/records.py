"""The mutable records of the simulated Region: clusters, container instances, tasks and what they
run.

A Launch is what all tasks of one StartTask or RunTask call have in common; a Task holds only what
is its own.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.containers import Behaviour
from ecs_simulator.fleet import InstanceType
from ecs_simulator.names import ClusterArn, InstanceArn, TaskArn, TaskDefinitionArn

(
    PROVISIONING,
    PENDING,
    ACTIVATING,
    RUNNING,
    DEACTIVATING,
    STOPPING,
    DEPROVISIONING,
    STOPPED,
) = range(8)
STATUS_NAMES = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)
"""lastStatus in the order of a task's life; a task only ever moves to the right."""

DIMENSIONS = ("CPU", "MEMORY", "GPU", "ENI")
"""What is counted: CPU units, MiB, GPU devices, task network interfaces."""

AGENT_PORTS = frozenset({22, 2375, 2376, 51678, 51679, 51680})
"""TCP ports that are reserved on every instance (API model, PortMapping.hostPort)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one task reserves on a container instance."""

    cpu_units: int
    memory_mib: int
    gpus: int
    enis: int
    ports_tcp: frozenset[int]
    ports_udp: frozenset[int]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a launch: the definition with the overrides applied."""

    name: str
    image: str
    essential: bool
    cpu_units: int
    memory_mib: int | None
    reservation_mib: int | None
    gpus: int
    ports: tuple[tuple[int, int, str], ...]  # container port, host port (0 = dynamic), protocol
    stop_timeout_s: float | None
    behaviour: Behaviour


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a task definition with certain overrides comes to."""

    containers: tuple[ContainerSpec, ...]
    shown: tuple[dict[str, Any], ...]  # what of each container is the same in every task
    demand: Demand
    overrides: dict[str, Any]  # as tasks show them
    cpu: str
    memory: str
    images: frozenset[str]
    run_s: tuple[float, ...] | None  # of each container; None when some are drawn for each task
    exit_codes: tuple[int, ...]  # of containers that end by themselves
    has_ports: bool
    dynamic_ports: int  # host ports that the agent chooses


@dataclass(slots=True, eq=False)
class TaskDefinition:
    """One revision; `document` is what DescribeTaskDefinition answers, less status and dates.

    `works` remembers what overrides (as JSON) came to: producers repeat themselves.
    """

    arn: TaskDefinitionArn
    family: str
    revision: int
    document: dict[str, Any]
    requires: tuple[tuple[str, str | None], ...]
    tags: list[dict[str, str]]
    registered_at: float
    number: int
    status: str = "ACTIVE"
    deregistered_at: float | None = None
    works: dict[str, Work] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """What the tasks of one StartTask or RunTask call have in common."""

    definition: TaskDefinition
    work: Work
    demand: Demand
    containers: tuple[ContainerSpec, ...]
    awsvpc: bool
    subnets: tuple[str, ...]
    group: str
    started_by: str | None
    launch_type: str
    tags: list[dict[str, str]]
    requires: tuple[tuple[str, str | None], ...]
    shown: dict[str, Any]  # what is the same in the shapes of all its tasks


@dataclass(slots=True)
class Seen:
    """What reads showed of a task or instance, from the first to the last of them."""

    first_at: float
    last_at: float
    shape: dict[str, Any]


@dataclass(slots=True, eq=False)
class Task:
    """One task from launch to an hour after its end; times are seconds since the epoch, None where
    not reached.

    `due` is the running number of its only live appointment; earlier ones are void.
    """

    arn: TaskArn
    id: str
    number: int
    cluster: "Cluster"
    launch: Launch
    created_at: float
    run_s: tuple[float, ...]
    provider: str | None
    tags: list[dict[str, str]]  # shared with the launch until changed
    instance: "Instance | None" = None
    gpu_ids: tuple[str, ...] = ()
    status: int = PENDING
    wanted: bool = True  # desiredStatus RUNNING
    holds: bool = False  # its demand is counted on the instance
    on_host: bool = False  # the agent has accepted it and its containers have not all ended
    version: int = 1
    due: int = 0
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_codes: tuple[int | None, ...] | None = None
    first_port: int = 0
    connected_at: float | None = None
    seen: tuple["Seen", ...] = ()  # what stale reads can still show


@dataclass(slots=True, eq=False)
class Instance:
    """One container instance with what is free on it, as the control plane counts.

    `lingering` holds tasks that were told to stop, no longer count, and still occupy the host.
    """

    arn: InstanceArn
    id: str
    ec2_id: str
    number: int
    cluster: "Cluster"
    type: InstanceType
    zone: str
    registered_at: float
    attributes: dict[str, str | None]
    gpu_ids: tuple[str, ...]
    free_cpu: int
    free_memory: int
    free_gpus: list[str]
    free_enis: int
    ports_tcp: set[int] = field(default_factory=lambda: set(AGENT_PORTS))
    ports_udp: set[int] = field(default_factory=set)
    encoded_fixed: str | None = (
        None  # JSON of attributes and registered resources, until they change
    )
    encoded: tuple[tuple[object, ...], str] | None = None  # JSON of all, and the state it shows
    plain: tuple[tuple[object, ...], dict[str, Any]] | None = None  # the same as a dictionary
    user_resources: list[dict[str, Any]] = field(default_factory=list)
    capacity_provider: str | None = None
    spot: bool = False
    status: str = "ACTIVE"
    status_reason: str | None = None
    agent_connected: bool = True
    doomed: bool = False  # the host is going to be taken away
    dead: bool = False  # the host is gone, whether ECS knows it or not
    seen: tuple["Seen", ...] = ()  # what stale reads can still show
    agent_version: str = "1.89.2"
    version: int = 1
    running: int = 0  # tasks with desiredStatus RUNNING
    pending: int = 0  # tasks in PENDING
    images: set[str] = field(default_factory=set)
    tasks: dict[str, Task] = field(default_factory=dict)  # all that can still be described
    lingering: set[Task] = field(default_factory=set)
    waiting: deque[Task] = field(default_factory=deque)
    parked: list[tuple["Step", Task, float]] = field(default_factory=list)
    custom_attributes: set[str] = field(default_factory=set)
    tags: list[dict[str, str]] = field(default_factory=list)
    next_port: int = 32768


@dataclass(slots=True, eq=False)
class CapacityProvider:
    """A capacity provider; `document` is its part of DescribeCapacityProviders."""

    arn: str
    name: str
    document: dict[str, Any]
    tags: list[dict[str, str]]
    number: int
    status: str = "ACTIVE"


@dataclass(slots=True, eq=False)
class TokenUse:
    """What a clientToken was used for: the request it came with and what came of it."""

    fingerprint: str
    tasks: list[Task]
    failures: list[dict[str, Any]]
    at: float


@dataclass(slots=True, eq=False)
class Unplaced:
    """A task in PROVISIONING for want of capacity, and which instances would suit it."""

    task: Task
    suits: Callable[["Instance"], bool]
    last_refusal: str = "EMPTY CAPACITY PROVIDER"


@dataclass(slots=True, eq=False)
class Cluster:
    """One cluster; `tasks` holds whatever can still be described, in launch order.

    `container_arns` is what the ARNs of its containers begin with.
    """

    arn: ClusterArn
    container_arns: str
    name: str
    number: int
    created_at: float
    status: str = "ACTIVE"
    settings: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    default_strategy: list[dict[str, Any]] = field(default_factory=list)
    instances: dict[str, Instance] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    by_started_by: dict[str, dict[str, Task]] = field(default_factory=dict)
    unplaced: list[Unplaced] = field(default_factory=list)
    due: int = 0  # of the next attempt to place them
    tokens: dict[str, TokenUse] = field(default_factory=dict)
    running: int = 0
    pending: int = 0
    reserved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DIMENSIONS, 0))
    peak: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DIMENSIONS, 0))


Step = Callable[[Sequence["Task"], float], None]
"""What an appointment does to tasks, at what time."""
