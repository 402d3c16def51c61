"""Gangs start whole or not at all, and what they could not keep is as if they had never asked."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.errors import InvalidRequest
from ecs_placement.explain import sentence
from ecs_placement.plan import GangWait, Plan, Reason, Reject, Start, Tally, Wait
from ecs_placement.policy import Policy, Strategy
from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Facts, Instance, InstanceId, Snapshot

Build = Callable[..., Instance]
Fleet = list[tuple[tuple[int, int, int, int], Facts]]

HALF = Shape(2048, 8192)
"""Two of it fill the usual instance of 4096 CPU units and 16384 MiB."""


def gang(
    name: str, *shapes: Shape, size: int | None = None, priority: int = 0
) -> list[TaskRequest]:
    """Members name.0, name.1, ... of these shapes; the size is their number unless told."""
    whole = Gang(GangId(name), size or len(shapes))
    return [
        TaskRequest(RequestId(f"{name}.{n}"), shape, priority, n, whole)
        for n, shape in enumerate(shapes)
    ]


def where(plan: Plan) -> dict[str, str]:
    return {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}


def test_a_gang_starts_when_all_its_members_fit(instance: Build) -> None:
    """Two instances hold two members each."""
    asked = gang("g", *[HALF] * 4)
    plan = place(asked, Snapshot.of([instance("a"), instance("b")]))
    assert where(plan) == {"g.0": "a", "g.1": "a", "g.2": "b", "g.3": "b"}


def test_a_gang_of_which_one_does_not_fit_leaves_its_room_to_others(instance: Build) -> None:
    """Four fit, five are asked for: nothing of it starts, and the single task gets its place."""
    snapshot = Snapshot.of([instance("a"), instance("b")])
    single = TaskRequest(RequestId("single"), HALF)
    asked = [*gang("g", *[HALF] * 5), single]
    plan = place(asked, snapshot)
    assert where(plan) == {"single": "a"}
    lacking = (Tally(Reason.CPU, 2, 2048), Tally(Reason.MEMORY, 2, 8192))
    assert plan.decisions[4] == Wait(RequestId("g.4"), lacking, GangWait(GangId("g"), 5, 5, 4))
    assert sentence(plan.decisions[4], HALF, snapshot) == (
        "gang g starts whole or not at all: 4 of its 5 members fit; for the next there is no room "
        "on 2 instances: 2 short of CPU (nearest short by 2048 units), 2 short of memory (nearest "
        "short by 8192 MiB)"
    )
    assert check(plan, asked, snapshot) == ()


def test_a_gang_waits_for_members_that_are_not_there_yet(instance: Build) -> None:
    """There is room for both, but the third has not come."""
    asked = gang("g", HALF, HALF, size=3)
    plan = place(asked, Snapshot.of([instance("a"), instance("b")]))
    assert plan.decisions[0] == Wait(RequestId("g.0"), (), GangWait(GangId("g"), 3, 2, 0))
    assert sentence(plan.decisions[0], HALF) == "gang g waits for 1 more of its 3 members"


def test_members_may_differ_and_each_learns_what_its_own_shape_lacks(instance: Build) -> None:
    """The driver fits beside one of two workers; what is short is the worker's to say."""
    driver, worker = Shape(3072, 1024), Shape(1024, 4096)
    plan = place(gang("g", driver, worker, worker), Snapshot.of([instance("a")]))
    counts = GangWait(GangId("g"), 3, 3, 2)
    assert plan.decisions[0] == Wait(RequestId("g.0"), (), counts)
    assert plan.decisions[1] == Wait(RequestId("g.1"), (Tally(Reason.CPU, 1, 1024),), counts)
    assert sentence(plan.decisions[0], driver) == (
        "gang g starts whole or not at all: 2 of its 3 members fit"
    )


def test_roll_back_gives_ports_and_task_groups_back(instance: Build) -> None:
    """Two members want port 80 on one instance: neither gets it, a third task does."""
    web = Shape(256, 256, ports_tcp=frozenset({80}), group="web", distinct_instance=True)
    single = TaskRequest(RequestId("single"), replace(web, cpu_units=128))
    asked = [*gang("g", web, web), single]
    snapshot = Snapshot.of([instance("a")])
    plan = place(asked, snapshot)
    assert where(plan) == {"single": "a"}
    assert check(plan, asked, snapshot) == ()


def test_followers_of_a_member_are_placed_after_it_whatever_their_size(instance: Build) -> None:
    """The large reader is bound to the cache's group: within a gang it is tried last."""
    cache = Shape(256, 256, group="cache")
    reader = Shape(2048, 2048, member_of=("task:group == cache",))
    plan = place(gang("g", reader, cache), Snapshot.of([instance("a"), instance("b")]))
    assert where(plan) == {"g.0": "a", "g.1": "a"}


def test_a_gang_counts_at_the_lowest_priority_of_its_members(instance: Build) -> None:
    """One member of priority 9 does not pull its mate of 0 past a task of priority 5."""
    urgent, low = gang("g", HALF, HALF)
    urgent = TaskRequest(urgent.id, HALF, 9, 0, urgent.gang)
    single = TaskRequest(RequestId("single"), HALF, 5)
    asked, snapshot = [urgent, low, single], Snapshot.of([instance("a")])
    plan = place(asked, snapshot)
    assert where(plan) == {"single": "a"}
    assert check(plan, asked, snapshot) == ()


