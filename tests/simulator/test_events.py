"""Stories of events: every change as EventBridge tells it, through simulated SQS."""

import json
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from ecs_simulator import (
    Fault,
    FaultOptions,
    InstanceGroup,
    Options,
    SimulatedEcs,
    VirtualClock,
    http_session_class,
    run_virtual,
)

from .conftest import (
    AIO_SESSION,
    CREDENTIALS,
    SESSION,
    SMALL,
    ManualClock,
    World,
    direct,
    serve_in_thread,
)


def received(world: World, queue: str = "events") -> list[dict[str, Any]]:
    """Everything that is visible in the queue, deleted as it is read."""
    events = []
    request = {"QueueUrl": queue, "MaxNumberOfMessages": 10}
    while messages := world.ecs.call_sqs("ReceiveMessage", request).get("Messages"):
        for message in messages:
            events.append(json.loads(message["Body"]))
            deletion = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
            world.ecs.call_sqs("DeleteMessage", deletion)
    return events


def test_a_task_and_its_instance_tell_their_story(quick: World) -> None:
    """One event for each change, with versions that count up and the shape of Describe."""
    (arn,) = quick.add(SMALL)
    quick.define()
    quick.ecs.send_events_to("events")
    task = quick.start(arn, startedBy="token")["tasks"][0]["taskArn"]
    quick.later(80)
    events = received(quick)
    told = [event["detail"] for event in events if event["resources"] == [task]]
    assert [(one["lastStatus"], one["desiredStatus"]) for one in told] == [
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED"),
        ("STOPPING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ]
    assert [one["version"] for one in told] == [1, 2, 3, 4, 5]
    described = quick.task(task)
    assert told[-1]["containers"][0]["exitCode"] == 0
    assert (told[-1]["startedBy"], told[-1]["stopCode"]) == (
        "token",
        described["stopCode"],
    )
    assert told[-1]["stoppedAt"].endswith("Z")
    instance = [event for event in events if event["resources"] == [arn]]
    assert {event["detail-type"] for event in instance} == {"ECS Container Instance State Change"}
    versions = [event["detail"]["version"] for event in instance]
    assert versions == sorted(versions)
    assert versions[-1] == quick.instance(arn)["version"]
    assert {(event["version"], event["source"]) for event in events} == {("0", "aws.ecs")}


def test_instances_tell_of_agents_draining_and_spot(quick: World) -> None:
    """Connection, status, deregistration; and EC2's own warning of a Spot interruption."""
    (arn,) = quick.add(InstanceGroup(spot=True))
    quick.ecs.send_events_to("events")
    quick.ecs.set_agent_connected("demo", arn, connected=False)
    quick.ecs.set_agent_connected("demo", arn, connected=True)
    quick(
        "UpdateContainerInstancesState",
        cluster="demo",
        containerInstances=[arn],
        status="DRAINING",
    )
    quick.ecs.interrupt_spot("demo", arn)
    quick.later(130)
    events = received(quick)
    warnings = [one for one in events if one["detail-type"].startswith("EC2 Spot")]
    assert [one["detail"]["instance-id"] for one in warnings] == [
        quick.instance(arn)["ec2InstanceId"]
    ]
    told = [one["detail"] for one in events if one not in warnings]
    assert [(one["agentConnected"], one["status"]) for one in told] == [
        (False, "ACTIVE"),
        (True, "ACTIVE"),
        (True, "DRAINING"),
        (False, "INACTIVE"),
    ]


def test_events_get_lost_doubled_and_late(quick: World) -> None:
    """Each at its probability; versions tell the order that arrival does not."""
    (arn,) = quick.add(InstanceGroup(cpu_units=10**6, memory_mib=10**6))
    quick.define()
    quick.ecs.send_events_to("events")
    third = Fault(probability=0.3)
    quick.ecs.set_faults(FaultOptions(event_lost=third, event_duplicated=third, event_late=third))
    for _ in range(100):
        quick.start(arn)
    quick.later(200)
    events = received(quick)
    emitted = quick.ecs.events.emitted
    faults = quick.ecs.statistics.faults
    assert len(events) == emitted - faults["event_lost"] + faults["event_duplicated"]
    for kind in ("event_lost", "event_duplicated", "event_late"):
        assert 0.2 * emitted < faults[kind] * (1 if kind == "event_lost" else 1.3) < 0.45 * emitted
    ids = Counter(event["id"] for event in events)
    assert set(ids.values()) == {1, 2}
    versions: dict[str, list[int]] = {}
    for event in events:
        versions.setdefault(event["resources"][0], []).append(event["detail"]["version"])
    assert any(numbers != sorted(numbers) for numbers in versions.values())


def test_a_message_that_is_not_deleted_comes_again(quick: World) -> None:
    """Invisible while somebody works on it, then back, until it is deleted."""
    queue = quick.ecs.send_events_to("events")
    queue.send("hello", quick.clock())
    request = {"QueueUrl": queue.url, "VisibilityTimeout": 10}
    first = quick.ecs.call_sqs("ReceiveMessage", request)["Messages"]
    assert quick.ecs.call_sqs("ReceiveMessage", request) == {}
    quick.later(10)
    again = quick.ecs.call_sqs("ReceiveMessage", request)["Messages"]
    assert [one["Body"] for one in (*first, *again)] == ["hello", "hello"]
    assert again[0]["Attributes"]["ApproximateReceiveCount"] == "2"
    entry = {"Id": "1", "ReceiptHandle": again[0]["ReceiptHandle"]}
    quick.ecs.call_sqs("DeleteMessageBatch", {"QueueUrl": queue.url, "Entries": [entry]})
    quick.later(60)
    assert quick.ecs.call_sqs("ReceiveMessage", request) == {}


def test_aiobotocore_consumes_by_long_polling() -> None:
    """In process and in virtual time: a poll of 20 s ends as soon as something happens."""

    async def main(clock: VirtualClock) -> tuple[list[str], float]:
        ecs = SimulatedEcs(Options(), clock.now)
        world = World(ecs, ManualClock(), direct(ecs, ExitStack()), "direct")
        (arn,) = world.add(SMALL)
        world.define(container={"command": ["sleep", "30"]})
        queue = ecs.send_events_to("events")
        config = AioConfig(http_session_cls=http_session_class(ecs))
        statuses: list[str] = []
        async with AIO_SESSION.create_client(
            "sqs", endpoint_url="http://simulated", config=config, **CREDENTIALS
        ) as sqs:
            assert await sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20) is not None
            assert clock.monotonic() == pytest.approx(20)
            world.start(arn)
            while "STOPPED" not in statuses:
                answer = await sqs.receive_message(
                    QueueUrl=queue.url, WaitTimeSeconds=20, MaxNumberOfMessages=10
                )
                for message in answer.get("Messages", []):
                    detail = json.loads(message["Body"])["detail"]
                    statuses += [detail["lastStatus"]] if "taskArn" in detail else []
                    await sqs.delete_message(
                        QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"]
                    )
        return statuses, clock.monotonic()

    statuses, ended = run_virtual(main)
    assert statuses == ["PENDING", "RUNNING", "RUNNING", "STOPPING", "STOPPED"]
    assert ended == pytest.approx(20 + 0.3 + 5 + 30 + 0.5 + 0.5, abs=0.5)


def test_boto3_reads_the_queue_over_http() -> None:
    """The server speaks SQS's JSON protocol as well."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(), clock)
    ecs.send_events_to("events")
    ecs.add_instances("demo", (InstanceGroup(count=2),))
    clock.seconds += 5
    with ExitStack() as stack:
        endpoint = serve_in_thread(ecs, stack)
        sqs = SESSION.client("sqs", endpoint_url=endpoint)
        stack.callback(sqs.close)
        url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "2"
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert len(messages) == 2
        with pytest.raises(ClientError, match="does not exist"):
            sqs.receive_message(QueueUrl=url + "x")
