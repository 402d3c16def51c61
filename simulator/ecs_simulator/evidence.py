"""What happened, for whoever checks a scheduler: every task ever started, every call, peaks; kept
for ever, unless there is a witness."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecs_simulator.names import InstanceArn, TaskArn
from ecs_simulator.records import STATUS_NAMES, Task
from ecs_simulator.region import Region


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task as ECS knows it; times are seconds since the epoch, None where not reached.

    `exit_codes` has one entry for each container, None for one that never ran; it is empty until
    the task ends. `number` rises with the order of starting.
    """

    arn: TaskArn
    cluster: str
    started_by: str | None
    group: str
    family: str
    instance_arn: InstanceArn | None
    last_status: str
    created_at: float
    started_at: float | None
    stopping_at: float | None
    stopped_at: float | None
    exit_codes: tuple[int | None, ...]
    stop_code: str | None
    stopped_reason: str | None
    cpu_units: int
    memory_mib: int
    gpus: int
    number: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Calls by operation, throttled calls by category, faults by kind, and the peak of what was
    reserved by cluster and dimension."""

    calls: Mapping[str, int]
    throttled: Mapping[str, int]
    faults: Mapping[str, int]
    peak_reserved: Mapping[str, Mapping[str, int]]
    tasks_started: int


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Units of one dimension: what is registered (ACTIVE and DRAINING instances) and what of it is
    reserved."""

    reserved: int
    registered: int


def record_of(task: Task) -> TaskRecord:
    """The record of one task."""
    launch, instance = task.launch, task.instance
    return TaskRecord(
        arn=task.arn,
        cluster=task.cluster.name,
        started_by=launch.started_by,
        group=launch.group,
        family=launch.definition.family,
        instance_arn=instance.arn if instance is not None else None,
        last_status=STATUS_NAMES[task.status],
        created_at=task.created_at,
        started_at=task.started_at,
        stopping_at=task.stopping_at,
        stopped_at=task.stopped_at,
        exit_codes=task.exit_codes or (),
        stop_code=task.stop_code,
        stopped_reason=task.stopped_reason,
        cpu_units=launch.demand.cpu_units,
        memory_mib=launch.demand.memory_mib,
        gpus=len(task.gpu_ids),
        number=task.number,
    )


def statistics_of(region: Region) -> Statistics:
    """The counts so far."""
    return Statistics(
        calls=dict(region.calls),
        throttled=dict(region.throttled),
        faults=dict(region.troubles),
        peak_reserved={one.name: dict(one.peak) for one in region.clusters.values()},
        tasks_started=region.tasks_started,
    )


def utilisation_of(region: Region, cluster: str) -> Mapping[str, Utilisation]:
    """By dimension (CPU, MEMORY, GPU, ENI) of one cluster."""
    found = region.cluster({"cluster": cluster})
    present = [one.type for one in found.instances.values() if one.status in ("ACTIVE", "DRAINING")]
    registered = {
        "CPU": sum(one.cpu_units for one in present),
        "MEMORY": sum(one.memory_mib for one in present),
        "GPU": sum(one.gpus for one in present),
        "ENI": sum(one.awsvpc_tasks for one in present),
    }
    return {name: Utilisation(found.reserved[name], total) for name, total in registered.items()}