def test_one_impossible_member_rejects_the_gang(instance: Build) -> None:
    """Nothing here ever has 65536 units, so that its mate need not wait."""
    asked, snapshot = gang("g", HALF, Shape(65536, 1)), Snapshot.of([instance("a")])
    plan = place(asked, snapshot)
    assert plan.decisions == (
        Reject(RequestId("g.0"), (), because_of=RequestId("g.1")),
        Reject(RequestId("g.1"), (Tally(Reason.CPU, 1, 61440),)),
    )
    assert sentence(plan.decisions[0], HALF) == (
        "its gang can never start: no registered instance could take g.1"
    )
    assert check(plan, asked, snapshot) == ()


def test_equal_gangs_that_fail_fail_for_the_same_reason(instance: Build) -> None:
    asked = [*gang("g", *[HALF] * 3), *gang("h", *[HALF] * 3)]
    plan = place(asked, Snapshot.of([instance("a")]))
    assert {d.gang.fit for d in plan.decisions if isinstance(d, Wait) and d.gang} == {2}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (gang("g", HALF, size=-1), "request 'g.0': gang 'g' has size -1, expected 1 or more"),
        (gang("g", HALF, HALF, size=1), "request 'g.1': gang 'g' has more members than its size 1"),
        (
            [gang("g", HALF)[0], gang("g", HALF, HALF)[1]],
            "request 'g.1': gang 'g' has size 2, another member says 1",
        ),
    ],
)
def test_a_gang_that_contradicts_itself_is_named(
    instance: Build, members: list[TaskRequest], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        place(members, Snapshot.of([instance("a")]))


def test_a_gang_split_or_kept_waiting_in_error_is_found(instance: Build) -> None:
    """`check` sees one member started alone, and a gang that waits though it fits."""
    asked, snapshot = gang("g", HALF, HALF), Snapshot.of([instance("a")])
    plan = place(asked, snapshot)
    waits = [Wait(r.id, (), GangWait(GangId("g"), 2, 2, 1)) for r in asked]
    split = Plan((plan.decisions[0], waits[1]))
    assert [v.kind for v in check(split, asked, snapshot)] == [Broken.GANG_SPLIT]
    assert [v.kind for v in check(Plan(tuple(waits)), asked, snapshot)] == [Broken.INVERTED]


SHAPES = st.builds(
    Shape,
    cpu_units=st.integers(0, 5),
    memory_mib=st.integers(0, 5),
    ports_tcp=st.sampled_from([frozenset[int](), frozenset[int](), frozenset({80})]),
    member_of=st.sampled_from([(), (), ("task:group == x",), ("not(task:group == x)",)]),
    group=st.sampled_from([None, "x"]),
)


@st.composite
def batches(draw: st.DrawFn) -> list[TaskRequest]:
    """Up to four gangs of up to four, some incomplete, among up to six single requests."""
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=3))
    one = st.sampled_from(shapes)
    asked = [
        TaskRequest(RequestId(f"r{n}"), draw(one), draw(st.integers(0, 1)), draw(st.integers(0, 9)))
        for n in range(draw(st.integers(0, 6)))
    ]
    for name in "ghij"[: draw(st.integers(0, 4))]:
        members = draw(st.lists(one, min_size=1, max_size=4))
        size = len(members) + draw(st.sampled_from([0, 0, 0, 1]))
        asked += gang(name, *members, size=size, priority=draw(st.integers(0, 1)))
    return draw(st.permutations(asked))


FLEETS = st.lists(
    st.builds(
        lambda cpu, memory, running: ((cpu, memory, 0, 0), Facts(tasks_by_group=running)),
        st.integers(0, 8),
        st.integers(0, 8),
        st.sampled_from([{}, {}, {"x": 1}]),
    ),
    max_size=4,
)
POLICIES = st.sampled_from([Policy(), Policy(strategies=(Strategy("binpack", "cpu"),))])


def cluster(fleet: Fleet) -> Snapshot:
    return Snapshot.of(
        Instance(InstanceId(f"i{n}"), free, free, facts=facts)
        for n, (free, facts) in enumerate(fleet)
    )


@given(batches(), FLEETS, POLICIES)
def test_a_gang_is_never_split_and_never_breaks_an_invariant(
    asked: list[TaskRequest], fleet: Fleet, policy: Policy
) -> None:
    snapshot = cluster(fleet)
    plan = place(asked, snapshot, policy)
    assert check(plan, asked, snapshot) == ()


@given(batches(), FLEETS, POLICIES)
def test_a_gang_that_waits_never_leaves_a_trace(
    asked: list[TaskRequest], fleet: Fleet, policy: Policy
) -> None:
    """Everybody else is decided as if it had not been asked, but for its own reasons."""
    snapshot = cluster(fleet)
    plan = place(asked, snapshot, policy)
    starts = where(plan)
    rest = [r for r in asked if r.gang is None or r.id in starts]
    assert where(place(rest, snapshot, policy)) == starts
