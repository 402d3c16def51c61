"""What must hold of the simulated Region at any time: counts are recounts, and nothing is
over-committed."""

from collections.abc import Iterator

from ecs_simulator.errors import InvariantBroken
from ecs_simulator.records import (
    AGENT_PORTS,
    PENDING,
    RUNNING,
    STATUS_NAMES,
    STOPPED,
    Cluster,
    Instance,
    Task,
)
from ecs_simulator.region import Region


def verify(region: Region) -> None:
    """Recount everything; InvariantBroken names each contradiction and shows the history."""
    broken = [line for cluster in region.clusters.values() for line in _of_cluster(cluster)]
    known = [task for cluster in region.clusters.values() for task in cluster.tasks.values()]
    tasks = known if region.witnessed else region.tasks_ever
    broken += [line for task in tasks for line in _of_task(task)]
    if len({task.arn for task in tasks}) < len(tasks):
        broken.append("two tasks have the same ARN")
    alive = sum(task.status < STOPPED for task in known)
    if region.tasks_started != region.agents.tasks_ended + alive:
        broken.append(
            f"{region.tasks_started} tasks were started, {region.agents.tasks_ended} have ended, "
            f"and {alive} are alive"
        )
    if broken:
        raise InvariantBroken("\n".join(broken[:20]), region.agents.history.story())


def verify_ended(region: Region, task: Task) -> None:
    """What must hold of a task for good; for those that are not kept until `verify`."""
    if broken := list(_of_task(task)):
        raise InvariantBroken("\n".join(broken), region.agents.history.story())


def _of_cluster(cluster: Cluster) -> Iterator[str]:
    homes: dict[str, Instance] = {}
    for instance in cluster.instances.values():
        yield from _of_instance(instance)
        for task in instance.tasks.values():
            if task.id in homes:
                yield f"{task.arn} is on {homes[task.id].arn} and on {instance.arn}"
            homes[task.id] = instance
            if task.instance is not instance:
                yield f"{task.arn} is listed on {instance.arn}, but says otherwise"
    counts = (
        ("runningTasksCount", cluster.running, RUNNING),
        ("pendingTasksCount", cluster.pending, PENDING),
    )
    for name, counted, status in counts:
        recount = sum(task.status == status for task in cluster.tasks.values())
        if counted != recount:
            yield f"{cluster.arn}: {name} is {counted}, recount {recount}"
    held = [task for one in cluster.instances.values() for task in one.tasks.values() if task.holds]
    recounts = {
        "CPU": sum(task.launch.demand.cpu_units for task in held),
        "MEMORY": sum(task.launch.demand.memory_mib for task in held),
        "GPU": sum(len(task.gpu_ids) for task in held),
        "ENI": sum(task.launch.demand.enis for task in held),
    }
    if recounts != cluster.reserved:
        yield f"{cluster.arn}: reserved {cluster.reserved}, recount {recounts}"


def _of_instance(instance: Instance) -> Iterator[str]:
    kind, held = instance.type, [task for task in instance.tasks.values() if task.holds]
    demands = [task.launch.demand for task in held]
    for name, total, free, used in (
        ("CPU", kind.cpu_units, instance.free_cpu, sum(one.cpu_units for one in demands)),
        ("MEMORY", kind.memory_mib, instance.free_memory, sum(one.memory_mib for one in demands)),
        ("ENI", kind.awsvpc_tasks, instance.free_enis, sum(one.enis for one in demands)),
    ):
        if free < 0 or used > total:
            yield f"{instance.arn}: {name} over-committed: {used} of {total}, {free} free"
        if used + free != total:
            yield f"{instance.arn}: {name} not conserved: {used} used + {free} free, {total} in all"
    gpus = [gpu for task in held for gpu in task.gpu_ids]
    if sorted([*gpus, *instance.free_gpus]) != sorted(instance.gpu_ids):
        yield f"{instance.arn}: GPUs not conserved: {gpus} used, {instance.free_gpus} free"
    yield from _ports(instance, held)
    if instance.running != sum(task.wanted for task in instance.tasks.values()):
        yield f"{instance.arn}: runningTasksCount is {instance.running}"
    if instance.pending != sum(task.status == PENDING for task in instance.tasks.values()):
        yield f"{instance.arn}: pendingTasksCount is {instance.pending}"
    yield from _host(instance)


def _ports(instance: Instance, held: list[Task]) -> Iterator[str]:
    tcp = [port for task in held for port in task.launch.demand.ports_tcp]
    udp = [port for task in held for port in task.launch.demand.ports_udp]
    if len(set(tcp)) < len(tcp) or len(set(udp)) < len(udp):
        yield f"{instance.arn}: a host port is taken twice"
    if instance.ports_tcp != AGENT_PORTS | set(tcp) or instance.ports_udp != set(udp):
        yield f"{instance.arn}: reserved ports differ from those of its tasks"


def _host(instance: Instance) -> Iterator[str]:
    """The host itself: containers that have not ended never need more than there is."""
    present = [task.launch.demand for task in instance.tasks.values() if task.on_host]
    if sum(one.cpu_units for one in present) > instance.type.cpu_units:
        yield f"{instance.arn}: the host runs more CPU than it has"
    if sum(one.memory_mib for one in present) > instance.type.memory_mib:
        yield f"{instance.arn}: the host runs more memory than it has"


def _of_task(task: Task) -> Iterator[str]:
    times = [
        at
        for at in (
            task.created_at,
            task.pull_started_at,
            task.started_at,
            task.execution_stopped_at,
            task.stopped_at,
        )
        if at is not None
    ]
    if times != sorted(times):
        yield f"{task.arn}: its times are out of order: {times}"
    status = STATUS_NAMES[task.status]
    if task.status == STOPPED and (task.wanted or task.stopped_at is None or task.holds):
        yield f"{task.arn}: {status}, yet wanted, without an end or holding resources"
    if task.holds and (task.instance is None or not task.wanted):
        yield f"{task.arn}: holds resources while {status}"
    if task.exit_codes is not None and task.started_at is None:
        yield f"{task.arn}: has exit codes but never ran"
