"""The state of one account in one Region, and how requests find things in it."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from ecs_simulator.agenda import Agenda
from ecs_simulator.agents import Agents
from ecs_simulator.containers import SimulatedContainers
from ecs_simulator.errors import EcsError, client_error, invalid_parameter
from ecs_simulator.faults import Dice
from ecs_simulator.fields import Request, text
from ecs_simulator.names import Names, last_segment
from ecs_simulator.options import Options
from ecs_simulator.records import (
    CapacityProvider,
    Cluster,
    Instance,
    Seen,
    Task,
    TaskDefinition,
)
from ecs_simulator.throttling import Throttle


class Region:
    """Everything that operations read and change; `tasks_ever` keeps each task for the record,
    unless `witnessed`: then whoever is told of each end keeps what it needs.
    """

    def __init__(
        self, options: Options, now: float, seed: int, containers: SimulatedContainers
    ) -> None:
        self.options = options
        self.names = Names(options.account, options.region)
        self.rng = Random(seed)
        self.containers = containers
        self.agenda = Agenda(now)
        self.agents = Agents(options, self.agenda)
        self.dice = Dice(options.faults, seed, now)
        self.read_lag_s = 0.0  # how old what the current request reads may be
        self.throttle = Throttle(options.rates if options.throttled else {}, now)
        self.clusters: dict[str, Cluster] = {}
        self.families: dict[str, list[TaskDefinition]] = {}
        self.definitions: dict[str, TaskDefinition] = {}
        self.providers: dict[str, CapacityProvider] = {}
        self.tasks_ever: list[Task] = []
        self.tasks_started = 0
        self.witnessed = False
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._number = 0

    @property
    def now(self) -> float:
        """The time up to which everything has been worked off."""
        return self.agenda.clock

    @property
    def stale_reads(self) -> bool:
        """Whether reads can be stale at all, so that what was read has to be kept."""
        return self.dice.options.stale_read.probability > 0

    def read(self, subject: Task | Instance, fresh: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The shape of a subject: a fresh one, or what was last read if that is stale enough.

        A replica that lags shows what some earlier read has shown, never what nobody has seen.
        """
        if not self.stale_reads:
            return fresh()
        oldest = self.now - self.dice.options.stale_s
        seen = subject.seen = tuple(one for one in subject.seen if one.last_at >= oldest)
        if self.read_lag_s and seen:
            as_of = self.now - self.read_lag_s
            known = [one for one in seen if one.first_at <= as_of]
            return dict(known[-1].shape if known else seen[0].shape)
        shape = fresh()
        if seen and seen[-1].shape == shape:
            seen[-1].last_at = self.now
        else:
            subject.seen = (*seen, Seen(self.now, self.now, shape))
        return dict(shape)

    def next_number(self) -> int:
        """A running number: orders whatever is listed, and makes page tokens."""
        self._number += 1
        return self._number

    # Finding -------------------------------------------------------------------------------------

    def cluster(self, request: Request) -> Cluster:
        """The ACTIVE cluster that the request names (`default` if none)."""
        name = last_segment(text(request, "cluster") or "default")
        found = self.clusters.get(name)
        if found is None:
            raise EcsError("ClusterNotFoundException", "Cluster not found.")
        if found.status != "ACTIVE":
            raise EcsError("ClusterNotFoundException", "The referenced cluster was inactive.")
        return found

    def task_definition(self, name: str) -> TaskDefinition | None:
        """A revision by ARN or `family:revision`; of a bare family the latest ACTIVE one."""
        name = last_segment(name)
        family, _, revision = name.partition(":")
        revisions = self.families.get(family, [])
        if not revision:
            active = [one for one in revisions if one.status == "ACTIVE"]
            return active[-1] if active else None
        if not revision.isdigit():
            raise invalid_parameter(f"Invalid revision number. Number: {revision}")
        return self.definitions.get(f"{family}:{int(revision)}")

    def launchable(self, name: str) -> TaskDefinition:
        """The task definition of a launch: it must exist and be ACTIVE."""
        definition = self.task_definition(name)
        if definition is None:
            raise client_error("TaskDefinition not found.")
        if definition.status != "ACTIVE":
            raise client_error("TaskDefinition is inactive")
        return definition


def find_instance(cluster: Cluster, name: str) -> Instance | None:
    """A container instance by id or ARN; an ARN of another cluster finds nothing."""
    found = cluster.instances.get(last_segment(name))
    if found is not None and name.startswith("arn:") and name != found.arn:
        return None
    return found


def find_task(cluster: Cluster, name: str) -> Task | None:
    """A task by id or ARN, while it can be described; an ARN of another cluster finds nothing."""
    found = cluster.tasks.get(last_segment(name))
    if found is not None and name.startswith("arn:") and name != found.arn:
        return None
    return found


def failure(arn: str, reason: str, detail: str | None = None) -> dict[str, str]:
    """One entry of `failures`."""
    entry = {"arn": arn, "reason": reason}
    return entry if detail is None else {**entry, "detail": detail}
