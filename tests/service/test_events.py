"""Events from SQS bring news at once; lost, doubled, late and senseless ones do no harm."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from ecs_queue.states import JobState
from ecs_scheduler.ecs.event_queue import EventQueue
from ecs_scheduler.errors import CallRefused
from ecs_simulator import InstanceGroup
from ecs_simulator.faults import Fault, FaultOptions

Run = Callable[..., None]
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
SELDOM = {"track_interval_s": 60.0, "sweep_interval_s": 60.0, "events_queue_url": URL}
"""With looks this seldom, what is known sooner was heard."""


def sleeping(job_id: str, seconds: int) -> dict[str, Any]:
    command = ["sleep", str(seconds)]
    return {
        "id": job_id,
        "overrides": {"containerOverrides": [{"name": "main", "command": command}]},
    }


def heard(w: Any) -> dict[tuple[str, str], int]:
    """Events by kind and outcome."""
    return dict(w.service.status().events)


async def lag_s(w: Any, job_id: str) -> float:
    """How long after the end of its task the queue knew."""
    record = await w.until(job_id)
    [task] = [each for each in w.sim.tasks() if each.arn == record.task_arn]
    return float(record.ended_at_ms / 1000 - task.stopped_at)


def test_the_end_of_a_task_is_known_within_two_seconds(world: Run) -> None:
    """The tracker looks once a minute, and would not have seen it."""

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.until_ready()
        await w.submit(*(sleeping(f"j{n}", 3 + n % 7) for n in range(20)))
        assert max([await lag_s(w, f"j{n}") for n in range(20)]) <= 2.0
        counts = heard(w)
        assert counts["task", "applied"] >= 20
        assert counts["instance", "applied"] > 0

    world(story, **SELDOM)


def test_a_new_instance_is_used_at_once(world: Run) -> None:
    """The sweep would have found it a minute later; so would the job's room."""

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.until_ready()
        await w.submit({"id": "big", "overrides": {"memory": "30000", "cpu": "8192"}})
        await asyncio.sleep(5)
        asked_at = w.clock.monotonic()
        w.sim.add_instances("default", (InstanceGroup(count=1, instance_type="m5.4xlarge"),))
        await w.until("big", JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED)
        assert w.clock.monotonic() - asked_at < 5

    world(story, **SELDOM)


def test_an_instance_that_registers_during_a_look_at_all_stays_known(world: Run) -> None:
    """It is heard of, used at once, and not in the list that the look began with. A second job of
    its group finds no other place.
    """

    class SlowLook:
        asked: ClassVar[asyncio.Event | None] = None

        async def send(self, request: Any) -> Any:
            asked = SlowLook.asked
            if asked and request.headers["X-Amz-Target"].endswith(b"DescribeContainerInstances"):
                SlowLook.asked = None
                asked.set()
                await asyncio.sleep(10)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.until_ready()
        asked = SlowLook.asked = asyncio.Event()
        await asked.wait()
        w.sim.add_instances("default", (InstanceGroup(count=1, instance_type="m5.4xlarge"),))
        distinct = {"group": "g", "placement_constraints": [{"type": "distinctInstance"}]}
        big = {"containerOverrides": [{"name": "main", "cpu": 6000, "command": ["sleep", "90"]}]}
        await w.submit({"id": "a", "overrides": big, **distinct})
        await w.until("a", JobState.RUNNING, timeout_s=8)
        await w.submit({"id": "b", "overrides": big, **distinct})
        for _ in range(20):
            await asyncio.sleep(1)
            assert w.service.status().instances == 4
        assert len(w.sim.tasks()) == 1

    world(story, faults=SlowLook, **SELDOM)


def test_nothing_is_placed_before_the_first_complete_model(world: Run) -> None:
    """Half of the instances are known by events while the first look still goes on. Placement waits
    for it, since the rest may be the better places; until then the service is not ready.
    """

    class SlowLook:
        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"DescribeContainerInstances"):
                await asyncio.sleep(10)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        w.sim.add_instances("default", (InstanceGroup(count=3, instance_type="m5.xlarge"),))
        await w.submit(sleeping("a", 30))
        await asyncio.sleep(8)
        status = w.service.status()
        assert status.instances == 3
        assert (status.ready, status.model_age_s) == (False, None)
        assert "StartTask" not in w.sim.statistics.calls
        await asyncio.sleep(4)
        assert w.service.status().ready
        assert w.sim.statistics.calls["StartTask"] == 1

    world(story, faults=SlowLook, **SELDOM)


def test_lost_doubled_and_late_events_do_no_harm(world: Run) -> None:
    """A third is lost, a third comes twice, a third up to twenty seconds late. Every job ends once
    and as its task did; old news is told from new by its version.
    """

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        often = Fault(probability=0.33)
        w.sim.set_faults(
            FaultOptions(
                event_lost=often, event_duplicated=often, event_late=often, event_late_s=20.0
            )
        )
        await w.submit(*(sleeping(f"j{n}", n % 5) for n in range(20)))
        for n in range(20):
            record = await w.until(f"j{n}")
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert heard(w)["task", "old"] > 0
        await asyncio.sleep(60)
        assert len(w.service.status().avoided) == 0
        assert w.service.status().instances == 3

    world(story, events_queue_url=URL, track_interval_s=10.0)


