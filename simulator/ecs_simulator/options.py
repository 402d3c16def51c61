"""Everything about the simulated ECS that can be chosen: quotas, delays, and AWS's undocumented
points.

Defaults follow AWS's documents where they say something; each field says where its figure comes
from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ecs_simulator.capabilities import AGENT_CAPABILITIES
from ecs_simulator.faults import FaultOptions


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `burst` requests at once, refilled at `per_second`."""

    burst: float
    per_second: float


PUBLISHED_RATES: Mapping[str, Bucket] = {
    "Cluster resource modify": Bucket(100, 40),
    "Cluster resource read": Bucket(100, 20),
    "Cluster read": Bucket(50, 20),
    "Task definition modify": Bucket(20, 1),
    "Task definition read": Bucket(50, 20),
    "Capacity provider read": Bucket(50, 20),
    "Capacity provider modify": Bucket(10, 1),
    "Agent modify": Bucket(200, 120),
    "Tag modify": Bucket(20, 10),
    "Tag read": Bucket(50, 20),
}
"""Burst and sustained rates per account and Region (API Reference, "Request throttling")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """How long a task takes to get through its states, in seconds. AWS publishes none of these
    figures.

    A state whose duration is 0 is skipped, as a client that polls would not see it.
    """

    provisioning_s: float = 3.0
    """PROVISIONING: attaching the network interface; awsvpc tasks only."""
    accept_s: float = 0.3
    """PENDING: until the agent has heard of the task and begins to pull."""
    image_pull_s: float = 5.0
    """PENDING: pulling an image that this instance has not run before."""
    cached_pull_s: float = 0.2
    """PENDING: making sure that a cached image is current."""
    activating_s: float = 0.0
    """ACTIVATING: service discovery and load balancers; batch tasks have neither."""
    sigterm_s: float = 1.0
    """RUNNING after StopTask: from SIGTERM until the process ends; cut off by the stop timeout."""
    stop_timeout_s: float = 30.0
    """SIGKILL after this long; a container definition's stopTimeout overrides it (agent default: 30
    s)."""
    deactivating_s: float = 0.0
    """DEACTIVATING: deregistering from load balancers."""
    stopping_s: float = 0.5
    """STOPPING: until the agent has reported that every container has ended."""
    deprovisioning_s: float = 2.0
    """DEPROVISIONING: detaching the network interface; awsvpc tasks only."""
    stopped_visible_s: float = 3600.0
    """How long a STOPPED task can be listed and described ("at least one hour", API model)."""
    placement_retry_s: float = 5.0
    """How often ECS tries again to place tasks that wait in PROVISIONING for capacity."""
    provisioning_timeout_s: float = 1800.0
    """A task that has waited in PROVISIONING for this long is stopped (TaskFailedToStart)."""
    run_s_mean: float = 60.0
    """Mean run time of a container whose command says nothing about it."""
    run_s_distribution: Literal["exponential", "uniform", "constant"] = "exponential"
    """How such run times spread: uniform is between 0.5 and 1.5 of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undocumented:
    """Behaviours on which AWS's documents are silent; a scheduler must be right under every
    setting."""

    duplicate_instances: Literal["two tasks", "refused"] = "two tasks"
    """StartTask naming one container instance twice."""
    start_on_draining: Literal["accepted", "refused"] = "accepted"
    """StartTask on a DRAINING instance; refused gives a failure with reason INACTIVE."""
    start_checks_member_of: bool = False
    """Whether StartTask enforces the task definition's memberOf constraints."""
    started_by_lists_stopped: bool = False
    """Whether ListTasks(startedBy) also returns tasks whose desired status is STOPPED."""
    remaining_gpus: Literal["free ids", "all ids"] = "free ids"
    """What GPU in remainingResources lists."""
    missing_after_launch_s: float = 0.0
    """For how long after a launch DescribeTasks answers MISSING and ListTasks omits the task."""
    run_task_failures_max: int = 100
    """At most this many `failures` in one RunTask answer, one per rejected container instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One account in one Region."""

    account: str = "123456789012"
    region: str = "us-east-1"
    throttled: bool = True
    """False: requests are never throttled, whatever `rates` says."""
    rates: Mapping[str, Bucket] = field(default_factory=lambda: PUBLISHED_RATES)
    """Token buckets by category; a category that is left out is not throttled."""
    lifecycle: Lifecycle = Lifecycle()
    undocumented: Undocumented = Undocumented()
    faults: FaultOptions = field(default_factory=FaultOptions)
    """What goes wrong on purpose."""
    spot_draining: bool = False
    """Agents drain on a Spot notice (ECS_ENABLE_SPOT_INSTANCE_DRAINING; off by default)."""
    page_size_max: int = 100
    """Items per page of the List operations, whatever maxResults asks for (AWS: 100)."""
    latency_s: float = 0.0
    """What every answer takes, in process and over HTTP; the direct path takes no time."""
    agent_capabilities: tuple[str, ...] = AGENT_CAPABILITIES
    """Attributes without a value on every instance of a fleet. Real agents register these sixty or
    so; FEW_CAPABILITIES makes answers small, which matters to a simulation that describes thousands
    of instances through botocore."""
    subnets: Mapping[str, str] = field(default_factory=dict)
    """Subnet id → Availability Zone. Empty: every subnet is known and reaches every zone."""
    provisioning_quota: int = 300
    """Tasks in PROVISIONING per cluster for Auto Scaling group capacity providers (2022 quota
    table)."""
    container_instances_quota: int = 5000
    """Container instances a cluster takes by RegisterContainerInstance (2022 quota table). A fleet
    that is given to the simulator may be larger."""
    history_length: int = 1000
    """How many of the latest changes InvariantBroken can show."""
