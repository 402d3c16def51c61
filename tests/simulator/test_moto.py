"""The same stories told to moto's server: where its answers agree with ours, and where they don't.

moto is an independent reading of AWS's wire shapes; each difference here is a row of
docs/simulator.md.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from .conftest import SESSION
from .moto_sides import Row, Side, Story, both_sides


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Callable[[], Side]]]:
    """Makes a Side of either server."""
    with both_sides() as made:
        yield made


def over_capacity(side: Side) -> Any:
    instances = side.add()
    side.define()
    answers = [side.start(instances) for _ in range(5)]
    reasons = [one["reason"] for answer in answers for one in answer["failures"]]
    return sum(len(answer["tasks"]) for answer in answers), reasons, side.cpu(instances[0])


def eleven_instances(side: Side) -> Any:
    instances = side.add(11)
    side.define()
    answer = side.start(instances)
    return answer if isinstance(answer, str) else len(answer["tasks"])


def unknown_instance(side: Side) -> Any:
    side.add()
    side.define()
    answer = side.start(["0" * 32])
    return answer if isinstance(answer, str) else answer["failures"][0]["reason"]


def long_started_by(side: Side) -> Any:
    instances = side.add()
    side.define()
    answer = side.start(instances, startedBy="x" * 37)
    return answer if isinstance(answer, str) else "accepted"


def awsvpc_start(side: Side) -> Any:
    instances = side.add()
    side.define("awsvpc")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    answer = side.start(instances, networkConfiguration=network)
    return answer if isinstance(answer, str) else len(answer["tasks"])


def stop_twice(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]["taskArn"]
    for _ in range(2):
        side.call("StopTask", cluster=side.cluster, task=task)
    return side.cpu(instances[0])


def reservation_first(side: Side) -> Any:
    instances = side.add()
    side.define(memory=1000, memoryReservation=100)
    side.start(instances)
    answer = side.call(
        "DescribeContainerInstances", cluster=side.cluster, containerInstances=instances
    )
    resources = answer["containerInstances"][0]["remainingResources"]
    return 7482 - next(item["integerValue"] for item in resources if item["name"] == "MEMORY")


def stopped_in_default_listing(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]["taskArn"]
    side.call("StopTask", cluster=side.cluster, task=task)
    return len(side.call("ListTasks", cluster=side.cluster)["taskArns"])


def started_by_with_family(side: Side) -> Any:
    side.add()
    side.define()
    answer = side.call("ListTasks", cluster=side.cluster, startedBy="a", family="b")
    return answer if isinstance(answer, str) else "accepted"


def paging(side: Side) -> Any:
    side.add(3)
    answer = side.call("ListContainerInstances", cluster=side.cluster, maxResults=2)
    return len(answer["containerInstanceArns"]), "nextToken" in answer


def unknown_task(side: Side) -> Any:
    side.add()
    answer = side.call("DescribeTasks", cluster=side.cluster, tasks=["0" * 32])
    return [one["reason"] for one in answer["failures"]]


def query_filter(side: Side) -> Any:
    side.add()
    answer = side.call(
        "ListContainerInstances", cluster=side.cluster, filter="attribute:stack == prod"
    )
    return len(answer["containerInstanceArns"])


def same_client_token(side: Side) -> Any:
    side.add()
    side.define()
    arns = {side.run(clientToken="t")["tasks"][0]["taskArn"] for _ in range(2)}
    return len(arns)


def eleven_tasks(side: Side) -> Any:
    side.add()
    side.define(cpu=1)
    answer = side.run(count=11)
    return answer if isinstance(answer, str) else len(answer["tasks"])


def distinct_instances(side: Side) -> Any:
    side.add(2)
    side.define()
    answer = side.run(count=3, placementConstraints=[{"type": "distinctInstance"}])
    homes = [task["containerInstanceArn"] for task in answer["tasks"]]
    return len(homes), len(set(homes))


def version_of_a_task(side: Side) -> Any:
    instances = side.add()
    side.define()
    task = side.start(instances)["tasks"][0]
    return "version" in task, "createdAt" in task


def unknown_cluster(side: Side) -> Any:
    return side.call("ListTasks", cluster="nowhere")


def unknown_task_definition(side: Side) -> Any:
    return side.call("DescribeTaskDefinition", taskDefinition="nothing:1")


def missing_instance_description(side: Side) -> Any:
    side.add()
    answer = side.call(
        "DescribeContainerInstances", cluster=side.cluster, containerInstances=["0" * 32]
    )
    return [one["reason"] for one in answer["failures"]]


def draining_listing(side: Side) -> Any:
    instances = side.add(2)
    side.call(
        "UpdateContainerInstancesState",
        cluster=side.cluster,
        containerInstances=instances[:1],
        status="DRAINING",
    )
    answer = side.call("ListContainerInstances", cluster=side.cluster, status="DRAINING")
    return len(answer["containerInstanceArns"])


def bad_state(side: Side) -> Any:
    instances = side.add()
    return side.call(
        "UpdateContainerInstancesState",
        cluster=side.cluster,
        containerInstances=instances,
        status="GONE",
    )


ROWS: list[Row] = [
    (over_capacity, (4, ["RESOURCE:CPU"], 96), (5, [], -904)),
    (eleven_instances, "InvalidParameterException", 11),
    (unknown_instance, "MISSING", "500"),
    (long_started_by, "InvalidParameterException", "accepted"),
    (awsvpc_start, 1, "InvalidParameterException"),
    (stop_twice, 4096, 5096),
    (reservation_first, 100, 1000),
    (stopped_in_default_listing, 0, 1),
    (started_by_with_family, "InvalidParameterException", "accepted"),
    (paging, (2, True), (3, False)),
    (unknown_task, ["MISSING"], []),
    (query_filter, 0, 1),
    (same_client_token, 1, 2),
    (eleven_tasks, "InvalidParameterException", 11),
    (distinct_instances, (2, 2), (3, 1)),
    (version_of_a_task, (True, True), (False, False)),
    (unknown_cluster, "ClusterNotFoundException", "ClusterNotFoundException"),
    (unknown_task_definition, "ClientException", "ClientException"),
    (missing_instance_description, ["MISSING"], ["MISSING"]),
    (draining_listing, 1, 1),
    (bad_state, "InvalidParameterException", "InvalidParameterException"),
]


@pytest.mark.parametrize(
    ("story", "ours", "theirs"), [pytest.param(*row, id=row[0].__name__) for row in ROWS]
)
def test_our_answer_and_motos(
    sides: dict[str, Callable[[], Side]], story: Story, ours: Any, theirs: Any
) -> None:
    """Both servers answer as the table in docs/simulator.md says."""
    assert story(sides["ours"]()) == ours
    assert story(sides["moto"]()) == theirs


def shape(value: Any) -> Any:
    """Names and JSON types, without values; lists by their first item."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_moto_ends_one_waiter_and_its_paginators_get_one_page(
    sides: dict[str, Callable[[], Side]],
) -> None:
    """What test_boto3_waiters_and_paginators_work shows of ours, asked of moto."""
    side = sides["moto"]()
    instances = side.add(3)
    side.define()
    task = side.start(instances[:1])["tasks"][0]["taskArn"]
    client = SESSION.client("ecs", endpoint_url=side.endpoint)
    with closing(client):
        waiting = {"cluster": side.cluster, "tasks": [task]}
        patience = {"Delay": 0, "MaxAttempts": 8}
        with pytest.raises(WaiterError, match="terminal failure"):  # a look moves the task on
            client.get_waiter("tasks_running").wait(**waiting, WaiterConfig=patience)
        client.get_waiter("tasks_stopped").wait(**waiting, WaiterConfig=patience)
        pages = client.get_paginator("list_container_instances").paginate(
            cluster=side.cluster, PaginationConfig={"PageSize": 2}
        )
        assert [len(page["containerInstanceArns"]) for page in pages] == [3]