def test_what_is_no_event_is_deleted_and_counted(world: Run) -> None:
    """Senseless messages never come again; events of another cluster are left alone."""
    task = {"taskArn": "arn:t", "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "version": 1}
    senseless = (
        "no JSON",
        "[1]",
        '{"detail": 7}',
        json.dumps({"detail-type": "ECS Task State Change", "detail": {"taskArn": "arn:t"}}),
    )
    other = {"detail-type": "ECS Task State Change", "detail": {**task, "clusterArn": "arn:other"}}

    async def story(w: Any) -> None:
        queue = w.sim.send_events_to("events")
        await w.until_ready()
        for body in (*senseless, json.dumps(other)):
            queue.send(body, w.clock.now())
        await asyncio.sleep(5)
        counts = heard(w)
        assert (counts["other", "unusable"], counts["other", "ignored"]) == (4, 1)
        assert queue.counts(w.clock.now() + 1000) == (0, 0)

    world(story, **SELDOM)


def test_an_event_with_senseless_values_ends_no_service(world: Run) -> None:
    """It would come again to the next service, and end that too."""

    async def story(w: Any) -> None:
        queue = w.sim.send_events_to("events")
        await w.until_ready()
        [cluster] = w.sim.call("DescribeClusters", {"clusters": ["default"]})["clusters"]
        named = w.sim.call("ListContainerInstances", {})["containerInstanceArns"][0]
        cpu = [{"name": "CPU", "type": "INTEGER", "integerValue": None}]
        task = {"taskArn": {"no": "text"}, "lastStatus": "RUNNING", "desiredStatus": "RUNNING"}
        instance = {"containerInstanceArn": named, "status": "ACTIVE"}
        room = {"registeredResources": cpu, "remainingResources": cpu}
        other = {**task, "taskArn": "t", "containers": [{"name": ["no", "text"]}]}
        details = ("Task", task), ("Task", other), ("Container Instance", {**instance, **room})
        for kind, detail in details:
            whole = {**detail, "version": 99, "clusterArn": cluster["clusterArn"]}
            body = {"detail-type": f"ECS {kind} State Change", "detail": whole}
            queue.send(json.dumps(body), w.clock.now())
        await asyncio.sleep(20)
        assert heard(w)["other", "unusable"] == 3
        assert not w.running[-1].done()
        assert queue.counts(w.clock.now() + 1000) == (0, 0)

    world(story, **SELDOM)


def test_a_notice_is_heard_whatever_time_it_bears(world: Run) -> None:
    """Only until when it stays in the queue depends on that: not for years."""
    notice = {"detail-type": "EC2 Spot Instance Interruption Warning"}

    async def story(w: Any) -> None:
        queue = w.sim.send_events_to("events")
        await w.until_ready()
        for number, time in enumerate(("some day", None, "2199-01-01T00:00:00Z")):
            detail = {"instance-id": f"i-{number}"}
            queue.send(json.dumps({**notice, "time": time, "detail": detail}), w.clock.now())
        await asyncio.sleep(5)
        assert heard(w)["spot", "applied"] == 3
        assert queue.counts(w.clock.now() + 1000) == (0, 0)

    world(story, **SELDOM)


def test_events_wait_while_redis_is_away(world: Run) -> None:
    """The news cannot be written down, so the message stays, and comes again."""

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        await w.until_ready()
        await w.submit(sleeping("a", 6))
        await w.until("a", JobState.RUNNING)
        w.redis.cut = True
        await asyncio.sleep(8)
        w.redis.cut = False
        assert (await w.until("a")).state is JobState.SUCCEEDED

    world(story, events_queue_url=URL)


def test_an_event_queue_that_is_not_there_costs_news_and_hardly_a_call(world: Run) -> None:
    """Jobs run and end by looking; the queue is asked for every ten seconds, and read once it is
    there.
    """

    class Counting:
        asked: ClassVar[int] = 0

        async def send(self, request: Any) -> Any:
            Counting.asked += b"ReceiveMessage" in request.headers["X-Amz-Target"]
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 100))
        assert (await w.until("a")).state is JobState.SUCCEEDED
        assert 10 < Counting.asked < 30
        w.sim.send_events_to("events")
        await w.submit(sleeping("b", 20))
        await w.until("b")
        assert heard(w)["task", "applied"] > 0

    world(story, faults=Counting, events_queue_url=URL)


async def test_a_missing_event_queue_is_named() -> None:
    """With the setting that names it."""

    class NoSuchQueue:
        async def receive_message(self, **_: Any) -> None:
            error = {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "no such queue"}
            answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "ReceiveMessage")

    with pytest.raises(CallRefused, match=f"no such queue; check --events-queue-url.*{URL}"):
        await EventQueue(NoSuchQueue(), URL).receive(0)
