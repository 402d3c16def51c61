"""EventBridge events as news: what an event says of a task, an instance or a Spot interruption.

"Amazon ECS events" (developer guide): `detail` has the Describe shape, with its times in ISO 8601;
`detail.version` grows with each change. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from ecs_scheduler.ecs.container_instances import ContainerInstance, parse_container_instance
from ecs_scheduler.ecs.tasks import Task, parse_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_scheduler.ecs.client import ClusterArn


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A task as it is since this version."""

    task: Task


@dataclass(frozen=True, slots=True)
class InstanceChanged:
    """A container instance as it was at `at_ms` since the epoch, on ECS's clock."""

    instance: ContainerInstance
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpotNotice:
    """EC2 takes this instance back two minutes after `at_ms` since the epoch, on EC2's clock; 0 if
    the event does not say.
    """

    ec2_instance_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class NotOurs:
    """An event of another cluster, or of a kind that says nothing to us."""

    kind: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """No event at all, or one that lacks what it must have."""

    reason: str


_TEXTS = (
    *("taskArn", "containerInstanceArn", "taskDefinitionArn", "startedBy", "group"),
    *("status", "lastStatus", "desiredStatus", "stopCode", "stoppedReason", "ec2InstanceId"),
)
_TEXTS_OF_PARTS = ("name", "value", "reason")
_TEXT = (str, type(None))

News = TaskChanged | InstanceChanged | SpotNotice | NotOurs | Unusable


def parse_event(body: str, cluster: ClusterArn) -> News:
    """What the body of a message says; it is total."""
    try:
        event = from_json(body)
    except ValueError as error:
        return Unusable(f"not JSON: {error}")
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        return Unusable("not an event: it has no detail")
    kind = event.get("detail-type")
    try:
        if kind == "EC2 Spot Instance Interruption Warning":
            return SpotNotice(str(detail["instance-id"]), _said_at_ms(event.get("time")))
        return _news(str(kind), detail, cluster)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        return Unusable(f"{kind}: {error!r}")


def _news(kind: str, detail: dict[str, Any], cluster: ClusterArn) -> News:
    if kind not in ("ECS Task State Change", "ECS Container Instance State Change"):
        return NotOurs(kind)
    if detail["clusterArn"] != cluster:
        return NotOurs("another cluster")
    plain: Any = _with_plain_times(detail)
    if not isinstance(plain["version"], int):
        raise TypeError("version is no number")
    _texts(plain, _TEXTS)
    for part in (*(plain.get("containers") or ()), *(plain.get("attributes") or ())):
        _texts(part, _TEXTS_OF_PARTS)
    if kind == "ECS Task State Change":
        _required(plain, "taskArn", "lastStatus", "desiredStatus")
        return TaskChanged(parse_task(plain))
    _required(plain, "containerInstanceArn", "status", "registeredResources", "remainingResources")
    at_s = plain.get("updatedAt")
    return InstanceChanged(parse_container_instance(plain), round((at_s or 0) * 1000))


def _said_at_ms(time: object) -> int:
    """The time of an event; 0 for none that can be read, since what it says counts all the same."""
    try:
        return round(datetime.fromisoformat(str(time)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _required(detail: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not detail[name]:
            raise ValueError(f"{name} is empty")


def _texts(detail: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if not isinstance(detail.get(name), _TEXT):
            raise TypeError(f"{name} is no text")


def _with_plain_times(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Times as ECS's own API gives them: seconds since the epoch."""
    return {
        name: datetime.fromisoformat(value).timestamp()
        if name.endswith("At") and isinstance(value, str)
        else value
        for name, value in detail.items()
    }
