"""The cluster model: promises stand until ECS shows them, and stale news changes nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from ecs_placement.feasible import Constraints
from ecs_placement.request import Shape
from ecs_placement.snapshot import Availability, InstanceId
from ecs_queue.job import JobId
from ecs_queue.states import InstanceArn, TaskArn
from ecs_scheduler.cluster.model import ClusterModel
from ecs_scheduler.cluster.row import SHOWN_AFTER_S
from ecs_scheduler.ecs.container_instances import ContainerInstance, parse_container_instance

I1, I2 = InstanceArn("arn:container-instance/1"), InstanceArn("arn:container-instance/2")
JOB, TASK = JobId("job"), TaskArn("arn:task/1")
SHAPE = Shape(cpu_units=100, memory_mib=200)


def number(name: str, value: int) -> Any:
    return {"name": name, "type": "INTEGER", "integerValue": value, "doubleValue": 0.0}


def strings(name: str, *values: str) -> Any:
    return {"name": name, "type": "STRINGSET", "stringSetValue": list(values)}


def instance(
    arn: InstanceArn = I1,
    *,
    version: int = 1,
    cpu: int = 1000,
    attributes: Sequence[str] = (),
    **members: Any,
) -> ContainerInstance:
    resources = [
        number("CPU", cpu),
        number("MEMORY", 2000),
        strings("PORTS", "22"),
        strings("PORTS_UDP"),
        strings("GPU", "gpu-a", "gpu-b"),
    ]
    raw: Any = {
        "containerInstanceArn": arn,
        "version": version,
        "status": "ACTIVE",
        "agentConnected": True,
        "registeredResources": [number("CPU", 1000), *resources[1:]],
        "remainingResources": resources,
        "attributes": [
            {"name": "ecs.instance-type", "value": "c5.large"},
            *({"name": name} for name in attributes),
        ],
        **members,
    }
    return parse_container_instance(raw)


def model(*instances: ContainerInstance) -> ClusterModel:
    fresh = ClusterModel()
    fresh.observe(instances or [instance()], asked_at=0.0)
    return fresh


def free(cluster: ClusterModel, now: float = 0.0, row: int = 0) -> tuple[int, ...]:
    return tuple(cluster.snapshot(now).free[row].tolist())


def test_resources_are_read_by_their_type() -> None:
    """1000 CPU units, 2000 MiB, two GPU ids; c5.large takes 2 tasks with an own interface."""
    cluster = model()
    assert free(cluster) == (1000, 2000, 2, 2)
    assert cluster.snapshot(0).instances[0].ports_tcp_used == {22}


def test_a_trunk_takes_more_interfaces_but_the_capability_alone_does_not() -> None:
    """c5.large: 2 without a trunk, 10 with one."""
    assert instance(attributes=["ecs.capability.task-eni-trunking"]).interface_limit == 2
    assert instance(attributes=["ecs.awsvpc-trunk-id"]).interface_limit == 10


def test_a_promise_counts_at_once_and_until_a_newer_answer_shows_it() -> None:
    """1000 − 100, then ECS itself says 900 at version 2."""
    cluster = model()
    cluster.promise(I1, JOB, SHAPE)
    assert free(cluster)[:2] == (900, 1800)
    cluster.acknowledge(I1, JOB, TASK, at=5.0)
    cluster.observe([instance(version=2, cpu=900)], asked_at=6.0)
    assert free(cluster)[0] == 900


def test_an_answer_asked_for_before_the_launch_does_not_show_it() -> None:
    """The question was under way when ECS accepted the launch, so both must not be confused."""
    cluster = model()
    cluster.promise(I1, JOB, SHAPE)
    cluster.acknowledge(I1, JOB, TASK, at=5.0)
    cluster.observe([instance(version=2)], asked_at=4.0)
    assert free(cluster)[0] == 900


def test_an_unanswered_launch_keeps_its_promise() -> None:
    """Nobody knows whether it happened; the room stays promised whatever the versions say."""
    cluster = model()
    cluster.promise(I1, JOB, SHAPE)
    cluster.observe([instance(version=9)], asked_at=1000.0)
    assert free(cluster)[0] == 900


def test_a_promise_does_not_outlive_the_time_ecs_takes_to_show_it() -> None:
    """The version may not move when the task ended again; time then decides."""
    cluster = model()
    cluster.promise(I1, JOB, SHAPE)
    cluster.acknowledge(I1, JOB, TASK, at=5.0)
    cluster.observe([instance(version=1)], asked_at=5.0 + SHOWN_AFTER_S)
    assert free(cluster)[0] == 1000


def test_a_withdrawn_promise_gives_the_room_back() -> None:
    """ECS certainly refused."""
    cluster = model()
    cluster.promise(I1, JOB, SHAPE)
    cluster.withdraw(I1, JOB)
    assert free(cluster)[0] == 1000


def test_stale_news_never_undoes_fresher_news() -> None:
    """Version 5 says 300 free; a late answer of version 4 is ignored."""
    cluster = model(instance(version=5, cpu=300))
    cluster.observe([instance(version=4, cpu=1000)], asked_at=50.0)
    assert free(cluster)[0] == 300


def test_interfaces_are_counted_by_our_own_tasks() -> None:
    """2 − 1 when promised, still 1 when accepted and shown, 2 again at its end."""
    cluster = model()
    cluster.promise(I1, JOB, Shape(enis=1))
    assert free(cluster)[3] == 1
    cluster.acknowledge(I1, JOB, TASK, at=1.0)
    cluster.observe([instance(version=2)], asked_at=2.0)
    assert free(cluster)[3] == 1
    cluster.stopped(I1, TASK)
    assert free(cluster)[3] == 2


def test_an_exhausted_instance_takes_no_interfaces_until_one_of_ours_ends() -> None:
    """RESOURCE:ENI tells of interfaces that we can't see."""
    cluster = model()
    cluster.holds_interface(I1, TASK)
    cluster.interfaces_exhausted(I1)
    assert free(cluster)[3] == 0
    cluster.stopped(I1, TASK)
    assert free(cluster)[3] == 2


