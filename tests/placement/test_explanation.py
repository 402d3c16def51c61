"""`why`: what is missing, what would help, and what else would have done."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.explanation import Change, Lack, Near, TypeFit, after, why
from ecs_placement.plan import Reason, Start, Tally, Wait
from ecs_placement.policy import DEFAULT_POLICY
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.several import Part, place_parts
from ecs_placement.snapshot import Availability, Facts, Instance, InstanceId, Snapshot

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]


def test_a_request_that_waits_learns_what_would_help(instance: Build, task: Ask) -> None:
    """a lacks 512 units, b 256 and its agent, c the disk: 512 units less would do, or no disk."""
    small = {"ecs.instance-type": "m5.xlarge", "disk": "fast"}
    large = {"ecs.instance-type": "m5.4xlarge"}
    rows = [
        instance("a", free=(512, 16384, 0, 3), attributes=small),
        instance(
            "b",
            free=(768, 16384, 0, 3),
            attributes=small,
            availability=Availability.AGENT_DISCONNECTED,
        ),
        instance("c", total=(16384, 65536, 0, 7), attributes=large),
    ]
    asked = task("t", required_attributes=frozenset({("disk", "fast")}))
    found = why(asked, Snapshot.of(rows))
    assert found.decision == Wait(asked.id, found.tallies)
    assert found.tallies == (
        Tally(Reason.CPU, 2, 256),
        Tally(Reason.ATTRIBUTE, 1),
        Tally(Reason.AGENT, 1),
    )
    disk = Lack(Reason.ATTRIBUTE, 0, "disk=fast")
    assert found.nearest == (
        Near(InstanceId("a"), "m5.xlarge", (Lack(Reason.CPU, 512),)),
        Near(InstanceId("c"), "m5.4xlarge", (disk,)),
        Near(InstanceId("b"), "m5.xlarge", (Lack(Reason.CPU, 256), Lack(Reason.AGENT))),
    )
    assert found.changes == (Change(Reason.CPU, 1, 512), Change(Reason.ATTRIBUTE, 1))
    assert found.types == (TypeFit("m5.xlarge", 2, 2), TypeFit("m5.4xlarge", 1, 0))
    assert found.ranked == ()


def test_a_request_that_starts_learns_of_the_runner_up(instance: Build, task: Ask) -> None:
    """b is fuller and wins; a comes second."""
    rows = [instance("a"), instance("b", free=(2048, 8192, 0, 3))]
    found = why(task("t"), Snapshot.of(rows))
    assert isinstance(found.decision, Start)
    assert [each.instance_id for each in found.ranked] == ["b", "a"]
    assert found.ranked[0].score > found.ranked[1].score
    assert [term.name for term in found.ranked[0].terms] == ["best_fit"]
    assert (found.nearest, found.changes) == ((), ())


def test_each_broken_constraint_is_named(instance: Build) -> None:
    """The port in use, the expression that fails and not the one that holds, the group there."""
    shape = Shape(
        1, 1, ports_udp=frozenset({53}), group="dns", distinct_instance=True,
        member_of=("agentConnected == true", "runningTasksCount > 5"),
    )  # fmt: skip
    row = instance("a", ports_udp_used=frozenset({53}), facts=Facts(tasks_by_group={"dns": 1}))
    (near,) = why(TaskRequest(RequestId("t"), shape), Snapshot.of([row])).nearest
    assert near.lacks == (
        Lack(Reason.PORTS, 0, "53/udp"),
        Lack(Reason.MEMBER_OF, 0, "runningTasksCount > 5"),
        Lack(Reason.DISTINCT, 0, "dns"),
    )


def test_after_a_plan_the_cluster_holds_what_it_starts(instance: Build, task: Ask) -> None:
    """Four of 1024 units fill a; the fifth is explained beside them."""
    snapshot = Snapshot.of([instance("a")])
    asked = [task(f"t{n}", order=n, ports_tcp=frozenset({n + 1})) for n in range(4)]
    left = after(place(asked, snapshot), asked, snapshot)
    assert left.free.tolist() == [[0, 8192, 0, 3]]
    assert left.instances[0].ports_tcp_used == {1, 2, 3, 4}
    assert left.instances[0].facts.running_tasks == 0, "they are PENDING first"
    late = task("late", order=9)
    assert place([*asked, late], snapshot).decisions[4] == why(late, left).decision


def test_without_instances_there_is_nothing_to_say(task: Ask) -> None:
    found = why(task("t"), Snapshot.of([]))
    assert found.decision == Wait(RequestId("t"), ())
    assert (found.tallies, found.nearest, found.changes, found.types) == ((), (), (), ())


SMALL = st.integers(0, 4)
PORTS = st.sampled_from([frozenset[int](), frozenset({80}), frozenset({80, 443})])
ZONES = st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}])
SHAPES = st.builds(
    Shape,
    SMALL,
    SMALL,
    st.integers(0, 1),
    ports_tcp=PORTS,
    required_attributes=st.sampled_from([frozenset[tuple[str, str]](), frozenset({("zone", "a")})]),
    member_of=st.sampled_from([(), ("attribute:zone == b",), ("attribute:zone exists",)]),
)
ROWS = st.lists(
    st.builds(
        lambda cpu, memory, gpus, ports, zone, state: Instance(
            InstanceId(""), (4, 4, 1, 0), (cpu, memory, gpus, 0), ports, attributes=zone,
            availability=state,
        ),
        SMALL, SMALL, st.integers(0, 1), PORTS, ZONES,
        st.sampled_from([*[Availability.PLACEABLE] * 4, *Availability]),
    ),
    max_size=5,
)  # fmt: skip


def faults(shape: Shape, row: Instance) -> dict[Reason, int]:
    """One instance looked at on its own, in plain Python."""
    found = {}
    for reason, asked, free in zip(Reason, shape.demand, row.free, strict=False):
        if asked > free and asked:
            found[reason] = asked - free
    zone = row.attributes.get("zone")
    states = {
        Availability.AGENT_DISCONNECTED: Reason.AGENT,
        Availability.DRAINING: Reason.DRAINING,
        Availability.AVOIDED: Reason.AVOIDED,
    }
    for broken, reason in (
        (bool(shape.ports_tcp & row.ports_tcp_used), Reason.PORTS),
        (bool(shape.required_attributes) and zone != "a", Reason.ATTRIBUTE),
        (shape.member_of == ("attribute:zone == b",) and zone != "b", Reason.MEMBER_OF),
        (shape.member_of == ("attribute:zone exists",) and zone is None, Reason.MEMBER_OF),
        (row.availability in states, states.get(row.availability, Reason.AGENT)),
    ):
        if broken:
            found[reason] = 0
    return found


@given(SHAPES, ROWS)
def test_an_explanation_never_disagrees_with_looking_at_each_instance(
    shape: Shape, drawn: list[Instance]
) -> None:
    """Tallies, nearest, changes and the ranked agree with the faults counted one by one."""
    rows = {
        InstanceId(f"i{n}"): replace(row, id=InstanceId(f"i{n}")) for n, row in enumerate(drawn)
    }
    found = why(TaskRequest(RequestId("t"), shape), Snapshot.of(rows.values()), most=9)
    broken = {name: faults(shape, row) for name, row in rows.items()}
    assert {each.instance_id for each in found.ranked} == {n for n, b in broken.items() if not b}
    assert {near.instance_id: {lack.reason: lack.short_by for lack in near.lacks}
            for near in found.nearest} == {n: b for n, b in broken.items() if b}  # fmt: skip
    for tally in found.tallies:
        shorts = [b[tally.reason] for b in broken.values() if tally.reason in b]
        assert (tally.instances, tally.short_by) == (len(shorts), min(shorts))
    assert {tally.reason for tally in found.tallies} == {r for b in broken.values() for r in b}
    alone = [b for b in broken.values() if len(b) == 1]
    for change in found.changes:
        shorts = [b[change.reason] for b in alone if change.reason in b]
        assert (change.instances, change.short_by) == (len(shorts), min(shorts))
    assert {change.reason for change in found.changes} == {r for b in alone for r in b}


@given(SHAPES, ROWS)
def test_the_smallest_change_of_an_amount_never_fails_to_help(
    shape: Shape, drawn: list[Instance]
) -> None:
    """Asking for so much less makes the request start."""
    names = ("cpu_units", "memory_mib", "gpus")
    rows = [replace(row, id=InstanceId(f"i{n}")) for n, row in enumerate(drawn)]
    snapshot = Snapshot.of(rows)
    for change in why(TaskRequest(RequestId("t"), shape), snapshot).changes:
        if change.short_by:
            column = list(Reason).index(change.reason)
            less = {names[column]: shape.demand[column] - change.short_by}
            changed = TaskRequest(RequestId("t"), replace(shape, **less))  # type: ignore[arg-type]
            assert isinstance(place([changed], snapshot).decisions[0], Start)


COUNTED = st.builds(
    Shape,
    SMALL,
    SMALL,
    member_of=st.sampled_from(
        [("runningTasksCount < 2",), ("runningTasksCount >= 1", "attribute:zone exists"), ()]
    ),
    group=st.sampled_from([None, "g"]),
)
BUSY = st.lists(
    st.builds(
        lambda cpu, running, zone: Instance(
            InstanceId(""), (4, 4, 1, 0), (cpu, 4, 0, 0), attributes=zone,
            facts=Facts(running_tasks=running),
        ),
        SMALL, st.integers(0, 2), ZONES,
    ),
    max_size=4,
)  # fmt: skip


@given(st.lists(COUNTED, max_size=8), BUSY, st.integers(0, 8))
def test_an_explanation_never_counts_otherwise_than_the_pass(
    shapes: list[Shape], drawn: list[Instance], cut: int
) -> None:
    """What waits after a pass, of one policy or two, is told the same reasons by `why`; above all
    `runningTasksCount`, which stays what ECS said of it.
    """
    snapshot = Snapshot.of(replace(row, id=InstanceId(f"i{n}")) for n, row in enumerate(drawn))
    asked = [TaskRequest(RequestId(f"t{n}"), shape, order=n) for n, shape in enumerate(shapes)]
    parts = [Part(DEFAULT_POLICY, tuple(asked[:cut])), Part(DEFAULT_POLICY, tuple(asked[cut:]))]
    plan = place_parts(parts, snapshot)
    left = after(plan, asked, snapshot)
    last = {request.id for request in asked[cut:] or asked[:cut]}
    for request in asked:
        decision = next(each for each in plan.decisions if each.request_id == request.id)
        if not isinstance(decision, Start) and request.id in last:
            found = why(request, left)
            assert found.decision == decision
            if isinstance(decision, Wait):
                assert found.tallies == decision.reasons
