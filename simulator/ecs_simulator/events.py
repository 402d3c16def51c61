"""EventBridge: state changes of tasks and instances as events, delivered into simulated SQS queues.

At least once and possibly out of order; faults lose, double and delay events. `detail` is the
Describe shape with ISO times and `updatedAt`; `detail.version` is the resource's version.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ecs_simulator.agenda import Appointment
from ecs_simulator.faults import DETAIL_TYPES
from ecs_simulator.queues import SimulatedQueue
from ecs_simulator.records import Instance, Task
from ecs_simulator.region import Region
from ecs_simulator.shapes import fixed_shape, instance_shape, task_shape

TASK, INSTANCE, SPOT = DETAIL_TYPES
DELIVERY_S = 0.5
"""How long an undisturbed event takes ("near real time", developer guide)."""


class Events:
    """Turns changes into events, and brings them to every target."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._targets: list[SimulatedQueue] = []
        self.emitted = 0

    def deliver_to(self, queue: SimulatedQueue) -> None:
        """Add a target for every event from now on."""
        if not self._targets:
            agents = self._region.agents
            agents.task_changed = self._task_changed
            agents.instance_changed = self._instance_changed
            agents.spot_noticed = self._spot_noticed
        if queue not in self._targets:
            self._targets.append(queue)

    def _task_changed(self, task: Task, at: float) -> None:
        detail = {**task_shape(task, at), "updatedAt": at}
        self._emit(TASK, task.arn, detail, at)

    def _instance_changed(self, instance: Instance, at: float) -> None:
        all_gpus = self._region.options.undocumented.remaining_gpus == "all ids"
        shape = {**fixed_shape(instance), **instance_shape(instance, all_gpus, [])}
        detail = {**shape, "clusterArn": instance.cluster.arn, "updatedAt": at}
        self._emit(INSTANCE, instance.arn, detail, at)

    def _spot_noticed(self, instance: Instance, at: float) -> None:
        detail = {"instance-id": instance.ec2_id, "instance-action": "terminate"}
        zone = instance.zone
        self._emit(SPOT, f"arn:aws:ec2:{zone}:instance/{instance.ec2_id}", detail, at)

    def _emit(self, kind: str, resource: str, detail: Mapping[str, Any], at: float) -> None:
        region, options = self._region, self._region.dice.options
        self.emitted += 1
        event = {
            "version": "0",
            "id": f"event-{self.emitted:012d}",
            "detail-type": kind,
            "source": "aws.ec2" if kind == SPOT else "aws.ecs",
            "account": region.options.account,
            "time": iso(at),
            "region": region.options.region,
            "resources": [resource],
            "detail": _with_iso_times(detail),
        }
        rng, elapsed = region.dice.rng, at - region.dice.started_at
        if options.event_lost.strikes(kind, elapsed, rng):
            region.troubles["event_lost"] += 1
            return
        copies = 1
        if options.event_duplicated.strikes(kind, elapsed, rng):
            region.troubles["event_duplicated"] += 1
            copies = 2
        body = json.dumps(event, separators=(",", ":"))
        for _ in range(copies):
            delay = DELIVERY_S
            if options.event_late.strikes(kind, elapsed, rng):
                region.troubles["event_late"] += 1
                delay += rng.uniform(0.0, options.event_late_s)
            region.agenda.schedule(at + delay, self._delivery(body), (Appointment(),))

    def _delivery(self, body: str) -> Any:
        def arrive(_: object, at: float) -> None:
            for queue in self._targets:
                queue.send(body, at)

        return arrive


def iso(at: float) -> str:
    """A time as events write it: UTC with milliseconds."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _with_iso_times(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: iso(value) if key.endswith("At") and isinstance(value, float) else value
        for key, value in detail.items()
    }
