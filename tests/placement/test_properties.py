"""What never happens, whatever the cluster and the batch: drawn by Hypothesis, judged by `check`
and by a best fit that places one request at a time, written here without looking at the other.
"""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.plan import Plan, Reason, Reject, Start, Tally, Wait
from ecs_placement.policy import DEFAULT_POLICY, Policy
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Availability, Instance, InstanceId, Snapshot

PORTS = st.frozensets(st.sampled_from([80, 443, 8080]), max_size=2)
VALUES = st.sampled_from(["a", "b", None])
SMALL = st.integers(0, 6)


@st.composite
def instances(draw: st.DrawFn, most: int = 6) -> list[Instance]:
    rows = []
    for number in range(draw(st.integers(0, most))):
        total = (draw(SMALL), draw(SMALL), draw(st.integers(0, 2)), draw(st.integers(0, 3)))
        used = [draw(st.integers(-1, 3)) for _ in total]
        rows.append(
            Instance(
                InstanceId(f"i-{number}"),
                total,
                (total[0] - used[0], total[1] - used[1], total[2] - used[2], total[3] - used[3]),
                draw(PORTS),
                draw(PORTS),
                draw(st.dictionaries(st.sampled_from(["zone", "disk"]), VALUES, max_size=2)),
                draw(st.sampled_from([Availability.PLACEABLE] * 5 + list(Availability))),
            )
        )
    return rows


SHAPES = st.builds(
    Shape,
    cpu_units=SMALL,
    memory_mib=SMALL,
    gpus=st.sampled_from([0, 0, 0, 1, 2]),
    enis=st.sampled_from([0, 0, 1]),
    ports_tcp=st.one_of(st.just(frozenset[int]()), PORTS),
    ports_udp=st.one_of(st.just(frozenset[int]()), PORTS),
    required_attributes=st.frozensets(
        st.tuples(st.sampled_from(["zone", "disk"]), VALUES), max_size=1
    ),
)


@st.composite
def batches(draw: st.DrawFn, most: int = 14) -> list[TaskRequest]:
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=4))
    return [
        TaskRequest(
            RequestId(f"r{number}"),
            draw(st.sampled_from(shapes)),
            draw(st.sampled_from([0, 0, 1])),
            draw(st.integers(0, 3)),
        )
        for number in range(draw(st.integers(0, most)))
    ]


POLICIES = st.builds(
    Policy,
    st.sampled_from([(1.0, 1.0, 4.0, 0.25), (1.0, 0.0, 0.0, 0.0), (0.5, 2.0, 8.0, 1.0)]),
)


@given(batches(), instances(), POLICIES)
def test_no_plan_ever_breaks_an_invariant(
    requests: list[TaskRequest], rows: list[Instance], policy: Policy
) -> None:
    """Never overcommits, never decides twice, never inverts a priority, never rejects in error."""
    snapshot = Snapshot.of(rows)
    assert check(place(requests, snapshot, policy), requests, snapshot) == ()


@given(batches(), instances(), POLICIES)
def test_groups_are_packed_exactly_as_one_request_at_a_time(
    requests: list[TaskRequest], rows: list[Instance], policy: Policy
) -> None:
    """Every start, on the same instance, as the best fit below decides it."""
    snapshot = Snapshot.of(rows)
    plan = place(requests, snapshot, policy)
    starts = {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}
    assert one_at_a_time(requests, list(snapshot.instances), policy) == starts


@given(batches(), instances(), st.randoms(use_true_random=False))
def test_the_order_of_the_lists_never_matters(
    requests: list[TaskRequest], rows: list[Instance], chance: random.Random
) -> None:
    plan = place(requests, Snapshot.of(rows))
    mixed, rows_mixed = list(requests), list(rows)
    chance.shuffle(mixed)
    chance.shuffle(rows_mixed)
    again = place(mixed, Snapshot.of(rows_mixed))
    assert set(plan.decisions) == set(again.decisions)
    assert [d.request_id for d in again.decisions] == [r.id for r in mixed]


