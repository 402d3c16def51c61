"""The resource arithmetic of container instances: what a launch needs, whether it fits, taking and
giving back."""

from ecs_simulator.errors import InvariantBroken
from ecs_simulator.records import Demand, Instance, Launch, Task

MAX_RESERVED_PORTS = 100
"""Host ports reserved at a time, the agent's own included (API model, PortMapping.hostPort)."""

ALL_GPUS = -1
"""A container's GPU requirement `ALL`: every GPU of the instance."""


def missing_resource(instance: Instance, demand: Demand) -> str | None:
    """The failure reason of the first resource that falls short, None when the demand fits.

    Order: CPU, GPU, memory, ports (developer guide, task placement), then network interfaces.
    """
    if demand.cpu_units > instance.free_cpu:
        return "RESOURCE:CPU"
    if demand.gpus and not _gpus_fit(instance, demand.gpus):
        return "RESOURCE:GPU"
    if demand.memory_mib > instance.free_memory:
        return "RESOURCE:MEMORY"
    if (demand.ports_tcp or demand.ports_udp) and missing_ports(instance, demand):
        return "RESOURCE:PORTS"
    if demand.enis > instance.free_enis:
        return "RESOURCE:ENI"
    return None


def _gpus_fit(instance: Instance, gpus: int) -> bool:
    if gpus == ALL_GPUS:
        return len(instance.free_gpus) == len(instance.gpu_ids) > 0
    return gpus <= len(instance.free_gpus)


def refusal(instance: Instance, launch: Launch, zones: frozenset[str]) -> str | None:
    """Why this instance cannot take the launch, as a reason for `failures`; None when it can.

    `zones` are the Availability Zones of the launch's subnets; empty means any.
    """
    if not instance.agent_connected:
        return "AGENT"
    attributes = instance.attributes
    for name, value in launch.requires:
        if name not in attributes or (value is not None and attributes[name] != value):
            return "ATTRIBUTE"
    if zones and instance.zone not in zones:
        return "LOCATION"
    return missing_resource(instance, launch.demand)


def reserve(task: Task, instance: Instance) -> None:
    """Count the task's demand on the instance; InvariantBroken when that over-commits it."""
    demand = task.launch.demand
    instance.free_cpu -= demand.cpu_units
    instance.free_memory -= demand.memory_mib
    instance.free_enis -= demand.enis
    if instance.free_cpu < 0 or instance.free_memory < 0 or instance.free_enis < 0:
        raise InvariantBroken(f"{instance.arn} over-committed by {task.arn}")
    if demand.gpus:
        count = len(instance.gpu_ids) if demand.gpus == ALL_GPUS else demand.gpus
        if count > len(instance.free_gpus):
            raise InvariantBroken(f"{instance.arn} GPU over-committed by {task.arn}")
        task.gpu_ids = tuple(instance.free_gpus[:count])
        del instance.free_gpus[:count]
    if demand.ports_tcp or demand.ports_udp:
        if missing_ports(instance, demand):
            raise InvariantBroken(f"{instance.arn} host port taken twice by {task.arn}")
        instance.ports_tcp |= demand.ports_tcp
        instance.ports_udp |= demand.ports_udp
    task.holds = True
    instance.running += 1
    instance.version += 1
    _reserved(task)


def missing_ports(instance: Instance, demand: Demand) -> bool:
    """Whether a host port of the demand is taken, or there would be more than an instance has."""
    taken = len(instance.ports_tcp) + len(instance.ports_udp)
    return (
        taken + len(demand.ports_tcp) + len(demand.ports_udp) > MAX_RESERVED_PORTS
        or not demand.ports_tcp.isdisjoint(instance.ports_tcp)
        or not demand.ports_udp.isdisjoint(instance.ports_udp)
    )


def release(task: Task) -> None:
    """Give the task's demand back; once for each task, whatever happens to it afterwards."""
    instance = task.instance
    if instance is None or not task.holds:
        return
    demand = task.launch.demand
    task.holds = False
    instance.free_cpu += demand.cpu_units
    instance.free_memory += demand.memory_mib
    instance.free_enis += demand.enis
    if task.gpu_ids:
        instance.free_gpus.extend(task.gpu_ids)
        instance.free_gpus.sort()
    if demand.ports_tcp or demand.ports_udp:
        instance.ports_tcp -= demand.ports_tcp
        instance.ports_udp -= demand.ports_udp
    instance.running -= 1
    instance.version += 1
    reserved = task.cluster.reserved
    reserved["CPU"] -= demand.cpu_units
    reserved["MEMORY"] -= demand.memory_mib
    if task.gpu_ids:
        reserved["GPU"] -= len(task.gpu_ids)
    if demand.enis:
        reserved["ENI"] -= demand.enis


def _reserved(task: Task) -> None:
    """Count what the task holds, and how high that has ever been."""
    demand, reserved, peak = task.launch.demand, task.cluster.reserved, task.cluster.peak
    reserved["CPU"] += demand.cpu_units
    reserved["MEMORY"] += demand.memory_mib
    # max() would take three times as long
    if reserved["CPU"] > peak["CPU"]:  # noqa: PLR1730
        peak["CPU"] = reserved["CPU"]
    if reserved["MEMORY"] > peak["MEMORY"]:  # noqa: PLR1730
        peak["MEMORY"] = reserved["MEMORY"]
    if task.gpu_ids:
        reserved["GPU"] += len(task.gpu_ids)
        peak["GPU"] = max(peak["GPU"], reserved["GPU"])
    if demand.enis:
        reserved["ENI"] += demand.enis
        peak["ENI"] = max(peak["ENI"], reserved["ENI"])


def host_has_room(instance: Instance, task: Task) -> bool:
    """Whether the host itself has room, counting stopping tasks whose containers have not ended.

    Agents since 1.74.1 let a task wait in PENDING only for what it needs (amazon-ecs-agent#3925).
    """
    demand = task.launch.demand
    cpu, memory, enis = demand.cpu_units, demand.memory_mib, demand.enis
    for other in instance.tasks.values():
        theirs = other.launch.demand
        if other is task or not other.on_host:
            continue
        cpu += theirs.cpu_units
        memory += theirs.memory_mib
        enis += theirs.enis
        if not set(task.gpu_ids).isdisjoint(other.gpu_ids):
            return False
        if not demand.ports_tcp.isdisjoint(theirs.ports_tcp):
            return False
        if not demand.ports_udp.isdisjoint(theirs.ports_udp):
            return False
    fits = cpu <= instance.type.cpu_units and memory <= instance.type.memory_mib
    return fits and enis <= instance.type.awsvpc_tasks
