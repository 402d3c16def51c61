"""What an event says is found out, whatever it says: nothing that comes over SQS is an error."""

import json
from typing import Any

import pytest

from ecs_scheduler.ecs.client import ClusterArn
from ecs_scheduler.ecs.events import InstanceChanged, SpotNotice, Unusable, parse_event

CLUSTER = ClusterArn("arn:c")
INSTANCE = {
    "clusterArn": CLUSTER,
    "containerInstanceArn": "arn:i",
    "status": "ACTIVE",
    "version": 1,
    "registeredResources": [{"name": "CPU", "type": "INTEGER", "integerValue": 2048}],
    "remainingResources": [{"name": "CPU", "type": "INTEGER", "integerValue": 2048}],
}


def event(kind: str, detail: dict[str, Any], time: Any = "2026-11-26T06:00:00Z") -> str:
    return json.dumps({"detail-type": kind, "time": time, "detail": detail})


@pytest.mark.parametrize("time", [float("inf"), float("nan"), "some day", [1]])
def test_an_instance_of_no_time_is_unusable(time: Any) -> None:
    """When it was so decides whether launches are counted in it; a sweep will tell."""
    kind = "ECS Container Instance State Change"
    assert isinstance(parse_event(event(kind, INSTANCE), CLUSTER), InstanceChanged)
    assert isinstance(parse_event(event(kind, {**INSTANCE, "updatedAt": time}), CLUSTER), Unusable)


@pytest.mark.parametrize("time", [float("inf"), "some day", "0001-01-01T00:00:00", None])
def test_a_notice_of_no_time_is_a_notice(time: Any) -> None:
    """The instance goes all the same."""
    kind, detail = "EC2 Spot Instance Interruption Warning", {"instance-id": "i-1"}
    assert parse_event(event(kind, detail), CLUSTER) == SpotNotice("i-1", 1_795_672_800_000)
    assert parse_event(event(kind, detail, time), CLUSTER) == SpotNotice("i-1", 0)
