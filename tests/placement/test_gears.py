"""Both gears inside `place`: the thorough one keeps every rule and is never worse than the fast."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.contest import Field, contest
from ecs_placement.errors import InvalidPolicy
from ecs_placement.feasible import Constraints
from ecs_placement.plan import Plan, Reservation, Reserving, Start
from ecs_placement.policy import BEST_FIT, DEFAULT_POLICY, Policy, Prices, Strategy
from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.room import Room
from ecs_placement.snapshot import Availability, Facts, Instance, InstanceId, Snapshot

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]
Constrained = dict[str, object]

CONSTRAINTS: list[Constrained] = [
    {},
    {},
    {"ports_tcp": frozenset({80})},
    {"ports_tcp": frozenset({80, 443}), "ports_udp": frozenset({53})},
    {"required_attributes": frozenset({("zone", "a")})},
    {"member_of": ("attribute:zone == b",)},
    {"group": "apart", "distinct_instance": True},
    {"group": "apart"},
    {"group": "web"},
    {"member_of": ("not(task:group == web)",)},
]
EFFORT_S = 0.004


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    rows = []
    for number in range(draw(st.integers(1, 7))):
        total = (draw(st.integers(2, 9)), draw(st.integers(2, 9)), draw(st.integers(0, 1)), 2)
        used = draw(st.sampled_from([0, 0, 1]))
        groups = {"apart": 1} if draw(st.integers(0, 4)) == 0 else {}
        rows.append(
            Instance(
                InstanceId(f"i-{number}"),
                total,
                (total[0] - used, total[1] - used, total[2], total[3]),
                draw(st.sampled_from([frozenset[int](), frozenset({80})])),
                attributes={"zone": draw(st.sampled_from("ab"))},
                availability=draw(st.sampled_from([*[Availability.PLACEABLE] * 6, *Availability])),
                facts=Facts(running_tasks=used, tasks_by_group=groups),
            )
        )
    return Snapshot.of(rows)


@st.composite
def batches(draw: st.DrawFn) -> list[TaskRequest]:
    shapes = [
        Shape(
            cpu_units=draw(st.integers(0, 5)),
            memory_mib=draw(st.integers(0, 5)),
            gpus=draw(st.sampled_from([0, 0, 0, 1])),
            **draw(st.sampled_from(CONSTRAINTS)),  # type: ignore[arg-type]
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    pair = Gang(GangId("pair"), 2) if draw(st.booleans()) else None
    return [
        TaskRequest(
            RequestId(f"r{number}"),
            draw(st.sampled_from(shapes)),
            draw(st.integers(0, 1)),
            number,
            pair if number < 2 else None,
        )
        for number in range(draw(st.integers(2, 24)))
    ]


def started(plan: Plan) -> dict[str, str]:
    return {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}


def worth_waiting(
    plan: Plan, requests: list[TaskRequest], snapshot: Snapshot, priority: int
) -> float:
    """Of what is asked at the highest priority: mean share of all room, over what is asked for. A
    gang counts at the lowest of its members.
    """
    lowest = min((each.priority for each in requests if each.gang is not None), default=priority)
    of = [
        request
        for request in requests
        if (request.priority if request.gang is None else lowest) == priority
    ]
    asked = np.array([request.shape.demand for request in of])
    room = np.maximum(np.maximum(snapshot.free, 0).sum(axis=0), 1)
    if not asked.any():
        return 0.0
    used = asked.any(axis=0)
    worth = (asked / room)[:, used].mean(axis=1)
    left = [request.id not in started(plan) for request in of]
    return float(worth[left].sum())


POLICIES = st.sampled_from(
    [
        BEST_FIT,
        DEFAULT_POLICY,
        replace(DEFAULT_POLICY, prices=Prices("zone", (("a", 0.0), ("b", 0.2)))),
    ]
)


@given(batches(), clusters(), st.booleans(), POLICIES)
@settings(max_examples=80)
def test_no_plan_of_the_thorough_gear_ever_breaks_an_invariant(
    requests: list[TaskRequest], snapshot: Snapshot, reserves: bool, policy: Policy
) -> None:
    """With room that is kept for one of them too, which tasks that end in time may use."""
    kept = tuple(Reservation(each.id) for each in requests[-1:] if reserves and not each.gang)
    reserving = Reserving(kept, now_s=0.0)
    requests = [replace(each, lasts_s=1) if each.order % 2 else each for each in requests]
    plan = place(requests, snapshot, policy, budget_s=EFFORT_S, reserving=reserving)
    assert check(plan, requests, snapshot, policy, reserving=reserving) == ()


@given(batches(), clusters(), POLICIES)
@settings(max_examples=60)
def test_it_never_leaves_more_waiting_at_the_highest_priority(
    requests: list[TaskRequest], snapshot: Snapshot, policy: Policy
) -> None:
    highest = max(request.priority for request in requests)
    fast = worth_waiting(place(requests, snapshot, policy), requests, snapshot, highest)
    plan = place(requests, snapshot, policy, budget_s=EFFORT_S)
    assert worth_waiting(plan, requests, snapshot, highest) <= fast + 1e-9


@given(batches(), clusters(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_its_plan_never_depends_on_the_order_of_the_list(
    requests: list[TaskRequest], snapshot: Snapshot, chance: random.Random
) -> None:
    plan = place(requests, snapshot, budget_s=EFFORT_S)
    mixed = list(requests)
    chance.shuffle(mixed)
    assert set(plan.decisions) == set(place(mixed, snapshot, budget_s=EFFORT_S).decisions)


def planted(instance: Build) -> tuple[list[TaskRequest], Snapshot]:
    """24 instances, each cut into four tasks to the last unit."""
    chance = np.random.default_rng(4)
    sizes = chance.integers(1, 9, (6, 2)) * 256
    rows: list[Instance] = []
    asked: list[TaskRequest] = []
    for number in range(24):
        drawn = sizes[chance.integers(0, 6, 4)]
        cpu, memory = drawn.sum(axis=0).tolist()
        rows.append(instance(f"i{number:02}", (cpu, memory, 0, 3)))
        for size in drawn.tolist():
            shape = Shape(size[0], size[1])
            asked.append(TaskRequest(RequestId(f"t{len(asked):03}"), shape, order=len(asked)))
    return asked, Snapshot.of(rows)


def test_it_starts_more_of_a_batch_that_fills_the_cluster_exactly(instance: Build) -> None:
    asked, snapshot = planted(instance)
    fast, thorough = (place(asked, snapshot, budget_s=each) for each in (0.0, 0.3))
    assert check(thorough, asked, snapshot) == ()
    assert len(started(fast)) < 0.9 * len(asked)
    assert len(started(thorough)) > 0.95 * len(asked)


@pytest.mark.parametrize(
    "constraint",
    [
        {"required_attributes": frozenset({("zone", "a")})},
        {"member_of": ("attribute:zone == a",)},
        {"ports_tcp": frozenset({80})},
        {"group": "apart", "distinct_instance": True},
    ],
    ids=["attribute", "expression", "port", "distinct"],
)
def test_it_never_places_more_by_breaking_a_constraint(
    instance: Build, constraint: Constrained
) -> None:
    """Half of the tasks are bound, and would all fit if they were not; others fill the rest."""
    asked, snapshot = planted(instance)
    bound = [
        replace(request, shape=replace(request.shape, **constraint)) if number % 2 else request  # type: ignore[arg-type]
        for number, request in enumerate(asked)
    ]
    zoned = [
        replace(row, attributes={"zone": "abbb"[number % 4]})
        for number, row in enumerate(snapshot.instances)
    ]
    plan = place(bound, Snapshot.of(zoned), budget_s=0.1)
    assert check(plan, bound, Snapshot.of(zoned)) == ()
    assert len(started(plan)) > len(started(place(bound, Snapshot.of(zoned))))


def test_it_leaves_more_instances_empty(instance: Build, task: Ask) -> None:
    """One of each size fills 8 vCPU and 8 GiB exactly, six times; best fit opens a seventh."""
    snapshot = Snapshot.of(instance(f"i{n:02}", (8192, 8192, 0, 3)) for n in range(12))
    asked = [
        task(f"t{cpu}-{n}", cpu_units=cpu * 1024, memory_mib=memory * 1024, order=n)
        for cpu, memory in ((1, 1), (4, 3), (3, 4))
        for n in range(6)
    ]
    fast, thorough = (started(place(asked, snapshot, budget_s=each)) for each in (0.0, 0.1))
    assert len(fast) == len(thorough) == 18
    assert (len(set(fast.values())), len(set(thorough.values()))) == (7, 6)


def test_it_takes_the_cheaper_of_idle_instances(instance: Build, task: Ask) -> None:
    """Eight tasks of 1 vCPU: one instance of 8 for 1 dollar, not two of 4 for 0.9 each."""
    rows = [instance(f"small{n}", (4096, 16384, 0, 3)) for n in range(3)]
    rows += [instance("large", (8192, 32768, 0, 3))]
    typed = [replace(row, attributes={"ecs.instance-type": row.id[:5]}) for row in rows]
    asked = [task(f"t{n}", order=n) for n in range(8)]
    policy = Policy(prices=Prices(of=(("small", 0.9), ("large", 1.0))))
    fast, thorough = (
        started(place(asked, Snapshot.of(typed), policy, budget_s=each)) for each in (0.0, 0.05)
    )
    assert len(fast) == len(thorough) == 8
    assert len(set(fast.values())) == 2
    assert set(thorough.values()) == {"large"}


def test_the_search_is_shown_no_more_equal_idle_instances_than_there_are_tasks(
    instance: Build,
) -> None:
    """Of each kind as many as there are tasks, the first ones, and all that are in use."""
    small = [instance(f"a-{number:03}", (4, 8, 0, 0)) for number in range(50)]
    large = [instance(f"b-{number:03}", (8, 8, 0, 0)) for number in range(50)]
    used = [instance(f"c-{number:03}", (8, 8, 0, 0), free=(5, 8, 0, 0)) for number in range(20)]
    snapshot = Snapshot.of([*small, *large, *used])
    room = Room(snapshot.free, np.ones(4))
    field = Field(snapshot, Constraints(snapshot), room, np.ones(120))
    competing = contest(field, [Shape(2, 2), Shape(3, 1)], np.array([4, 3]))
    assert competing is not None
    shown = [*range(7), *range(50, 57), *range(100, 120)]
    assert competing.rows.tolist() == shown


def test_room_for_a_higher_priority_is_never_given_to_better_fitting_lower_ones(
    instance: Build, task: Ask
) -> None:
    """High takes 3 of 4 vCPU; without it the two low ones would fill the instance."""
    high = task("high", cpu_units=3072, priority=1)
    low = [task(f"low{n}", cpu_units=2048, order=n) for n in range(2)]
    plan = place([*low, high], Snapshot.of([instance("a")]), budget_s=0.05)
    assert started(plan) == {"high": "a"}


def test_ecs_strategies_are_followed_whatever_the_budget(instance: Build) -> None:
    asked, snapshot = planted(instance)
    policy = Policy(strategies=(Strategy("binpack", "cpu"),))
    assert place(asked, snapshot, policy, budget_s=0.3) == place(asked, snapshot, policy)


@pytest.mark.parametrize("budget_s", [-1.0, float("nan")])
def test_a_budget_that_is_none_is_refused(budget_s: float) -> None:
    with pytest.raises(InvalidPolicy, match="budget_s is"):
        place([], Snapshot.of([]), budget_s=budget_s)
