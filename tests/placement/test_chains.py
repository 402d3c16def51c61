"""ECS's strategy chains, against a naive reading of AWS's words that keeps everything in lists."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.errors import InvalidPolicy
from ecs_placement.plan import Plan, Start
from ecs_placement.policy import OBJECTIVES, Policy, Strategy, Term
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Facts, Instance, InstanceId, Snapshot

ZONE = "attribute:ecs.availability-zone"


def fleet(*zones: str, free: tuple[int, int, int, int] = (4096, 8192, 0, 3)) -> Snapshot:
    return Snapshot.of(
        Instance(InstanceId(f"i-{n}"), free, free, attributes={"ecs.availability-zone": zone})
        for n, zone in enumerate(zones)
    )


def tasks(count: int) -> list[TaskRequest]:
    return [
        TaskRequest(RequestId(f"t{n}"), Shape(1024, 1024, group="g"), order=n) for n in range(count)
    ]


def where(plan: Plan) -> list[str]:
    return [d.instance_id for d in plan.decisions if isinstance(d, Start)]


def test_spread_over_zones_then_binpack() -> None:
    """Zone a has i-0 and i-1, b has i-2: a b a b, within a zone the fuller instance again."""
    policy = Policy(strategies=(Strategy("spread", ZONE), Strategy("binpack", "memory")))
    plan = place(tasks(4), fleet("a", "a", "b"), policy)
    assert Counter(where(plan)) == {"i-0": 2, "i-2": 2}


def test_spread_counts_tasks_of_the_group_that_already_run() -> None:
    """i-0 runs two of the group: the next two go to i-1, the fifth task makes it 3 to 2."""
    first = Instance(
        InstanceId("i-0"),
        (8192, 8192, 0, 3),
        (8192, 8192, 0, 3),
        facts=Facts(tasks_by_group={"g": 2}),
    )
    second = Instance(InstanceId("i-1"), (8192, 8192, 0, 3), (8192, 8192, 0, 3))
    policy = Policy(strategies=(Strategy("spread", "instanceId"),))
    plan = place(tasks(3), Snapshot.of([first, second]), policy)
    assert Counter(where(plan)) == {"i-1": 2, "i-0": 1}


def test_binpack_takes_the_least_available_that_still_fits() -> None:
    """By CPU i-1 (1024 left) fits one task, then i-0; by memory i-0 (2048 left) fits two."""
    rows = [
        Instance(InstanceId("i-0"), (4096, 8192, 0, 3), (4096, 2048, 0, 3)),
        Instance(InstanceId("i-1"), (4096, 8192, 0, 3), (1024, 8192, 0, 3)),
    ]
    by_cpu = Policy(strategies=(Strategy("binpack", "cpu"),))
    by_memory = Policy(strategies=(Strategy("binpack", "memory"),))
    assert Counter(where(place(tasks(2), Snapshot.of(rows), by_cpu))) == {"i-1": 1, "i-0": 1}
    assert Counter(where(place(tasks(2), Snapshot.of(rows), by_memory))) == {"i-0": 2}


def test_random_is_reproducible_from_its_seed() -> None:
    snapshot = fleet(*"abcdefgh")
    plans = [
        where(place(tasks(8), snapshot, Policy(strategies=(Strategy("random"),), seed=seed)))
        for seed in (1, 1, 2)
    ]
    assert plans[0] == plans[1] != plans[2]


def test_random_takes_every_instance_in_the_long_run_though_tasks_come_one_by_one() -> None:
    """A batch of one is the usual case: 400 of them on 8 instances put at least 25 on each (the
    chance of fewer is one in a million), and the same batch is decided the same way again.
    """
    policy, snapshot = Policy(strategies=(Strategy("random"),)), fleet(*"abcdefgh")
    taken = [where(place([task], snapshot, policy))[0] for task in tasks(400)]
    assert min(Counter(taken)[f"i-{n}"] for n in range(8)) >= 25
    assert taken == [where(place([task], snapshot, policy))[0] for task in tasks(400)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Strategy("binpak", "cpu"), "did you mean binpack"),
        (lambda: Strategy("binpack", "memroy"), "expected one of cpu, memory; did you mean memory"),
        (lambda: Strategy("spread", "zone"), "instanceId, host, attribute:NAME"),
        (lambda: Strategy("random", "cpu"), "random field 'cpu' is unknown, expected one of none"),
        (lambda: Strategy("spread", "attribute:"), "field 'attribute:' is unknown"),
        (lambda: Policy(strategies=(Strategy("random"),) * 6), "at most 5"),
        (lambda: Policy(seed=-1), "seed = -1 must be an integer, 0 or more"),
    ],
)
def test_unknown_strategies_name_the_nearest(build: object, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        build()  # type: ignore[operator]


chains = st.lists(
    st.sampled_from(
        [
            Strategy("binpack", "cpu"),
            Strategy("binpack", "memory"),
            Strategy("spread", ZONE),
            Strategy("spread", "instanceId"),
        ]
    ),
    min_size=1,
    max_size=3,
    unique=True,
)
rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("ab"), st.integers(0, 2)),
    min_size=1,
    max_size=5,
)


@given(chains, rows, st.integers(0, 8))
def test_chains_agree_with_a_naive_reading(
    chain: list[Strategy], drawn: list[tuple[int, int, str, int]], count: int
) -> None:
    instances = [
        Instance(
            InstanceId(f"i-{n}"),
            (cpu, memory, 0, 0),
            (cpu, memory, 0, 0),
            attributes={"ecs.availability-zone": zone},
            facts=Facts(tasks_by_group={"g": running}),
        )
        for n, (cpu, memory, zone, running) in enumerate(drawn)
    ]
    requests = [
        TaskRequest(RequestId(f"t{n}"), Shape(2, 1, group="g"), order=n) for n in range(count)
    ]
    snapshot = Snapshot.of(instances)
    plan = place(requests, snapshot, Policy(strategies=tuple(chain)))
    assert Counter(where(plan)) == naive(chain, drawn, count)
    assert check(plan, requests, snapshot) == ()


def naive(
    chain: list[Strategy], drawn: list[tuple[int, int, str, int]], count: int
) -> Counter[str]:
    """For each task, sort all candidates by all keys in turn and take the first."""
    left = [[cpu, memory] for cpu, memory, _, _ in drawn]
    running = [number for *_, number in drawn]
    placed: Counter[str] = Counter()
    for _ in range(count):

        def keys(row: int) -> list[int]:
            found = []
            for strategy in chain:
                if strategy.type == "binpack":
                    found.append(left[row][strategy.field == "memory"])
                elif strategy.field == "instanceId":
                    found.append(running[row])
                else:
                    same = [r for r in range(len(drawn)) if drawn[r][2] == drawn[row][2]]
                    found.append(sum(running[r] for r in same))
            return [*found, row]

        able = [row for row in range(len(drawn)) if left[row][0] >= 2 and left[row][1] >= 1]
        if able:
            best = min(able, key=keys)
            left[best] = [left[best][0] - 2, left[best][1] - 1]
            running[best] += 1
            placed[f"i-{best}"] += 1
    return placed


ROOM = st.integers(0, 12)
MIXED = st.lists(
    st.sampled_from(
        [
            Strategy("binpack", "cpu"),
            Strategy("binpack", "memory"),
            Strategy("spread", ZONE),
            Strategy("spread", "host"),
            Strategy("score"),
        ]
    ),
    min_size=1,
    max_size=3,
)
SCORES = st.sampled_from(
    [(), (Term("best_fit"), Term("consolidate", 2.0)), (Term("keep_room"), Term("open_cost"))]
)
NOT_THERE = (Strategy("spread", "attribute:nobody"), Strategy("spread", "attribute:nowhere"))


POLICIES = st.builds(
    lambda chain, terms, objective: Policy(
        strategies=tuple(chain), terms=terms, objective=objective
    ),
    MIXED,
    SCORES,
    st.sampled_from(OBJECTIVES),
)


@given(
    POLICIES,
    st.lists(st.tuples(ROOM, ROOM, st.sampled_from("ab"), st.integers(0, 2)), max_size=6),
    st.integers(0, 25),
    st.tuples(st.integers(0, 2), st.integers(1, 2), st.sampled_from([None, "g"])),
)
def test_many_at_once_are_never_placed_otherwise_than_one_by_one(
    policy: Policy,
    drawn: list[tuple[int, int, str, int]],
    count: int,
    asked: tuple[int, int, str | None],
) -> None:
    """Two spreads over what no instance has narrow nothing, and need each task looked at alone."""
    cpu, memory, group = asked
    snapshot = Snapshot.of(
        Instance(
            InstanceId(f"i-{n}"),
            (12, 12, 0, 0),
            (free_cpu, free_memory, 0, 0),
            attributes={"ecs.availability-zone": zone},
            facts=Facts(tasks_by_group={"g": running}),
        )
        for n, (free_cpu, free_memory, zone, running) in enumerate(drawn)
    )
    shape = Shape(cpu, memory, group=group)
    requests = [TaskRequest(RequestId(f"t{n}"), shape, order=n) for n in range(count)]
    alone = replace(policy, strategies=(*policy.strategies, *NOT_THERE))
    assert place(requests, snapshot, policy) == place(requests, snapshot, alone)
