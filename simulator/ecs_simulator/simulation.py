"""SimulatedEcs: one account in one Region, driven by a clock that it is given.

Nothing runs in the background: before every operation all tasks are brought up to now().
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic_core import to_json

from ecs_simulator.autoscaling import AutoScalingGroup, Scaler
from ecs_simulator.containers import SimulatedContainers
from ecs_simulator.errors import ConnectionCut, EcsError, server_error
from ecs_simulator.events import Events
from ecs_simulator.evidence import (
    Statistics,
    TaskRecord,
    Utilisation,
    record_of,
    statistics_of,
    utilisation_of,
)
from ecs_simulator.faults import CALM, FaultOptions, Mishap, Trouble
from ecs_simulator.fleet import Fleet, InstanceGroup
from ecs_simulator.hazards import Hazards
from ecs_simulator.invariants import verify, verify_ended
from ecs_simulator.names import InstanceArn
from ecs_simulator.operations import ENCODED, OPERATIONS
from ecs_simulator.operations.clusters import create_cluster
from ecs_simulator.operations.instances import add_instance
from ecs_simulator.options import Options
from ecs_simulator.queues import Queues, SimulatedQueue
from ecs_simulator.records import Cluster, Instance, Task
from ecs_simulator.region import Region
from ecs_simulator.throttling import CATEGORIES

T = TypeVar("T")
Witness = Callable[[TaskRecord], None]


class SimulatedEcs:
    """The simulated control plane of one account and Region.

    `now` gives seconds since the epoch; `seed` decides every draw, so equal seeds and equal calls
    give equal runs. A `witness` is told of each task that has ended; the simulator then
    forgets it as ECS does, an hour later. Without one every task is kept, about a kilobyte each.
    """

    def __init__(
        self,
        options: Options,
        now: Callable[[], float],
        seed: int = 0,
        containers: SimulatedContainers | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.options = options
        self._now = now
        self.region = Region(self.options, now(), seed, containers or SimulatedContainers())
        self.hazards = Hazards(self.region)
        self.hazards.plan(options.faults)
        self.queues = Queues(options.region, options.account)
        self.events = Events(self.region)
        self._witness = witness
        if witness is not None:
            self.region.witnessed = True
            self.region.agents.task_ended = self._ended

    def _ended(self, task: Task) -> None:
        verify_ended(self.region, task)
        assert self._witness is not None
        self._witness(record_of(task))

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request as ECS would; EcsError carries AWS's exception name, message and
        status.

        Request and answer are the JSON of the wire protocol, with times as seconds since the epoch.
        """
        return self._worked_off(operation, self.mishap(operation), partial(self._plain, request))

    def call_encoded(
        self, operation: str, request: Mapping[str, Any], mishap: Mishap = CALM
    ) -> bytes:
        """The same answer as `call`, as compact JSON; its fate was drawn before."""
        return self._worked_off(operation, mishap, partial(self._encoded, request))

    def mishap(self, operation: str) -> Mishap:
        """Draw the fate of the next request."""
        return self.region.dice.mishap(operation, self._now())

    def _plain(self, request: Mapping[str, Any], operation: str) -> dict[str, Any]:
        return OPERATIONS[operation](self.region, request)

    def _encoded(self, request: Mapping[str, Any], operation: str) -> bytes:
        encoded = ENCODED.get(operation)
        if encoded is not None and not self.region.stale_reads:
            return encoded(self.region, request)
        return to_json(self._plain(request, operation))

    def _worked_off(self, operation: str, mishap: Mishap, work: Callable[[str], T]) -> T:
        """Do the work of one request, and let befall it what was drawn."""
        region, trouble = self.region, mishap.trouble
        self.advance()
        self._admit(operation, trouble)
        if mishap is CALM:
            return work(operation)
        if trouble is not Trouble.NONE:
            region.troubles[trouble.value] += 1
        if trouble is Trouble.ERROR_BEFORE:
            raise server_error()
        region.read_lag_s = mishap.read_lag_s
        try:
            answer = work(operation)
        except EcsError as error:
            if trouble is Trouble.LOST_REPLY:
                raise ConnectionCut("the reply, a refusal, was lost") from error
            raise
        finally:
            region.read_lag_s = 0.0
        if trouble is Trouble.ERROR_AFTER:
            raise server_error()
        if trouble is Trouble.LOST_REPLY:
            raise ConnectionCut("the reply was lost")
        return answer

    def _admit(self, operation: str, trouble: Trouble) -> None:
        region = self.region
        region.calls[operation] += 1
        if operation not in OPERATIONS:
            raise EcsError(
                "InvalidAction", f"Could not find operation {operation} for version 2014-11-13"
            )
        admitted = region.throttle.admits(operation, region.now)
        if not admitted or trouble is Trouble.THROTTLED:
            region.throttled[CATEGORIES.get(operation, operation)] += 1
            raise EcsError("ThrottlingException", "Rate exceeded")

    def add_instances(self, cluster: str, fleet: Fleet) -> tuple[InstanceArn, ...]:
        """Register a fleet in a cluster, which is created if it is missing; the ARNs in the fleet's
        order."""
        self.advance()
        if cluster not in self.region.clusters:
            create_cluster(self.region, {"clusterName": cluster})
        found = self.region.cluster({"cluster": cluster})
        return tuple(
            self._add(found, group, index).arn for group in fleet for index in range(group.count)
        )

    def _add(self, cluster: Cluster, group: InstanceGroup, index: int) -> Instance:
        region = self.region
        zone = group.availability_zone or f"{self.options.region}{'abc'[index % 3]}"
        attributes: dict[str, str | None] = dict.fromkeys(self.options.agent_capabilities)
        attributes["ecs.availability-zone"] = zone
        if group.trunking:
            attributes["ecs.awsvpc-trunk-id"] = f"eni-trunk-{region.next_number():08x}"
        attributes.update(group.attributes)
        instance = add_instance(region, cluster, group.sized(), attributes)
        instance.capacity_provider = group.capacity_provider
        instance.spot = group.spot
        instance.agent_connected = group.agent_connected
        return instance

    def send_events_to(self, queue_name: str) -> SimulatedQueue:
        """Deliver every EventBridge event from now on into a simulated SQS queue."""
        self.advance()
        queue = self.queues.queue(queue_name)
        self.events.deliver_to(queue)
        return queue

    def call_sqs(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one SQS request; a ReceiveMessage that finds nothing answers at once."""
        self.advance()
        return self.queues.call(operation, request, self.region.now)

    def add_auto_scaling_group(self, group: AutoScalingGroup) -> None:
        """Put an Auto Scaling group behind the capacity providers that name it."""
        self.advance()
        Scaler(self.region, group, self._add).start()

    def set_agent_connected(self, cluster: str, instance_arn: str, connected: bool) -> None:
        """Disconnect or reconnect the agent of one instance."""
        self.advance()
        instance = self._instance(cluster, instance_arn)
        self.region.agents.set_connected(instance, connected, self.region.now)

    def kill_instance(self, cluster: str, instance_arn: str, noticed_after_s: float = 60.0) -> None:
        """The host is gone at once; ECS notices later and then stops its tasks."""
        self.advance()
        self.hazards.kill(self._instance(cluster, instance_arn), noticed_after_s)

    def interrupt_spot(self, cluster: str, instance_arn: str) -> None:
        """Give an instance its two-minute Spot notice."""
        self.advance()
        self.hazards.interrupt(self._instance(cluster, instance_arn))

    def is_spot(self, cluster: str, instance_arn: str) -> bool:
        """Whether an instance is Spot capacity."""
        return self._instance(cluster, instance_arn).spot

    def set_faults(self, faults: FaultOptions) -> None:
        """From now on let other things go wrong; schedules still count from the start."""
        self.advance()
        self.region.dice.load(faults)
        self.hazards.plan(faults)

    def _instance(self, cluster: str, instance_arn: str) -> Instance:
        found = self.region.cluster({"cluster": cluster})
        return found.instances[instance_arn.rpartition("/")[2]]

    def advance(self) -> None:
        """Bring everything up to now()."""
        region = self.region
        region.agenda.advance(self._now())
        region.agents.forget_until(region.now)

    def next_event_at(self) -> float | None:
        """When something will happen next, seconds since the epoch; None when nothing will."""
        return self.region.agenda.next_at()

    @property
    def statistics(self) -> Statistics:
        """What was called, throttled, started, and the peaks of what was reserved."""
        return statistics_of(self.region)

    def utilisation(self, cluster: str) -> Mapping[str, Utilisation]:
        """Reserved and registered units by dimension (CPU, MEMORY, GPU, ENI)."""
        return utilisation_of(self.region, cluster)

    def tasks(self) -> tuple[TaskRecord, ...]:
        """Every task ever started, in the order of starting; where there is a witness, only those
        that can still be described.
        """
        clusters = self.region.clusters.values()
        known = [task for cluster in clusters for task in cluster.tasks.values()]
        kept = known if self.region.witnessed else self.region.tasks_ever
        return tuple(record_of(task) for task in kept)

    def verify(self) -> None:
        """Recount everything; InvariantBroken, with history, when the simulator contradicts
        itself."""
        verify(self.region)
