"""Auto Scaling groups behind capacity providers: managed scaling out after a delay, and in when
idle.

Once a minute, as the CapacityProviderReservation metric is: M is the number of instances that
running and waiting tasks need, and the group is steered to M · 100 / targetCapacity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs_simulator.agenda import Appointment
from ecs_simulator.errors import FleetError
from ecs_simulator.fleet import (
    MOST_INSTANCES,
    InstanceGroup,
    Place,
    file_text,
    group_from,
    toml_tables,
)
from ecs_simulator.operations.instances import deregister
from ecs_simulator.records import STOPPED, CapacityProvider, Cluster, Instance, Unplaced
from ecs_simulator.region import Region

AddInstance = Callable[[Cluster, InstanceGroup, int], Instance]

PERIOD_S = 60.0
DEFAULT_MAXIMUM_STEP = 10_000


@dataclass(frozen=True, kw_only=True)
class AutoScalingGroup:
    """A group that a capacity provider names by `autoScalingGroupArn` (or by the bare name).

    `template` says what each instance is; its count is ignored. A new instance is ACTIVE `launch_s`
    after it was asked for; an instance without tasks for `idle_s` is taken away, down to
    `min_size`.
    """

    name: str
    template: InstanceGroup
    max_size: int
    min_size: int = 0
    launch_s: float = 90.0
    idle_s: float = 900.0

    def __post_init__(self) -> None:
        """Refuse sizes and times that cannot be."""
        for name in ("min_size", "launch_s", "idle_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise FleetError(f"{name}: expected a number from 0 on, got {getattr(self, name)}")
        if self.max_size > MOST_INSTANCES:
            raise FleetError(f"max_size: {self.max_size} is more than {MOST_INSTANCES}")
        if self.min_size > self.max_size:
            raise FleetError(f"max_size: {self.max_size} is less than min_size {self.min_size}")


_OWN_FIELDS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "max_size": (int,),
    "min_size": (int,),
    "launch_s": (int, float),
    "idle_s": (int, float),
}


def load_auto_scaling_groups(path: Path) -> tuple[AutoScalingGroup, ...]:
    """The [[auto_scaling_groups]] tables of a TOML fleet file, of which there may be none.

    Each has the fields of an AutoScalingGroup beside those of its instances. Raises FleetError
    naming the line and the field.
    """
    if path.suffix != ".toml":
        return ()
    tables = toml_tables(file_text(path), path.name, "auto_scaling_groups")
    groups: dict[str, AutoScalingGroup] = {}
    for table, place in tables:
        group = _group_from(table, place)
        if group.name in groups:
            raise FleetError(f"{place('name')}: name: there is a group {group.name!r} already")
        groups[group.name] = group
    return tuple(groups.values())


def _group_from(table: Mapping[str, Any], place: Place) -> AutoScalingGroup:
    own = {name: value for name, value in table.items() if name in _OWN_FIELDS}
    for name, value in own.items():
        kinds = _OWN_FIELDS[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise FleetError(f"{place(name)}: {name}: expected {expected}, got {value!r}")
    missing = [name for name in ("name", "max_size") if name not in own]
    if missing:
        raise FleetError(f"{place('')}: {missing[0]}: is missing")
    rest = {name: value for name, value in table.items() if name not in _OWN_FIELDS}
    template = group_from(rest, place)
    try:
        return AutoScalingGroup(**own, template=template)
    except FleetError as error:
        field_name = str(error).partition(":")[0]
        raise FleetError(f"{place(field_name)}: {error}") from error


class Scaler:
    """Steers one group for the cluster whose capacity provider names it."""

    due = 0

    def __init__(self, region: Region, group: AutoScalingGroup, add: AddInstance) -> None:
        self._region = region
        self._group = group
        self._add = add
        self._launching = 0
        self._launched = 0
        self._idle_since: dict[str, float] = {}

    def start(self) -> None:
        """Begin to look once a minute."""
        self._region.agenda.schedule(self._region.now, self._look, (self,))

    def _look(self, _: object, at: float) -> None:
        for provider in self._region.providers.values():
            arn = str(provider.document.get("autoScalingGroupArn"))
            if arn.rpartition("/")[2] != self._group.name:
                continue
            for cluster in self._region.clusters.values():
                if provider.name in cluster.providers:
                    self._steer(cluster, provider, at)
        self._region.agenda.schedule(at + PERIOD_S, self._look, (self,))

    def _steer(self, cluster: Cluster, provider: CapacityProvider, at: float) -> None:
        scaling = provider.document.get("managedScaling") or {}
        present = [
            one
            for one in cluster.instances.values()
            if one.capacity_provider == provider.name and one.status in ("ACTIVE", "DRAINING")
        ]
        wanted = self._group.min_size
        if scaling.get("status") == "ENABLED":
            waiting = [
                one
                for one in cluster.unplaced
                if one.task.wanted and one.task.provider == provider.name
            ]
            busy = sum(_is_busy(one) for one in present)
            needed = busy + self._needed_for(waiting)
            target = int(scaling.get("targetCapacity", 100))
            wanted = max(wanted, -(-needed * 100 // target))
        wanted = min(wanted, self._group.max_size)
        short = wanted - len(present) - self._launching
        if short > 0:
            step = min(
                max(short, int(scaling.get("minimumScalingStepSize", 1))),
                int(scaling.get("maximumScalingStepSize", DEFAULT_MAXIMUM_STEP)),
                self._group.max_size - len(present) - self._launching,
            )
            self._launch(cluster, provider, step, at)
        self._scale_in(present, wanted, at)

    def _needed_for(self, waiting: list[Unplaced]) -> int:
        """How many instances of the template the waiting tasks fill, first fit."""
        kind = self._group.template.sized()
        bins: list[list[int]] = []
        for one in waiting:
            demand = one.task.launch.demand
            needs = (
                demand.cpu_units,
                demand.memory_mib,
                max(demand.gpus, 0) if demand.gpus >= 0 else kind.gpus,
                demand.enis,
            )
            size = (kind.cpu_units, kind.memory_mib, kind.gpus, kind.awsvpc_tasks)
            if any(need > most for need, most in zip(needs, size, strict=True)):
                continue  # no instance of this group will ever take it
            home = next(
                (free for free in bins if all(n <= f for n, f in zip(needs, free, strict=True))),
                None,
            )
            if home is None:
                home = list(size)
                bins.append(home)
            home[:] = [free - need for free, need in zip(home, needs, strict=True)]
        return len(bins)

    def _launch(self, cluster: Cluster, provider: CapacityProvider, count: int, at: float) -> None:
        self._launching += count
        self._region.agents.history.note(at, f"scale out by {count}", provider)

        def arrive(_: Appointment, __: float) -> None:
            self._launching -= count
            for _number in range(count):
                instance = self._add(cluster, self._group.template, self._launched)
                instance.capacity_provider = provider.name
                self._launched += 1

        self._region.agenda.schedule(at + self._group.launch_s, arrive, (Appointment(),))

    def _scale_in(self, present: list[Instance], wanted: int, at: float) -> None:
        spare = len(present) - wanted
        for instance in present:
            if _is_busy(instance):
                self._idle_since.pop(instance.id, None)
                continue
            since = self._idle_since.setdefault(instance.id, at)
            if spare > 0 and at - since >= self._group.idle_s:
                spare -= 1
                del self._idle_since[instance.id]
                deregister(self._region, instance, "Scaled in", "TerminationNotice")


def _is_busy(instance: Instance) -> bool:
    return any(task.status < STOPPED for task in instance.tasks.values())