@given(batches(), instances())
def test_the_same_input_gives_the_same_plan(
    requests: list[TaskRequest], rows: list[Instance]
) -> None:
    assert place(requests, Snapshot.of(rows)) == place(requests, Snapshot.of(rows))


@given(batches(most=6), instances(most=4))
def test_reasons_agree_with_counting_instance_by_instance(
    requests: list[TaskRequest], rows: list[Instance]
) -> None:
    snapshot = Snapshot.of(rows)
    plan = place(requests, snapshot)
    left = after(plan, requests, rows)
    for request, decision in zip(requests, plan.decisions, strict=True):
        if isinstance(decision, Wait):
            assert decision.reasons == counted(request.shape, left)
        if isinstance(decision, Reject):
            assert decision.reasons == counted(request.shape, [emptied(row) for row in rows])


@given(batches(most=1), instances(most=4))
def test_a_single_request_starts_exactly_when_some_instance_has_room(
    requests: list[TaskRequest], rows: list[Instance]
) -> None:
    for request in requests:
        decision = place([request], Snapshot.of(rows)).decisions[0]
        assert isinstance(decision, Start) == any(not faults(request.shape, r) for r in rows)
        impossible = all(faults(request.shape, emptied(row)) for row in rows) and rows != []
        assert isinstance(decision, Reject) == impossible


def one_at_a_time(
    requests: list[TaskRequest], rows: list[Instance], policy: Policy
) -> dict[str, str]:
    """Best-fit decreasing, one request after the other, on plain Python values."""
    largest = [max((row.total[d] for row in rows), default=1) for d in range(4)]
    weight = [w / c if c else 0.0 for w, c in zip(policy.weights, largest, strict=True)]

    def weighted(vector: tuple[int, ...]) -> float:
        total = 0.0
        for w, amount in zip(weight, vector, strict=True):
            total += w * amount
        return total

    first: dict[tuple[int, Shape], int] = {}
    for request in requests:
        key = (request.priority, request.shape)
        first[key] = min(first.get(key, request.order), request.order)

    def turn(request: TaskRequest) -> tuple[object, ...]:
        shape = request.shape
        content = (shape.demand, *map(sorted, (shape.ports_tcp, shape.ports_udp)))
        wanted = sorted((n, v is not None, v or "") for n, v in shape.required_attributes)
        size = -weighted(shape.demand)
        key = (-request.priority, size, first[request.priority, shape], ports(shape), wanted)
        return (*key[:3], content[0], *key[3:], request.order, request.id)

    placed: dict[str, str] = {}
    state = list(rows)
    for request in sorted(requests, key=turn):
        able = [n for n, row in enumerate(state) if not faults(request.shape, row)]
        if able:
            best = min(able, key=lambda n: (weighted(state[n].free), n))
            placed[request.id] = state[best].id
            state[best] = with_task(state[best], request.shape)
    return placed


def ports(shape: Shape) -> list[tuple[str, int]]:
    tcp = [("tcp", port) for port in shape.ports_tcp]
    return sorted(tcp + [("udp", port) for port in shape.ports_udp])


def with_task(row: Instance, shape: Shape) -> Instance:
    free = [f - a for f, a in zip(row.free, shape.demand, strict=True)]
    return Instance(
        row.id,
        row.total,
        (free[0], free[1], free[2], free[3]),
        row.ports_tcp_used | shape.ports_tcp,
        row.ports_udp_used | shape.ports_udp,
        row.attributes,
        row.availability,
    )


def emptied(row: Instance) -> Instance:
    """The instance with nothing on it, its ports free and its agent well."""
    most = [max(t, f) for t, f in zip(row.total, row.free, strict=True)]
    return Instance(
        row.id, row.total, (most[0], most[1], most[2], most[3]), attributes=row.attributes
    )


def after(plan: Plan, requests: list[TaskRequest], rows: list[Instance]) -> list[Instance]:
    state = {row.id: row for row in rows}
    for request, decision in zip(requests, plan.decisions, strict=True):
        if isinstance(decision, Start):
            name = decision.instance_id
            state[name] = with_task(state[name], request.shape)
    return list(state.values())


