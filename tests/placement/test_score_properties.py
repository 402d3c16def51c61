"""Weighted scores, against a naive scheduler that asks every instance about every task in turn."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.plan import Plan, Start
from ecs_placement.policy import Policy, Prices, SkewLimit, Strategy, Term
from ecs_placement.ranking import ranking
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Facts, Instance, InstanceId, Snapshot

ZONE = "attribute:zone"
PRICES = Prices("type", (("small", 1.0), ("large", 3.0)))
NAMES = ("best_fit", "consolidate", "open_cost", "keep_room", "leave_gpus", "warm", "avoid")
WEIGHTS = st.sampled_from([0.25, 1.0, 3.0])
TERMS = st.one_of(
    st.builds(Term, st.sampled_from(NAMES), WEIGHTS),
    st.builds(Term, st.just("spread"), WEIGHTS, st.sampled_from([ZONE, "attribute:rack"])),
    st.builds(Term, st.just("prefer"), WEIGHTS, st.just("attribute:zone == a")),
)
POLICIES = st.builds(
    Policy,
    terms=st.lists(TERMS, max_size=4, unique_by=lambda term: term.label).map(tuple),
    objective=st.sampled_from(["fill", "fill", "open"]),
    opens_for=st.sampled_from([1, 2, 4]),
    limits=st.sampled_from(
        [(), (), (SkewLimit(ZONE, 1),), (SkewLimit(ZONE, 2), SkewLimit("attribute:rack", 1))]
    ),
    prices=st.just(PRICES),
)
CHAINS = st.builds(
    Policy,
    strategies=st.lists(
        st.sampled_from([Strategy("score"), Strategy("spread", ZONE), Strategy("binpack", "cpu")]),
        min_size=1,
        max_size=2,
        unique=True,
    ).map(tuple),
    terms=st.lists(TERMS, max_size=3, unique_by=lambda term: term.label).map(tuple),
    objective=st.sampled_from(["fill", "open"]),
    limits=st.sampled_from([(), (SkewLimit(ZONE, 1),)]),
    prices=st.just(PRICES),
)
SHAPES = st.builds(
    Shape,
    cpu_units=st.integers(1, 3),
    memory_mib=st.integers(0, 3),
    gpus=st.sampled_from([0, 0, 1]),
    group=st.sampled_from([None, "g", "h"]),
    image=st.sampled_from([None, "etl"]),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Instance]:
    rows = []
    for number in range(draw(st.integers(0, 5))):
        total = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(0, 2)), 3)
        used = draw(st.sampled_from([(0, 0), (0, 0), (1, 1), (3, 2)]))
        free = (max(total[0] - used[0], 0), max(total[1] - used[1], 0), total[2], 3)
        attributes = {"type": draw(st.sampled_from(["small", "large"]))}
        if draw(st.integers(0, 4)):
            attributes["zone"] = draw(st.sampled_from("ab"))
        attributes["rack"] = draw(st.sampled_from("xy"))
        facts = Facts(
            running_tasks=int(used != (0, 0)),
            tasks_by_group={"g": 1} if used == (3, 2) else {},
            warm=draw(st.sampled_from([frozenset(), frozenset({"etl"})])),
            trouble=draw(st.sampled_from([0.0, 0.5])),
        )
        name = InstanceId(f"i-{number}")
        rows.append(Instance(name, total, free, attributes=attributes, facts=facts))
    return rows


@st.composite
def batches(draw: st.DrawFn) -> list[TaskRequest]:
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=3, unique_by=lambda s: s.demand))
    return [
        TaskRequest(RequestId(f"t{n}"), draw(st.sampled_from(shapes)), order=n)
        for n in range(draw(st.integers(0, 12)))
    ]


def starts(plan: Plan) -> Counter[str]:
    return Counter(d.instance_id for d in plan.decisions if isinstance(d, Start))


@given(SHAPES, fleets(), st.one_of(POLICIES, CHAINS))
def test_the_first_of_the_ranking_is_where_the_task_goes(
    shape: Shape, rows: list[Instance], policy: Policy
) -> None:
    snapshot = Snapshot.of(rows)
    plan = place([TaskRequest(RequestId("t"), shape)], snapshot, policy)
    assert starts(plan) == Counter(r.instance_id for r in ranking(shape, snapshot, policy, (), 1))


@given(batches(), fleets(), st.one_of(POLICIES, CHAINS))
def test_no_policy_ever_breaks_an_invariant_or_its_own_limits(
    requests: list[TaskRequest], rows: list[Instance], policy: Policy
) -> None:
    """Nor does it ever decide differently about the same input."""
    snapshot = Snapshot.of(rows)
    plan = place(requests, snapshot, policy)
    assert check(plan, requests, snapshot, policy) == ()
    assert place(requests, Snapshot.of(reversed(rows)), policy) == plan


@given(batches(), fleets(), fleets(), POLICIES)
def test_what_is_kept_from_pass_to_pass_never_changes_a_decision(
    requests: list[TaskRequest], rows: list[Instance], others: list[Instance], policy: Policy
) -> None:
    """Instances come back larger or smaller, with what they had said of themselves."""
    snapshot = Snapshot.of(rows)
    place(requests, snapshot, policy)
    pairs = zip(rows, others, strict=False)
    seen = {b.id: replace(b, attributes=a.attributes) for a, b in pairs}
    fresh = Snapshot.of([seen.get(row.id, row) for row in rows])
    assert place(requests, snapshot.updated(seen.values()), policy) == place(
        requests, fresh, policy
    )
    less = Snapshot.of([replace(row, free=(row.free[0] - 1, *row.free[1:])) for row in rows])
    left = snapshot.having_free(less.free.copy())
    assert place(requests, left, policy) == place(requests, less, policy)


LARGER = Shape(cpu_units=3, memory_mib=3)


@given(st.integers(1, 9), SHAPES, fleets(), POLICIES)
def test_a_group_is_placed_exactly_as_task_by_task(
    count: int, shape: Shape, rows: list[Instance], policy: Policy
) -> None:
    """Every task on the instance that scores best just then, while a larger one waits."""
    requests = [TaskRequest(RequestId(f"t{n}"), shape, 1, n) for n in range(count)]
    larger = TaskRequest(RequestId("larger"), LARGER)
    plan = place([*requests, larger], Snapshot.of(rows), policy)
    placed = starts(Plan(plan.decisions[:count]))
    assert placed == naive(count, shape, rows, policy)


@given(batches(), fleets(), st.one_of(POLICIES, CHAINS))
def test_open_never_opens_an_empty_instance_while_one_in_use_fits(
    requests: list[TaskRequest], rows: list[Instance], policy: Policy
) -> None:
    """Whatever the terms say: where nothing was opened for a task, none in use had room for it."""
    if policy.objective != "open" or policy.limits:
        return
    for request in requests:
        plan = place([request], Snapshot.of(rows), policy)
        opened = {row.id for row in rows if not in_use(row)} & set(starts(plan))
        fits = [row for row in rows if in_use(row) and roomy(row.free, request.shape)]
        assert not (opened and fits)


def in_use(row: Instance) -> bool:
    return row.free != row.total or row.facts.running_tasks > 0


def roomy(free: tuple[int, ...], shape: Shape) -> bool:
    return all(f >= d for f, d in zip(free, shape.demand, strict=True) if d)


class Naive:
    """One cluster, one shape; every value is worked out anew for every task."""

    def __init__(self, count: int, shape: Shape, rows: list[Instance], policy: Policy) -> None:
        self.count, self.shape, self.policy = count + (shape == LARGER), shape, policy
        self.rows = sorted(rows, key=lambda row: row.id)
        most = [max([row.total[d] for row in rows] + [1]) for d in range(4)]
        self.per_unit = [weight / m for weight, m in zip(policy.weights, most, strict=True)]
        self.left = {row.id: list(row.free) for row in rows}
        self.placed: Counter[str] = Counter()

    def weighted(self, vector: list[int] | tuple[int, ...]) -> float:
        return sum(w * v for w, v in zip(self.per_unit, vector, strict=True))

    def idle(self, row: Instance) -> bool:
        return not in_use(row) and not self.placed[row.id]

    def cost(self, row: Instance) -> float:
        prices = dict(PRICES.of)
        per = {r.id: prices[str(r.attributes["type"])] / self.weighted(r.total) for r in self.rows}
        return per[row.id] / max(per.values())

    def per_task(self, row: Instance) -> float:
        """What a task costs on the row, filled with `opens_for` or all the batch has of them."""
        pairs = zip(row.total, self.shape.demand, strict=True)
        fits = min(total // asked for total, asked in pairs if asked)
        price = dict(PRICES.of)[str(row.attributes["type"])]
        return price / max(1, min(fits, max(self.policy.opens_for, self.count)))

    def tasks(self, field: str, value: str | None) -> int:
        if self.shape.group is None:
            return sum(self.placed[r.id] for r in self.rows if place_of(r, field) == value)
        return sum(
            r.facts.tasks_by_group.get(self.shape.group, 0) + self.placed[r.id]
            for r in self.rows
            if place_of(r, field) == value
        )

    def above(self, field: str, row: Instance, *, hard: bool) -> int:
        values = {place_of(r, field) for r in self.rows} - ({None} if hard else set())
        fewest = min((self.tasks(field, value) for value in values), default=0)
        return self.tasks(field, place_of(row, field)) - fewest

    def value(self, term: Term, row: Instance) -> float:  # noqa: PLR0911
        left, demand = self.left[row.id], self.shape.demand
        largest = max(self.weighted(r.total) for r in self.rows)
        after = [f - d for f, d in zip(left, demand, strict=True)]
        if term.name == "best_fit":
            return 1 - self.weighted(after) / largest
        if term.name == "consolidate":
            return 1 - self.weighted(left) / self.weighted(row.total)
        if term.name == "open_cost":
            return (1 - self.cost(row)) / 2 if self.idle(row) else 1.0
        if term.name == "keep_room":
            keep = max(self.shape, LARGER, key=lambda s: (self.weighted(s.demand), s.demand))
            lost = self.weighted(after) if roomy(tuple(left), keep) else -self.weighted(demand)
            return 0.5 if roomy(tuple(after), keep) else (1 - lost / largest) / 2
        if term.name == "leave_gpus":
            gpus = max(r.total[2] for r in self.rows)
            return 1.0 if self.shape.gpus or not gpus else 1 - left[2] / gpus
        if term.name == "warm":
            return float(self.shape.image is None or self.shape.image in row.facts.warm)
        if term.name == "avoid":
            return 1 - row.facts.trouble
        if term.name == "prefer":
            return float(row.attributes.get("zone") == "a")
        return 1 / (1 + self.above(term.field, row, hard=False))

    def key(self, row: Instance) -> tuple[float, ...]:
        total = sum(term.weight for term in self.policy.scored)
        score = sum(t.weight * self.value(t, row) for t in self.policy.scored) / total
        tier: tuple[float, ...] = ()
        if self.policy.objective == "open":
            tier = (1.0, 0.0) if not self.idle(row) else (0.0, -round(self.per_task(row), 9))
        return (*tier, round(score, 9))

    def may(self, row: Instance) -> bool:
        if not roomy(tuple(self.left[row.id]), self.shape):
            return False
        if self.shape.group is None:
            return True
        return all(
            place_of(row, limit.field) is not None
            and self.above(limit.field, row, hard=True) < limit.most
            for limit in self.policy.limits
        )


def place_of(row: Instance, field: str) -> str | None:
    return row.attributes.get(field.removeprefix("attribute:"))


def naive(count: int, shape: Shape, rows: list[Instance], policy: Policy) -> Counter[str]:
    """Task by task: the best by key, the lower id among equals."""
    state = Naive(count, shape, rows, policy)
    for _ in range(count):
        able = [row for row in state.rows if state.may(row)]
        if not able:
            break
        best = max(able, key=state.key)
        left = state.left[best.id]
        state.left[best.id] = [f - d for f, d in zip(left, shape.demand, strict=True)]
        state.placed[best.id] += 1
    return state.placed
