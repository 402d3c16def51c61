"""Stories of tasks: from PENDING to STOPPED, listed, described and stopped."""

import pytest

from ecs_simulator import InstanceGroup, Lifecycle, Undocumented

from .conftest import SMALL, MakeWorld, World


def test_a_task_runs_to_its_end(world: World) -> None:
    """PENDING while the image is pulled, RUNNING for its minute, then STOPPED with exit code 0."""
    (arn,) = world.add(SMALL)
    world.define()
    task = world.start(arn)["tasks"][0]["taskArn"]
    seen = []
    for seconds in (0, 1, 10, 55, 2):
        world.later(seconds)
        shape = world.task(task)
        seen.append((shape["lastStatus"], shape["desiredStatus"]))
    assert seen == [
        ("PENDING", "RUNNING"),
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("STOPPED", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ]
    container = shape["containers"][0]
    assert (container["lastStatus"], container["exitCode"]) == ("STOPPED", 0)
    assert shape["stopCode"] == "EssentialContainerExited"
    assert shape["stoppedReason"] == "Essential container in task exited"
    times = ("createdAt", "pullStartedAt", "pullStoppedAt", "startedAt")
    ends = ("executionStoppedAt", "stoppedAt")
    moments = [shape[name] for name in (*times, *ends)]
    assert moments == sorted(moments)


def test_versions_count_changes(world: World) -> None:
    """Every visible change raises the version of the task, and of its instance when resources
    move."""
    (arn,) = world.add(SMALL)
    world.define()
    before = world.instance(arn)["version"]
    task = world.start(arn)["tasks"][0]["taskArn"]
    assert world.instance(arn)["version"] > before
    versions = []
    for seconds in (0, 10, 70):
        world.later(seconds)
        versions.append(world.task(task)["version"])
    assert versions == sorted(set(versions))


def test_counters_follow_the_tasks(world: World) -> None:
    """pendingTasksCount and runningTasksCount of instance and cluster."""
    (arn,) = world.add(SMALL)
    world.define()
    world.start(arn)

    def counts() -> tuple[int, int, int, int]:
        instance = world.instance(arn)
        cluster = world("DescribeClusters", clusters=["demo"])["clusters"][0]
        return (
            instance["pendingTasksCount"],
            instance["runningTasksCount"],
            cluster["pendingTasksCount"],
            cluster["runningTasksCount"],
        )

    assert counts() == (1, 1, 1, 0)  # an instance counts by desiredStatus, a cluster by lastStatus
    world.later(10)
    assert counts() == (0, 1, 0, 1)
    world.later(70)
    assert counts() == (0, 0, 0, 0)


def test_exit_code_and_run_time_come_from_the_effective_command(world: World) -> None:
    """Overrides decide what the container does, and the code it ends with."""
    (arn,) = world.add(SMALL)
    world.define()
    command = ["sh", "-c", "sleep 5; exit 3"]
    overrides = {"containerOverrides": [{"name": "main", "command": command}]}
    task = world.start(arn, overrides=overrides)["tasks"][0]["taskArn"]
    world.later(12)
    assert world.task(task)["containers"][0]["exitCode"] == 3


def test_stop_frees_resources_at_once_and_ends_by_sigterm(world: World) -> None:
    """StopTask is optimistic about resources; the container ends with 143 a little later."""
    (arn,) = world.add(SMALL)
    world.define()
    task = world.start(arn, tags=[{"key": "a", "value": "1"}])["tasks"][0]["taskArn"]
    world.later(10)
    stopped = world("StopTask", cluster="demo", task=task, reason="enough")["task"]
    assert (stopped["lastStatus"], stopped["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert stopped["tags"] == []
    assert world.remaining(arn)["CPU"] == 2048
    world("StopTask", cluster="demo", task=task)
    assert world.remaining(arn)["CPU"] == 2048
    world.later(5)
    shape = world.task(task)
    assert (shape["lastStatus"], shape["stopCode"]) == ("STOPPED", "UserInitiated")
    assert shape["stoppedReason"] == "enough"
    assert shape["containers"][0]["exitCode"] == 143


def test_a_task_stopped_before_it_ran_has_no_exit_code(world: World) -> None:
    """Stopped while the image is pulled: STOPPED, and no container ever ran."""
    (arn,) = world.add(SMALL)
    world.define()
    task = world.start(arn)["tasks"][0]["taskArn"]
    world("StopTask", cluster="demo", task=task)
    world.later(5)
    shape = world.task(task)
    assert shape["lastStatus"] == "STOPPED"
    assert "exitCode" not in shape["containers"][0]
    assert "startedAt" not in shape


def test_unknown_tasks(world: World) -> None:
    """StopTask refuses them, DescribeTasks calls them MISSING."""
    refusal = world.refused("StopTask", cluster="demo", task="0" * 32)
    assert (refusal.code, refusal.message) == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )
    answer = world("DescribeTasks", cluster="demo", tasks=["0" * 32])
    assert answer["tasks"] == []
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    refusal = world.refused("DescribeTasks", cluster="demo", tasks=[])
    assert refusal.message == "Tasks cannot be empty."
    refusal = world.refused("DescribeTasks", cluster="demo", tasks=["0"] * 101)
    assert refusal.code == "InvalidParameterException"


def test_listing_filters(world: World) -> None:
    """By desired status (default RUNNING), family, instance and startedBy, in pages."""
    one, two = world.add(InstanceGroup(count=2))
    world.define("short", container={"command": ["true"]})
    world.define("long")
    short = world.start(one, definition="short", startedBy="s")["tasks"][0]["taskArn"]
    first = world.start(one, definition="long", startedBy="l")["tasks"][0]["taskArn"]
    second = world.start(two, definition="long", startedBy="l")["tasks"][0]["taskArn"]
    world.later(20)

    def listed(**filters: object) -> list[str]:
        return list(world("ListTasks", cluster="demo", **filters)["taskArns"])

    assert listed() == [first, second]
    assert listed(desiredStatus="STOPPED") == [short]
    assert listed(desiredStatus="PENDING") == []
    assert listed(family="long", containerInstance=two) == [second]
    assert listed(startedBy="l") == [first, second]
    assert listed(startedBy="nobody") == []
    page = world("ListTasks", cluster="demo", maxResults=1)
    assert page["taskArns"] == [first]
    assert listed(nextToken=page["nextToken"]) == [second]
    refusal = world.refused("ListTasks", cluster="demo", startedBy="l", family="long")
    assert refusal.message == "cannot specify startedBy with other arguments"


@pytest.mark.parametrize("stopped_too", [False, True])
def test_started_by_and_stopped_tasks_are_a_switch(
    make_world: MakeWorld, stopped_too: bool
) -> None:
    """AWS does not say whether ListTasks(startedBy) shows tasks that have ended."""
    world = make_world(undocumented=Undocumented(started_by_lists_stopped=stopped_too))
    (arn,) = world.add(SMALL)
    world.define(container={"command": ["true"]})
    task = world.start(arn, startedBy="token")["tasks"][0]["taskArn"]
    world.later(20)
    listed = world("ListTasks", cluster="demo", startedBy="token")["taskArns"]
    assert listed == ([task] if stopped_too else [])


def test_a_new_task_can_be_missing_for_a_while(make_world: MakeWorld) -> None:
    """Eventual consistency: reads may not show a task that was just launched."""
    world = make_world(undocumented=Undocumented(missing_after_launch_s=5.0))
    (arn,) = world.add(SMALL)
    world.define()
    task = world.start(arn)["tasks"][0]["taskArn"]
    answer = world("DescribeTasks", cluster="demo", tasks=[task])
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    assert world("ListTasks", cluster="demo")["taskArns"] == []
    world.later(5)
    assert world.task(task)["taskArn"] == task


def test_stopped_tasks_are_visible_for_an_hour(world: World) -> None:
    """Described for an hour after the end, then MISSING; the record outlives it."""
    (arn,) = world.add(SMALL)
    world.define(container={"command": ["true"]})
    task = world.start(arn, startedBy="token")["tasks"][0]["taskArn"]
    world.later(3600)
    assert world.task(task)["lastStatus"] == "STOPPED"
    world.later(60)
    assert world("DescribeTasks", cluster="demo", tasks=[task])["tasks"] == []
    assert world("ListTasks", cluster="demo", desiredStatus="STOPPED")["taskArns"] == []
    assert [record.arn for record in world.ecs.tasks()] == [task]


def test_awsvpc_tasks_attach_and_detach_their_interface(world: World) -> None:
    """PROVISIONING before PENDING, DEPROVISIONING before STOPPED."""
    (arn,) = world.add(SMALL)
    world.define(networkMode="awsvpc", container={"command": ["sleep", "10"]})
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    task = world.start(arn, networkConfiguration=network)["tasks"][0]["taskArn"]
    seen = []
    for _ in range(50):
        status = world.task(task)["lastStatus"]
        if status not in seen:
            seen.append(status)
        world.later(0.5)
    assert seen == [
        "PROVISIONING",
        "PENDING",
        "RUNNING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]


def test_every_state_shows_when_it_takes_time(make_world: MakeWorld) -> None:
    """The whole life cycle of the developer guide, in order."""
    slow = Lifecycle(activating_s=1, deactivating_s=1, stopping_s=1, provisioning_s=1)
    world = make_world(lifecycle=slow)
    (arn,) = world.add(SMALL)
    world.define(networkMode="awsvpc", container={"command": ["sleep", "3"]})
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    task = world.start(arn, networkConfiguration=network)["tasks"][0]["taskArn"]
    seen: list[str] = []
    while "STOPPED" not in seen:
        status = world.task(task)["lastStatus"]
        seen += [] if status in seen else [status]
        world.later(0.25)
    assert seen == [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]


def test_cached_images_start_faster(world: World) -> None:
    """The second task on an instance does not pull the image again."""
    (arn,) = world.add(SMALL)
    world.define(container={"command": ["true"]})
    waits = []
    for _ in range(2):
        task = world.start(arn)["tasks"][0]["taskArn"]
        world.later(30)
        record = world.ecs.tasks()[-1]
        assert record.arn == task
        waits.append((record.started_at or 0) - record.created_at)
    assert waits[1] < waits[0] / 5