RESOURCES = (Reason.CPU, Reason.MEMORY, Reason.GPU, Reason.ENI)
STATES = {
    Availability.AGENT_DISCONNECTED: Reason.AGENT,
    Availability.DRAINING: Reason.DRAINING,
    Availability.AVOIDED: Reason.AVOIDED,
}


def faults(shape: Shape, row: Instance) -> dict[Reason, int]:
    """Every reason why this instance cannot take the shape, with the shortage."""
    found = {
        reason: asked - free
        for reason, asked, free in zip(RESOURCES, shape.demand, row.free, strict=True)
        if asked and asked > free
    }
    if shape.ports_tcp & row.ports_tcp_used or shape.ports_udp & row.ports_udp_used:
        found[Reason.PORTS] = 0
    for name, value in shape.required_attributes:
        if name not in row.attributes or value not in (None, row.attributes[name]):
            found[Reason.ATTRIBUTE] = 0
    if row.availability in STATES:
        found[STATES[row.availability]] = 0
    return found


def counted(shape: Shape, rows: list[Instance]) -> tuple[Tally, ...]:
    number: Counter[Reason] = Counter()
    nearest: dict[Reason, int] = {}
    for row in rows:
        for reason, short in faults(shape, row).items():
            number[reason] += 1
            nearest[reason] = min(short, nearest.get(reason, short))
    return tuple(Tally(r, number[r], nearest[r]) for r in Reason if number[r])


def test_the_oracle_and_the_packer_agree_on_a_large_mixed_batch() -> None:
    """600 requests of 12 shapes on 80 instances, of which not all start: one story of real size."""
    chance = random.Random(20)
    sizes = [(4096, 15000, 0, 3), (8192, 31000, 0, 4), (16384, 63000, 4, 8)]
    rows = []
    for number in range(80):
        total = chance.choice(sizes)
        rows.append(Instance(InstanceId(f"i-{number:03d}"), total, total))
    shapes = [
        Shape(chance.randrange(1, 33) * 128, chance.randrange(1, 33) * 256, int(n % 6 == 0), n % 2)
        for n in range(12)
    ]
    requests = [
        TaskRequest(RequestId(f"r{n}"), chance.choice(shapes), n % 3 == 0, n) for n in range(600)
    ]
    plan = place(requests, Snapshot.of(rows))
    starts = {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}
    assert 200 < len(starts) < 600
    assert one_at_a_time(requests, rows, DEFAULT_POLICY) == starts


def test_reasons_of_many_shapes_agree_with_counting_too() -> None:
    """60 shapes wait or are rejected on 12 instances of which no two are alike: beyond the first
    few shapes, rooms are sorted and instances looked at by kind.
    """
    chance = random.Random(4)
    rows = []
    for number in range(12):
        total = (chance.randint(2, 9), chance.randint(2, 9), chance.randint(0, 2), 1)
        cpu, memory, gpus, enis = (amount - chance.randint(0, amount) for amount in total)
        zone = {"zone": chance.choice("ab")} if number % 3 else {}
        state = chance.choice([Availability.PLACEABLE, *Availability])
        name = InstanceId(f"i-{number:02d}")
        free = (cpu, memory, gpus, enis)
        rows.append(Instance(name, total, free, attributes=zone, availability=state))
    requests = [
        TaskRequest(
            RequestId(f"r{number}"),
            Shape(
                chance.randint(0, 10),
                chance.randint(0, 10),
                chance.randint(0, 2),
                required_attributes=frozenset({("zone", "a")} if number % 2 else ()),
            ),
            order=number,
        )
        for number in range(60)
    ]
    plan = place(requests, Snapshot.of(rows))
    left = after(plan, requests, rows)
    kinds = Counter(type(decision) for decision in plan.decisions)
    assert kinds[Wait] > 10
    assert kinds[Reject] > 10
    for request, decision in zip(requests, plan.decisions, strict=True):
        if isinstance(decision, Wait):
            assert decision.reasons == counted(request.shape, left)
        if isinstance(decision, Reject):
            assert decision.reasons == counted(request.shape, [emptied(row) for row in rows])
    assert check(plan, requests, Snapshot.of(rows)) == ()
