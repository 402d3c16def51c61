"""What the ECS clients read off the wire."""

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from aiobotocore.parsers import AioJSONParser
from botocore.model import OperationModel

from ecs_scheduler.ecs.container_instances import parse_container_instance
from ecs_scheduler.ecs.tasks import parse_task
from ecs_scheduler.ecs.wire import PlainJsonParser, PlainParsers, UnreadableAnswer, seconds
from ecs_simulator import InstanceGroup, Options, SimulatedEcs

HEADERS = {"x-amzn-requestid": "r-1", "content-type": "application/x-amz-json-1.1"}


def answered(body: bytes, status: int = 200) -> dict[str, Any]:
    return {"body": body, "headers": HEADERS, "status_code": status, "context": {}}


def operation(name: str) -> OperationModel:
    return botocore.session.get_session().get_service_model("ecs").operation_model(name)


async def both(name: str, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    shape = operation(name).output_shape
    plain = await PlainJsonParser().parse(answered(body), shape)
    return plain, await AioJSONParser().parse(answered(body), shape)


async def test_we_read_the_same_as_through_the_sdks_shapes() -> None:
    """Tasks and instances are equal whichever parser read them; so is what the SDK adds."""
    sim = SimulatedEcs(Options(), lambda: 1_767_225_600.123, seed=1)
    sim.add_instances("default", (InstanceGroup(count=3, instance_type="g4dn.xlarge"),))
    container = {"name": "main", "image": "busybox", "cpu": 64, "memory": 64}
    sim.call("RegisterTaskDefinition", {"family": "f", "containerDefinitions": [container]})
    arns = sim.call("ListContainerInstances", {})["containerInstanceArns"]
    sim.call("StartTask", {"containerInstances": arns, "taskDefinition": "f"})
    tasks = sim.call("ListTasks", {})["taskArns"]

    described = sim.call_encoded("DescribeContainerInstances", {"containerInstances": arns})
    plain, shaped = await both("DescribeContainerInstances", described)
    ours, theirs = (
        [parse_container_instance(raw) for raw in answer["containerInstances"]]
        for answer in (plain, shaped)
    )
    assert ours == theirs
    assert [each.registered_at_s for each in ours] == [1_767_225_600.123] * 3

    described = sim.call_encoded("DescribeTasks", {"tasks": tasks})
    plain, shaped = await both("DescribeTasks", described)
    assert len(tasks) == 3
    assert [parse_task(raw) for raw in plain["tasks"]] == [
        parse_task(raw) for raw in shaped["tasks"]
    ]
    assert plain["ResponseMetadata"] == shaped["ResponseMetadata"]


@pytest.mark.parametrize("body", [b"<html>a proxy speaks</html>", b"[]", b"null", b'{"tasks": ['])
async def test_a_success_that_is_no_json_object_is_an_unknown_outcome(body: bytes) -> None:
    """Nobody can say what was done, so it must not pass for an answer without tasks."""
    with pytest.raises(UnreadableAnswer, match="no JSON object"):
        await PlainJsonParser().parse(answered(body), operation("StartTask").output_shape)


async def test_errors_come_in_the_sdks_own_form() -> None:
    """Retries and exception classes depend on it."""
    body = b'{"__type":"com.amazonaws.ecs#ClusterNotFoundException","message":"Cluster not found."}'
    shape = operation("StartTask").output_shape
    parsed = await PlainJsonParser().parse(answered(body, 400), shape)
    assert parsed["Error"] == {
        "Message": "Cluster not found.",
        "Code": "ClusterNotFoundException",
    }


def test_other_protocols_keep_the_sdks_parsers() -> None:
    """Credentials come from STS, which speaks XML."""
    assert isinstance(PlainParsers().create_parser("json"), PlainJsonParser)
    assert type(PlainParsers().create_parser("query")).__name__ == "AioQueryParser"


def test_a_time_is_the_same_moment_in_either_form() -> None:
    """A number off the wire, or what the SDK makes of it."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert seconds(moment) == seconds(1_767_225_600) == 1_767_225_600
    assert seconds(None) is None