def test_interfaces_learnt_before_the_instance_are_not_lost() -> None:
    """After a restart the tracker may speak before the sweep does."""
    cluster = ClusterModel()
    cluster.holds_interface(I1, TASK)
    cluster.observe([instance()], asked_at=0.0)
    assert free(cluster)[3] == 1


def test_a_sweep_forgets_what_ecs_no_longer_lists() -> None:
    """I2 was deregistered between two sweeps."""
    cluster = model(instance(I1), instance(I2))
    cluster.complete([I2], at=3.0)
    assert (len(cluster), cluster.complete_at) == (1, 3.0)
    assert [each.id for each in cluster.snapshot(3.0).instances] == [InstanceId(I1)]


def test_inactive_instances_are_not_part_of_the_cluster() -> None:
    """ECS shows them for a while after they were deregistered."""
    cluster = model(instance(I1))
    cluster.observe([instance(I1, version=2, status="INACTIVE")], asked_at=1.0)
    assert len(cluster) == 0


@pytest.mark.parametrize(
    ("members", "availability"),
    [
        ({}, Availability.PLACEABLE),
        ({"status": "DRAINING"}, Availability.DRAINING),
        ({"status": "REGISTERING"}, Availability.DRAINING),
        ({"agentConnected": False}, Availability.AGENT_DISCONNECTED),
    ],
)
def test_only_active_and_connected_instances_are_placeable(
    members: Any, availability: Availability
) -> None:
    """ECS does not promise to refuse a launch onto a draining instance, so we never ask."""
    [seen] = model(instance(**members)).snapshot(0.0).instances
    assert seen.availability is availability


def test_an_avoided_instance_comes_back_by_itself() -> None:
    """Set aside until 10; at 10 it is placeable again."""
    cluster = model()
    cluster.avoid(I1, until=10.0)
    assert cluster.snapshot(9.9).instances[0].availability is Availability.AVOIDED
    assert cluster.snapshot(10.0).instances[0].availability is Availability.PLACEABLE


def test_an_unchanged_cluster_is_the_same_snapshot() -> None:
    """A pass over a quiet cluster costs nothing."""
    cluster = model()
    assert cluster.snapshot(0.0) is cluster.snapshot(1.0)


def test_an_answer_that_says_nothing_new_leaves_the_snapshot_as_it_is() -> None:
    """A sweep of a quiet cluster changes nothing, so nothing is worked out anew."""
    known = model(instance(), instance(I2))
    before = known.snapshot(0.0)
    known.observe((instance(), instance(I2)), asked_at=1.0)
    assert known.snapshot(1.0) is before
    known.observe((instance(version=2, cpu=999), instance(I2)), asked_at=2.0)
    assert known.snapshot(2.0).free[:, 0].tolist() == [999, 1000]


def test_what_follows_from_attributes_is_never_older_than_they_are() -> None:
    """It outlives a change of what is free, and no change of an attribute."""
    wanting = Shape(1, 1, required_attributes=frozenset({("fast", None)}))
    known = model(instance(), instance(I2, attributes=["fast"]))

    def having() -> list[bool]:
        mask = Constraints(known.snapshot(0.0)).attributes(wanting)
        assert mask is not None
        return [bool(each) for each in mask]

    assert having() == [False, True]
    kept = known.snapshot(0.0).lasting
    known.observe((instance(version=2, cpu=999),), asked_at=1.0)
    assert having() == [False, True]
    assert known.snapshot(0.0).lasting is kept
    known.observe((instance(version=3, attributes=["fast"]),), asked_at=2.0)
    assert having() == [True, True]


def test_news_of_a_stopped_task_marks_its_instance_for_another_look() -> None:
    """Until ECS is asked again we don't know what became free; nor after an answer that is old."""
    cluster = model(instance(version=2))
    cluster.stopped(I1, TASK)
    assert cluster.stale == {I1}
    cluster.stale.clear()  # it is being asked
    cluster.observe([instance(version=1)], asked_at=1.0)
    assert cluster.stale == {I1}


def test_a_snapshot_taken_over_piecemeal_is_the_one_taken_afresh() -> None:
    """Whatever changed one by one, the arrays are those of a model that saw it all at once."""
    cluster = model(instance(I1), instance(I2))
    cluster.snapshot(0.0)
    cluster.observe([instance(I2, version=2, cpu=400)], asked_at=1.0)
    cluster.promise(I1, JOB, SHAPE)
    afresh = model(instance(I1), instance(I2, version=2, cpu=400))
    afresh.promise(I1, JOB, SHAPE)
    assert cluster.snapshot(1.0).free.tolist() == afresh.snapshot(1.0).free.tolist()
    assert cluster.snapshot(1.0).instances == afresh.snapshot(1.0).instances


def test_a_promise_that_nobody_settles_runs_out() -> None:
    """Another scheduler may have settled the launch, and tells us nothing: once ECS must show what
    was launched, an answer that does not is the truth.
    """
    cluster = model()
    cluster.promise(I1, JOB, SHAPE, certain_at=90.0)
    taken = free(cluster)
    cluster.observe([instance(version=2)], asked_at=89.0)
    assert (cluster.promised, free(cluster)) == (1, taken)
    cluster.observe([instance(version=2)], asked_at=90.0)
    assert (cluster.promised, free(cluster)) == (0, (1000, 2000, 2, 2))
