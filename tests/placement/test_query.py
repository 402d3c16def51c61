"""The cluster query language, against an evaluation instance by instance written without it."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.columns import Columns
from ecs_placement.errors import InvalidRequest, QueryError
from ecs_placement.explain import sentence
from ecs_placement.plan import Plan, Reason, Reject, Start, Tally, Wait
from ecs_placement.predicates import seconds
from ecs_placement.query import parse
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Availability, Facts, Instance, InstanceId, Snapshot

TOTAL = (4096, 16384, 0, 3)
T2 = {"ecs.instance-type": "t2.small", "ecs.availability-zone": "us-east-1a", "stack": "prod"}
G2 = {"ecs.instance-type": "g2.2xlarge", "ecs.availability-zone": "us-east-1d", "rack": "7"}
FLEET = Snapshot.of(
    [
        Instance(
            InstanceId("a"),
            TOTAL,
            TOTAL,
            attributes=T2,
            facts=Facts("i-abcd1234", "1.9.0", seconds("2018-02-12"), 1, {"service:web": 1}),
        ),
        Instance(
            InstanceId("b"),
            TOTAL,
            TOTAL,
            attributes=G2,
            availability=Availability.AGENT_DISCONNECTED,
            facts=Facts("i-ffff0000", "1.14.5", seconds("2018-06-18T22:28:28+00:00"), 12),
        ),
        Instance(InstanceId("c"), TOTAL, TOTAL, attributes={"stack": "dev", "rack": "10"}),
    ]
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("attribute:ecs.instance-type == t2.small", "a"),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", "a"),
        (
            "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
            "",
        ),
        ("attribute:ecs.instance-type matches '(g|p)2.*'", "b"),
        ("attribute:ecs.instance-type !~ t2.*", "b"),
        ("attribute:stack != prod", "c"),
        ("not attribute:stack == prod", "bc"),
        ("attribute:stack exists", "ac"),
        ("attribute:stack !exists", "b"),
        ("attribute:stack not_exists or attribute:rack > 9", "bc"),
        ("attribute:rack less_than 10", "b"),
        ("attribute:stack not_in [dev, test]", "a"),
        ("agentConnected == true", "ac"),
        ("agentConnected not_equals true", "b"),
        ("agentVersion < 1.14.5", "a"),
        ("agentVersion >= 1.10", "b"),
        ("registeredAt < 2018-02-13", "a"),
        ("registeredAt greater_than 2018-06-19T00:28:27+02:00", "b"),
        ("runningTasksCount == 1", "a"),
        ("runningTasksCount > 9", "b"),
        ("ec2InstanceId in ['i-abcd1234', \"i-wxyx7890\"]", "a"),
        ("task:group == service:web", "a"),
        ("!(task:group =~ service:.*)", "bc"),
        ("attribute:rack exists && attribute:stack exists || runningTasksCount==1", "ac"),
        ("runningTasksCount==1 || attribute:rack exists && attribute:stack exists", "ac"),
        ("(runningTasksCount==1 or attribute:rack exists) and attribute:stack exists", "ac"),
    ],
)
def test_every_operator_on_a_fleet_of_three(expression: str, rows: str) -> None:
    """a: t2.small, agent 1.9.0, one task; b: g2, disconnected, 12 tasks; c: facts unknown."""
    mask = parse(expression).mask(Columns(FLEET))
    assert "".join(i.id for i, held in zip(FLEET.instances, mask, strict=True) if held) == rows


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "column 1: found the end, expected .*a subject"),
        ("attribute:a", "column 12: found the end, expected an operator"),
        ("atribute:a == b", "column 1: found 'atribute:a'.*did you mean attribute"),
        ("runingTasksCount == 1", "did you mean runningTasksCount"),
        ("attribute:a ==", "column 15: found the end, expected a"),
        ("attribute:a in (a)", r"column 16: found '\(a\)', expected \"\[\""),
        ("attribute:a == b and", "column 21: found the end"),
        ("attribute:a == b c", "column 18: found 'c', expected .*and"),
        ("(attribute:a exists", "column 20: found the end"),
        ("agentVersion =~ 1.*", "column 14: agentVersion does not take =~"),
        ("runningTasksCount == many", "'many' is not a number"),
        ("registeredAt > yesterday", "'yesterday' is not a time"),
        ("registeredAt > 2018-13-45", "column 14: '2018-13-45' is not a time"),
        ("registeredAt > 2019-02-29", "column 14: '2019-02-29' is not a time"),
        ("registeredAt > 2019-02-28T24:00:00", "column 14: .* is not a time"),
        ("agentConnected == yes", "column 16: 'yes' is neither true nor false"),
        ("attribute:a == b)", r"column 17: found '\)', expected \"and\" or \"or\" or the end"),
        ("agentVersion == new", "'new' is not a version"),
        ("attribute:a =~ '(a+)+'", "may take too long"),
        ("attribute:a =~ '.*.*.*.*x'", "may take too long"),
        (f"attribute:a =~ '{'a?' * 24 + 'a' * 24}'", "may take too long"),
        (f"attribute:a =~ '{'(a|aa)' * 30}c'", "may take too long"),
        (f"attribute:a =~ '{'a{0,9}' * 12}b'", "may take too long"),
        (f"attribute:a =~ '[](]{'a?' * 24 + 'a' * 24}'", "may take too long"),
        (f"attribute:a =~ 'a{{{'9' * 20}}}'", "is not a pattern"),
        (r"attribute:a =~ '(a)\1'", "refused here"),
        ("attribute:a =~ '[a'", "is not a pattern"),
        ("attribute:a =~ " + "x" * 300, "more than 256 characters"),
        ("attribute:a == " + "x" * 2000, "at most 2000"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(expression: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse(expression)


def test_the_longest_values_do_not_hold_up_the_patterns_that_are_let_through() -> None:
    """The families in use pass, with alternatives and optional letters."""
    families = "'(t[23]a?|m[5-7](a|i|g)?d?|c[5-7]n?|r5)\\.(x|[0-9]{1,2}x)?large'"
    query = parse(f"attribute:ecs.instance-type =~ {families}")
    types = ["t3a.large", "m6id.24xlarge", "p4d.24xlarge", "m5." + "x" * 123]
    rows = [
        Instance(InstanceId(f"{n}"), TOTAL, TOTAL, attributes={"ecs.instance-type": each})
        for n, each in enumerate(types)
    ]
    assert query.mask(Columns(Snapshot.of(rows))).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0.0),
        ("1970-01-02T00:00:01Z", 86401.0),
        ("2000-02-29T12:00:00+01:30", 951820200.0),
        ("2018-06-18T22:28:28", 1529360908.0),
    ],
)
def test_times_are_read_without_a_calendar_library(text: str, expected: float) -> None:
    assert seconds(text) == expected


def task(name: str, **shape: object) -> TaskRequest:
    return TaskRequest(RequestId(name), Shape(1024, 1024, **shape))  # type: ignore[arg-type]


def test_member_of_is_binding_and_named_in_the_reason() -> None:
    """c has the rack and may take tasks; b has it too but its agent is gone; nobody has a lift."""
    rack = task("r", member_of=("attribute:rack exists",))
    lift = task("l", member_of=("attribute:lift exists",))
    plan = place([rack, lift], FLEET)
    assert isinstance(plan.decisions[0], Start)
    assert plan.decisions[0].instance_id == "c"
    assert plan.decisions[1] == Reject(lift.id, (Tally(Reason.MEMBER_OF, 3),))
    assert sentence(plan.decisions[1], lift.shape, FLEET) == (
        "must be in memberOf(attribute:lift exists); no registered instance is"
    )
    assert check(plan, [rack, lift], FLEET) == ()
    moved = Plan((Start(rack.id, InstanceId("a"), 0.0), plan.decisions[1]))
    assert [v.kind for v in check(moved, [rack, lift], FLEET)] == [Broken.MEMBER_OF]


def test_distinct_instances_hold_one_task_of_the_group_each() -> None:
    """a runs service:web already, b is disconnected: one starts on c, the other waits."""
    asked = [
        TaskRequest(RequestId(n), Shape(1, 1, group="service:web", distinct_instance=True))
        for n in "pq"
    ]
    plan = place(asked, FLEET)
    assert plan.decisions[0] == Start(RequestId("p"), InstanceId("c"), plan.decisions[0].score)  # type: ignore[union-attr]
    assert plan.decisions[1] == Wait(
        RequestId("q"), (Tally(Reason.DISTINCT, 2), Tally(Reason.AGENT, 1))
    )
    assert check(plan, asked, FLEET) == ()
    both = Plan(tuple(Start(r.id, InstanceId("c"), 0.0) for r in asked))
    assert {v.kind for v in check(both, asked, FLEET)} == {Broken.DISTINCT}


@pytest.mark.parametrize("budget_s", [0.0, 0.01])
def test_distinct_binds_the_task_that_asks_for_it_and_no_other(budget_s: float) -> None:
    """As in ECS: a plain task may come to one that asked to be alone, but not the other way."""
    alone = TaskRequest(
        RequestId("alone"), Shape(512, 512, group="web", distinct_instance=True), priority=1
    )
    plain = TaskRequest(RequestId("plain"), Shape(256, 256, group="web"))
    one = Snapshot.of([Instance(InstanceId("a"), (1024, 1024, 0, 0), (1024, 1024, 0, 0))])
    together = place([alone, plain], one, budget_s=budget_s)
    assert [type(decision) for decision in together.decisions] == [Start, Start]
    assert check(together, [alone, plain], one) == ()

    first = replace(plain, priority=2)
    apart = place([alone, first], one, budget_s=budget_s)
    assert [type(decision) for decision in apart.decisions] == [Wait, Start]
    assert check(apart, [alone, first], one) == ()
    found = check(together, [alone, first], one)
    assert [(each.kind, each.about) for each in found] == [(Broken.DISTINCT, "alone")]


def test_a_group_placed_in_the_batch_attracts_those_that_want_to_be_near() -> None:
    """The cache goes first (larger); the reader, bound to its group, follows to the same place."""
    cache = TaskRequest(RequestId("cache"), Shape(2048, 2048, group="cache"))
    reader = task("reader", member_of=("task:group == cache",))
    plan = place([reader, cache], FLEET)
    places = [d.instance_id for d in plan.decisions if isinstance(d, Start)]
    assert places == ["a", "a"]
    waits = place([reader], FLEET).decisions[0]
    assert waits == Wait(reader.id, (Tally(Reason.MEMBER_OF, 3), Tally(Reason.AGENT, 1)))


def test_distinct_instance_without_a_group_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="distinct_instance needs a group"):
        place([task("t", distinct_instance=True)], FLEET)


def test_a_bad_expression_in_a_request_is_pointed_at() -> None:
    with pytest.raises(QueryError, match="column 1"):
        place([task("t", member_of=("nonsense",))], FLEET)


NAMES, VALUES = ["zone", "size"], ["a", "b", "ab", "10", "9"]
attributes = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES))
leaves = st.one_of(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["==", "!=", ">", ">=", "<", "<=", "=~", "!~"]),
        st.sampled_from(VALUES),
    ),
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["in", "!in"]),
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=3),
    ),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["exists", "!exists"]), st.none()),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)
    ),
    max_leaves=6,
)


@given(trees, st.lists(attributes, min_size=1, max_size=5))
def test_masks_agree_with_evaluating_one_instance_after_the_other(
    tree: tuple[object, ...], fleet: list[dict[str, str]]
) -> None:
    rows = [Instance(InstanceId(f"i{n}"), TOTAL, TOTAL, attributes=a) for n, a in enumerate(fleet)]
    mask = parse(written(tree)).mask(Columns(Snapshot.of(rows)))
    assert mask.tolist() == [holds(tree, attributes) for attributes in fleet]


def written(tree: tuple[object, ...]) -> str:
    if tree[0] == "not":
        return f"!({written(tree[1])})"  # type: ignore[arg-type]
    if tree[0] in ("and", "or"):
        return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"  # type: ignore[arg-type]
    name, operator, argument = tree
    if isinstance(argument, list):
        return f"attribute:{name} {operator} [{', '.join(argument)}]"
    return f"attribute:{name} {operator} {argument or ''}"


def holds(tree: tuple[object, ...], attributes: dict[str, str]) -> bool:  # noqa: PLR0911
    if tree[0] == "not":
        return not holds(tree[1], attributes)  # type: ignore[arg-type]
    if tree[0] in ("and", "or"):
        sides = [holds(side, attributes) for side in tree[1:]]  # type: ignore[arg-type]
        return all(sides) if tree[0] == "and" else any(sides)
    name, operator, argument = tree
    value = attributes.get(str(name))
    if operator in ("exists", "!exists"):
        return (value is not None) == (operator == "exists")
    if value is None:
        return False
    if isinstance(argument, list):
        return (value in argument) == (operator == "in")
    if operator in ("=~", "!~"):
        return (re.fullmatch(str(argument), value) is not None) == (operator == "=~")
    if operator in ("==", "!="):
        return (value == argument) == (operator == "==")
    both = [value, str(argument)]
    mine, theirs = map(float, both) if all(b.isdigit() for b in both) else both
    return {">": mine > theirs, ">=": mine >= theirs, "<": mine < theirs, "<=": mine <= theirs}[  # type: ignore[operator]
        str(operator)
    ]
