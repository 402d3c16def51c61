"""Stories of the wire: what is not a proper request, and what is one too many."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from ecs_simulator import Bucket, InstanceGroup, Options, SimulatedEcs
from ecs_simulator.wire import TARGET_PREFIX, answer

from .conftest import ManualClock, World, boto3_calls, serve_in_thread


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        (None, b"{}", "InvalidAction"),
        ("DynamoDB_20120810.ListTables", b"{}", "InvalidAction"),
        (f"{TARGET_PREFIX}MakeCoffee", b"{}", "InvalidAction"),
        (f"{TARGET_PREFIX}ListTasks", b"{", "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b"[]", "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b"[" * 100_000, "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b'{"family": "\\ud800"}', "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b"\xff", "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b'{"maxResults": "ten"}', "SerializationException"),
        (f"{TARGET_PREFIX}ListTasks", b'{"cluster": 7}', "SerializationException"),
        (f"{TARGET_PREFIX}DescribeTasks", b'{"tasks": "x"}', "SerializationException"),
        (f"{TARGET_PREFIX}DescribeTasks", b'{"tasks": [1]}', "SerializationException"),
        (f"{TARGET_PREFIX}RegisterTaskDefinition", b"{}", "ClientException"),
    ],
)
def test_improper_requests_are_400_by_name(target: str | None, body: bytes, code: str) -> None:
    """Each kind of nonsense has its exception, with HTTP status 400."""
    ecs = SimulatedEcs(Options(), ManualClock())
    ecs.call("CreateCluster", {})
    given = answer(ecs, target, body)
    assert (given.status, json.loads(given.body)["__type"]) == (400, code)


def test_http_side_answers_nonsense_and_health() -> None:
    """A plain GET is for health; a POST without a target is an InvalidAction."""
    ecs = SimulatedEcs(Options(), ManualClock())
    with ExitStack() as stack:
        endpoint = serve_in_thread(ecs, stack)
        with urllib.request.urlopen(f"{endpoint}/healthz") as health:
            assert json.load(health)["status"] == "ok"
        request = urllib.request.Request(f"{endpoint}/", data=b"{}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 400
        assert json.load(caught.value)["__type"] == "InvalidAction"
        caught.value.close()


def test_throttling_follows_the_published_buckets(world: World) -> None:
    """100 calls at once, then 20 a second: the 101st is HTTP 400 ThrottlingException."""
    for _ in range(100):
        world("ListTasks", cluster="demo")
    refusal = world.refused("ListTasks", cluster="demo")
    assert (refusal.code, refusal.message, refusal.status) == (
        "ThrottlingException",
        "Rate exceeded",
        400,
    )
    world.later(0.5)
    for _ in range(10):
        world("DescribeTasks", cluster="demo", tasks=["x"])
    assert world.refused("DescribeTasks", cluster="demo", tasks=["x"]).code == "ThrottlingException"
    world("ListClusters")
    assert world.ecs.statistics.throttled == {"Cluster resource read": 2}


def test_a_throttled_request_does_no_work() -> None:
    """Nothing is started by a request that is throttled."""
    clock = ManualClock()
    rates = {"Cluster resource modify": Bucket(1, 1)}
    ecs = SimulatedEcs(Options(rates=rates), clock)
    (arn,) = ecs.add_instances("demo", (InstanceGroup(),))
    world = World(ecs, clock, ecs.call, "direct")
    world.define()
    world.start(arn)
    with pytest.raises(Exception, match="ThrottlingException"):
        world.start(arn)
    assert ecs.statistics.tasks_started == 1
    assert ecs.statistics.calls["StartTask"] == 2


def test_boto3_waiters_and_paginators_work() -> None:
    """tasks_running and tasks_stopped, and every List paginator, unmodified over HTTP."""
    clock = ManualClock()

    def running_clock() -> float:
        clock.seconds += 30  # each request finds half a minute gone by
        return clock.seconds

    ecs = SimulatedEcs(Options(throttled=False), running_clock)
    arns = ecs.add_instances("demo", (InstanceGroup(count=150),))
    with ExitStack() as stack:
        send, client = boto3_calls(serve_in_thread(ecs, stack), stack)
        World(ecs, clock, send, "http").define()
        task = client.start_task(
            cluster="demo", taskDefinition="work", containerInstances=[arns[0]]
        )["tasks"][0]["taskArn"]
        for waiter in ("tasks_running", "tasks_stopped"):
            settings = {"Delay": 0, "MaxAttempts": 5}
            client.get_waiter(waiter).wait(cluster="demo", tasks=[task], WaiterConfig=settings)
        pages = client.get_paginator("list_container_instances").paginate(cluster="demo")
        assert [len(page["containerInstanceArns"]) for page in pages] == [100, 50]
        for operation in ("list_tasks", "list_clusters", "list_task_definitions"):
            more = {"cluster": "demo"} if operation == "list_tasks" else {}
            assert len(list(client.get_paginator(operation).paginate(**more))) == 1


def test_kept_json_never_goes_stale() -> None:
    """Whatever changes on an instance shows in the encoded answer as it does in the direct one."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(throttled=False), clock)
    (arn,) = ecs.add_instances("demo", (InstanceGroup(),))
    world = World(ecs, clock, ecs.call, "direct")
    world.define()
    target = {"targetType": "container-instance", "targetId": arn}
    changes: list[Callable[[], object]] = [
        lambda: world.start(arn),
        lambda: world.later(10),
        lambda: world("PutAttributes", cluster="demo", attributes=[{"name": "a", **target}]),
        lambda: world("DeleteAttributes", cluster="demo", attributes=[{"name": "a", **target}]),
        lambda: world("TagResource", resourceArn=arn, tags=[{"key": "k", "value": "v"}]),
        lambda: world("UntagResource", resourceArn=arn, tagKeys=["k"]),
        lambda: ecs.set_agent_connected("demo", arn, connected=False),
        lambda: ecs.set_agent_connected("demo", arn, connected=True),
        lambda: world.later(70),
        lambda: world("DeregisterContainerInstance", cluster="demo", containerInstance=arn),
    ]
    seen = []
    for change in changes:
        change()
        request = {"cluster": "demo", "containerInstances": [arn], "include": ["TAGS"]}
        direct = ecs.call("DescribeContainerInstances", request)
        encoded = json.loads(ecs.call_encoded("DescribeContainerInstances", request))
        assert encoded == direct
        seen.append(encoded)
    assert all(one != other for one, other in itertools.pairwise(seen))
