"""Several policies in one batch: never more than there is, never against the order."""

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.plan import Start
from ecs_placement.policy import Policy, Strategy, Term
from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.several import Part, check_parts, place_parts
from ecs_placement.snapshot import Instance, InstanceId, Snapshot

POLICIES = (
    Policy(),
    Policy(objective="open", terms=(Term("consolidate"),)),
    Policy(strategies=(Strategy("binpack", "memory"),)),
)
SHAPES = st.builds(
    Shape,
    cpu_units=st.integers(1, 3),
    memory_mib=st.integers(0, 3),
    ports_tcp=st.sampled_from([frozenset[int](), frozenset[int](), frozenset({80})]),
)


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=3))
    requests: list[list[TaskRequest]] = [[], [], []]
    for n in range(draw(st.integers(0, 10))):
        priority = draw(st.sampled_from([0, 0, 1]))
        request = TaskRequest(RequestId(f"t{n}"), draw(st.sampled_from(shapes)), priority, n)
        requests[draw(st.integers(0, 2))].append(request)
    return [Part(p, tuple(r)) for p, r in zip(POLICIES, requests, strict=True) if r]


@st.composite
def fleets(draw: st.DrawFn) -> Snapshot:
    sizes = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=4))
    return Snapshot.of(
        Instance(InstanceId(f"i-{n}"), (cpu, memory, 0, 3), (cpu, memory, 0, 3))
        for n, (cpu, memory) in enumerate(sizes)
    )


@given(parts(), fleets())
def test_no_invariant_is_ever_broken_by_the_whole(given_parts: list[Part], fleet: Snapshot) -> None:
    """Judged turn by turn, and all together as if it were one policy's plan."""
    plan = place_parts(given_parts, fleet)
    requests = [request for part in given_parts for request in part.requests]
    assert check_parts(plan, given_parts, fleet) == ()
    assert check(plan, requests, fleet) == ()
    assert place_parts(given_parts, fleet) == plan


@given(parts(), fleets())
def test_one_policy_alone_is_simply_placed(given_parts: list[Part], fleet: Snapshot) -> None:
    for part in given_parts:
        assert place_parts([part], fleet) == place(part.requests, fleet, part.policy)


def test_a_gang_of_two_policies_starts_whole() -> None:
    """Its members ask for different policies: the first one's places both."""
    gang = Gang(GangId("g"), 2)
    one, two = (TaskRequest(RequestId(n), Shape(1, 1), 0, 0, gang) for n in ("a", "b"))
    fleet = Snapshot.of([Instance(InstanceId("i"), (2, 2, 0, 0), (2, 2, 0, 0))])
    plan = place_parts([Part(POLICIES[0], (one,)), Part(POLICIES[2], (two,))], fleet)
    assert all(isinstance(decision, Start) for decision in plan.decisions)


def test_check_notices_a_plan_for_other_parts() -> None:
    """A check that can fail: the same plan, with one decision missing."""
    fleet = Snapshot.of([Instance(InstanceId("i"), (2, 2, 0, 0), (2, 2, 0, 0))])
    both = [TaskRequest(RequestId(n), Shape(1, 1)) for n in "ab"]
    plan = place_parts([Part(POLICIES[0], (both[0],))], fleet)
    found = check_parts(plan, [Part(POLICIES[0], tuple(both))], fleet)
    assert [violation.kind for violation in found] == [Broken.NOT_ONCE]