def lacking(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where moto answers a member that we don't, or of another type."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [
            line
            for key, one in theirs.items()
            for line in (
                lacking(one, ours[key], f"{path}.{key}") if key in ours else [f"{path}.{key}"]
            )
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        return lacking(theirs[0], ours[0], f"{path}[]") if theirs and ours else []
    return [] if theirs == ours else [f"{path}: {ours} instead of {theirs}"]


# What moto shows of a task that was just started, although it has no value yet.
NEEDLESS = ("containers[].exitCode", "startedBy", "stoppedReason")


def test_our_answers_have_every_member_of_motos(sides: dict[str, Callable[[], Side]]) -> None:
    """Wire shapes, as an independent implementation reads them; exceptions are listed by name."""
    answers = {}
    for name, make in sides.items():
        side = make()
        instances = side.add()
        side.define()
        started = side.start(instances)
        answers[name] = {
            "StartTask": started,
            "DescribeClusters": side.call("DescribeClusters", clusters=[side.cluster]),
            "DescribeContainerInstances": side.call(
                "DescribeContainerInstances", cluster=side.cluster, containerInstances=instances
            ),
            "DescribeTaskDefinition": side.call(
                "DescribeTaskDefinition", taskDefinition=side.cluster
            ),
            "DescribeTasks": side.call(
                "DescribeTasks", cluster=side.cluster, tasks=[started["tasks"][0]["taskArn"]]
            ),
            "ListTasks": side.call("ListTasks", cluster=side.cluster),
            "ListContainerInstances": side.call("ListContainerInstances", cluster=side.cluster),
        }
    assert sorted(lacking(shape(answers["moto"]), shape(answers["ours"]))) == [
        ".DescribeTaskDefinition.taskDefinition.networkMode",  # absent on AWS unless it was given
        *(f".DescribeTasks.tasks[].{name}" for name in NEEDLESS),
        *(f".StartTask.tasks[].{name}" for name in NEEDLESS),
    ]
