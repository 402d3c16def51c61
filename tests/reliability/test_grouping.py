"""Fuller calls: equal jobs go to ten instances side by side when calls are what is short."""

from collections import Counter

from ecs_placement import place
from ecs_placement.plan import Start
from ecs_placement.policy import DEFAULT_POLICY
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot
from ecs_scheduler.launching.grouping import Regrouped, regrouped

SMALL = Shape(cpu_units=64, memory_mib=64)
BIG = Shape(cpu_units=8192, memory_mib=1024)
CLUSTER = Snapshot.of(
    Instance(InstanceId(f"i-{n:02d}"), (16384, 32768, 0, 10), (16384, 32768, 0, 10))
    for n in range(30)
)


def requests(count: int, shape: Shape, name: str = "small") -> list[TaskRequest]:
    return [TaskRequest(RequestId(f"{name}-{n:04d}"), shape, order=n) for n in range(count)]


def group(wanted: list[TaskRequest], calls: int, snapshot: Snapshot = CLUSTER) -> Regrouped:
    plan = place(wanted, snapshot, DEFAULT_POLICY)
    key = {request.id: request.shape for request in wanted}
    return regrouped(plan, wanted, key.__getitem__, calls, (snapshot, lambda _: DEFAULT_POLICY))


def piles(grouped: Regrouped, prefix: str = "small") -> Counter[str]:
    return Counter(
        each.instance_id
        for each in grouped.plan.decisions
        if isinstance(each, Start) and each.request_id.startswith(prefix)
    )


def test_equal_jobs_are_dealt_over_ten_instances() -> None:
    """Best fit alone piles 200 jobs on one instance: 200 calls. Four calls now start forty."""
    grouped = group(requests(200, SMALL), calls=4)
    assert sorted(piles(grouped).values()) == [4] * 10
    assert len(grouped.left) == 160


def test_nothing_changes_while_calls_are_enough() -> None:
    """The tightest packing is kept when every call can be made."""
    wanted = requests(30, SMALL)
    grouped = group(wanted, calls=30)
    assert grouped.plan == place(wanted, CLUSTER, DEFAULT_POLICY)
    assert grouped.left == ()


def test_what_was_placed_for_others_stays_theirs() -> None:
    """No instance takes more than it has, with 20 big jobs beside 200 small ones."""
    wanted = [*requests(20, BIG, "big"), *requests(200, SMALL)]
    grouped = group(wanted, calls=8)
    used = Counter[str]()
    for prefix, shape in (("big", BIG), ("small", SMALL)):
        for instance, tasks in piles(grouped, prefix).items():
            used[instance] += tasks * shape.cpu_units
    assert len(piles(grouped, "big")) > 0
    assert max(used.values()) <= 16384


def test_the_fullest_instances_are_still_the_first() -> None:
    """Ten half-full instances are filled further; the empty ones stay empty."""
    half = [
        Instance(InstanceId(f"i-{n:02d}"), (16384, 32768, 0, 10), (8192, 16384, 0, 10))
        for n in range(10, 20)
    ]
    grouped = group(requests(2000, SMALL), calls=200, snapshot=CLUSTER.updated(half))
    assert {f"i-{n:02d}" for n in range(10, 20)} <= set(piles(grouped))


def test_nothing_is_opened_for_fuller_calls_where_what_is_open_takes_them() -> None:
    """Ten instances are half full; a few calls leave room there, and would look full anywhere."""
    half = [
        Instance(InstanceId(f"i-{n:02d}"), (16384, 32768, 0, 10), (8192, 16384, 0, 10))
        for n in range(10, 20)
    ]
    grouped = group(requests(400, SMALL), calls=4, snapshot=CLUSTER.updated(half))
    assert piles(grouped) == {f"i-{n:02d}": 4 for n in range(10, 20)}


def test_what_is_opened_for_fuller_calls_is_what_costs_least() -> None:
    """Of twenty empty instances those that sort first cost half as much again."""
    room = (16384, 32768, 0, 10)
    kinds = [("c5.4xlarge", n) for n in range(10, 20)] + [("r5.4xlarge", n) for n in range(10)]
    fleet = Snapshot.of(
        Instance(InstanceId(f"i-{n:02d}"), room, room, attributes={"ecs.instance-type": kind})
        for kind, n in kinds
    )
    grouped = group(requests(400, SMALL), calls=4, snapshot=fleet)
    assert piles(grouped) == {f"i-{n:02d}": 4 for n in range(10, 20)}
