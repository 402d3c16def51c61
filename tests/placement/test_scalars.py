"""Resources that users define themselves: packed, checked and explained as ECS's own are."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.errors import InvalidPolicy, InvalidRequest, InvalidSnapshot
from ecs_placement.explain import sentence
from ecs_placement.explanation import Change, Lack, after, why
from ecs_placement.plan import Plan, Reason, Reject, Reservation, Reserving, Start, Tally, Wait
from ecs_placement.policy import Policy, Strategy, Term
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, Snapshot

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]


def where(plan: Plan) -> dict[str, str]:
    return {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}


def licences(number: int) -> dict[str, frozenset[tuple[str, int]]]:
    return {"scalars": frozenset({("licence", number)})}


def test_a_scalar_binds_like_any_dimension(instance: Build, task: Ask) -> None:
    """Two of four licences are free on b, none on a: two tasks start, the third is short of one."""
    rows = [
        instance("a", total=(65536, 65536, 0, 9)),
        instance("b", total=(65536, 65536, 0, 9), scalars={"licence": (4, 2)}),
    ]
    snapshot = Snapshot.of(rows)
    asked = [task(f"t{n}", order=n, **licences(1)) for n in range(3)]
    plan = place(asked, snapshot)
    assert where(plan) == {"t0": "b", "t1": "b"}
    assert plan.decisions[2] == Wait(asked[2].id, (Tally(Reason.SCALAR, 2, 1, "licence"),))
    assert sentence(plan.decisions[2], asked[2].shape, snapshot) == (
        "no room on 2 instances: 2 short of licence (nearest short by 1)"
    )
    assert check(plan, asked, snapshot) == ()


def test_more_than_any_instance_has_is_rejected_by_name(instance: Build, task: Ask) -> None:
    """Of what nobody declares, everybody has nothing."""
    snapshot = Snapshot.of([instance("a", scalars={"licence": (4, 4)})])
    many, other = task("many", **licences(5)), task("o", scalars=frozenset({("disk_gib", 1)}))
    plan = place([many, other], snapshot)
    assert plan.decisions == (
        Reject(many.id, (Tally(Reason.SCALAR, 1, 1, "licence"),)),
        Reject(other.id, (Tally(Reason.SCALAR, 1, 1, "disk_gib"),)),
    )
    assert sentence(plan.decisions[0], many.shape, snapshot) == (
        "needs 5 licence; the largest registered instance has 4"
    )
    assert check(plan, [many, other], snapshot) == ()


def test_instances_with_a_scalar_are_kept_for_those_who_need_it(instance: Build, task: Ask) -> None:
    """A free licence weighs as a free GPU does; a policy can say that it does not."""
    snapshot = Snapshot.of([instance("a", scalars={"licence": (4, 4)}), instance("b")])
    assert where(place([task("t")], snapshot)) == {"t": "b"}
    careless = Policy(scalar_weights=(("licence", 0.0),))
    assert where(place([task("t")], snapshot, careless)) == {"t": "a"}
    with pytest.raises(InvalidPolicy, match="weights: licence = -1"):
        Policy(scalar_weights=(("licence", -1.0),))


def test_a_scalar_that_was_taken_down_to_none_while_in_use_steers_nobody(
    instance: Build, task: Ask
) -> None:
    """Best fit goes to the smaller b, whatever unit the three licences still held on a are in."""
    for unit in (1, 2**20):
        rows = [
            instance("a", scalars={"licence": (0, -3 * unit)}),
            instance("b", (2048, 8192, 0, 3)),
        ]
        plan = place([task("t")], Snapshot.of(rows))
        assert where(plan) == {"t": "b"}
        assert plan.decisions == place([task("t")], Snapshot.of([instance("a"), rows[1]])).decisions


def test_amounts_beyond_2_to_the_53_are_exact(instance: Build, task: Ask) -> None:
    most = 2**53
    rows = [
        instance("a", scalars={"b": (most, most)}),
        instance("c", scalars={"b": (most + 1,) * 2}),
    ]
    asked = task("t", scalars=frozenset({("b", most + 1)}))
    assert where(place([asked], Snapshot.of(rows))) == {"t": "c"}


@pytest.mark.parametrize(
    "policy",
    [
        Policy(strategies=(Strategy("binpack", "cpu"),)),
        Policy(terms=(Term("best_fit"), Term("keep_room"), Term("open_cost"))),
        Policy(objective="open"),
    ],
)
def test_every_way_of_choosing_respects_scalars(instance: Build, task: Ask, policy: Policy) -> None:
    snapshot = Snapshot.of([instance("a"), instance("b", scalars={"licence": (1, 1)})])
    asked = [task(f"t{n}", order=n, **licences(1)) for n in range(2)]
    plan = place(asked, snapshot, policy, budget_s=0.01 if policy.packs else 0.0)
    assert where(plan) == {"t0": "b"}
    assert [each.instance_id for each in why(asked[0], snapshot, policy).ranked] == ["b"]
    assert check(plan, asked, snapshot, policy) == ()


def test_scalars_are_explained_and_reserved(instance: Build, task: Ask) -> None:
    """Three of four are in use: two are asked for and kept, so that a single one waits."""
    snapshot = Snapshot.of([instance("a", scalars={"licence": (4, 1)})])
    large, small = task("large", **licences(2)), task("small", **licences(1))
    found = why(large, snapshot)
    assert found.nearest[0].lacks == (Lack(Reason.SCALAR, 1, "licence"),)
    assert found.changes == (Change(Reason.SCALAR, 1, 1, "licence"),)
    kept = Reserving((Reservation(large.id),))
    plan = place([large, small, task("plain")], snapshot, reserving=kept)
    assert where(plan) == {"plain": "a"}
    left = after(place([small], snapshot), [small], snapshot)
    assert left.instances[0].scalars == {"licence": (4, 0)}


def test_a_snapshot_grows_a_column_when_an_instance_declares_one(instance: Build) -> None:
    snapshot = Snapshot.of([instance("a"), instance("b")])
    grown = snapshot.updated([instance("a", scalars={"licence": (4, 3)})])
    assert (grown.scalars, grown.free[:, 4].tolist()) == (("licence",), [3, 0])
    assert grown.updated([instance("a")]).free[:, 4].tolist() == [0, 0]


def test_bad_amounts_are_named(instance: Build, task: Ask) -> None:
    with pytest.raises(InvalidSnapshot, match="instance 'a': total licence = -1 is negative"):
        Snapshot.of([instance("a", scalars={"licence": (-1, 0)})])
    with pytest.raises(InvalidRequest, match="request 't': licence = -1 is negative"):
        place([task("t", **licences(-1))], Snapshot.of([]))
    twice = frozenset({("licence", 1), ("licence", 2)})
    with pytest.raises(InvalidRequest, match="a scalar is asked for twice: licence = 1, licence"):
        place([task("t", scalars=twice)], Snapshot.of([]))


AMOUNTS = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=2)


@given(
    st.lists(st.tuples(st.integers(0, 3), AMOUNTS, st.integers(0, 1)), max_size=8),
    st.lists(st.tuples(st.integers(0, 6), AMOUNTS), max_size=4),
    st.sampled_from([0.0, 0.002]),
)
def test_scalars_are_never_overcommitted(
    tasks: list[tuple[int, dict[str, int], int]],
    rows: list[tuple[int, dict[str, int]]],
    budget_s: float,
) -> None:
    """Judged by `check`, and by counting here."""
    asked = [
        TaskRequest(RequestId(f"r{n}"), Shape(cpu, scalars=frozenset(amounts.items())), priority, n)
        for n, (cpu, amounts, priority) in enumerate(tasks)
    ]
    snapshot = Snapshot.of(
        Instance(
            InstanceId(f"i{n}"), (cpu, 0, 0, 0), (cpu, 0, 0, 0),
            scalars={name: (amount, amount) for name, amount in amounts.items()},
        )
        for n, (cpu, amounts) in enumerate(rows)
    )  # fmt: skip
    plan = place(asked, snapshot, budget_s=budget_s)
    assert check(plan, asked, snapshot) == ()
    starts = where(plan)
    for number, (_, amounts) in enumerate(rows):
        for name in "xyz":
            used = sum(
                dict(r.shape.scalars).get(name, 0)
                for r in asked
                if starts.get(r.id) == f"i{number}"
            )
            assert used <= amounts.get(name, 0)


def test_an_overcommitted_scalar_is_found(instance: Build, task: Ask) -> None:
    snapshot = Snapshot.of([instance("a", scalars={"licence": (1, 1)})])
    asked = [task(f"t{n}", **licences(1)) for n in range(2)]
    both = Plan(tuple(Start(r.id, InstanceId("a"), 0.0) for r in asked))
    (found,) = check(both, asked, snapshot)
    assert (found.kind, found.detail) == (Broken.OVERCOMMIT, "licence: 2 started, 1 free")
