"""docs/placement.md: its examples are executed and its error is the one that is given."""

import re
from pathlib import Path

import pytest

from ecs_placement.batch import place
from ecs_placement.columns import Columns
from ecs_placement.errors import QueryError
from ecs_placement.plan import Start
from ecs_placement.policy import TERM_NAMES, Policy, Strategy
from ecs_placement.predicates import seconds
from ecs_placement.query import parse
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Availability, Facts, Instance, InstanceId, Snapshot

PAGE = Path(__file__).resolve().parents[2] / "docs" / "placement.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROOM = (4096, 16384, 0, 3)
T2 = {"ecs.instance-type": "t2.small", "ecs.availability-zone": "us-east-1a", "stack": "prod"}
G2 = {"ecs.instance-type": "g2.2xlarge", "ecs.availability-zone": "us-east-1d", "rack": "7"}
A = Facts("i-abcd1234", "1.9.0", seconds("2018-02-12"), 1, {"service:web": 1})
B = Facts("i-ffff0000", "1.14.5", seconds("2018-06-18T22:28:28Z"), 12)
GONE = Availability.AGENT_DISCONNECTED
FLEET = Snapshot.of(
    [
        Instance(InstanceId("a"), ROOM, ROOM, attributes=T2, facts=A),
        Instance(InstanceId("b"), ROOM, ROOM, attributes=G2, availability=GONE, facts=B),
        Instance(InstanceId("c"), ROOM, ROOM, attributes={"stack": "dev", "rack": "10"}),
    ]
)
EXAMPLES = re.findall(r"^\| `(.+?)` \| ([abc ]+) \|$", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize(("expression", "rows"), EXAMPLES)
def test_the_pages_expressions_hold_where_it_says(expression: str, rows: str) -> None:
    mask = parse(expression.replace("\\|", "|")).mask(Columns(FLEET))
    found = [i.id for i, held in zip(FLEET.instances, mask, strict=True) if held]
    assert " ".join(found) == rows


def test_every_operator_has_an_example() -> None:
    spaced = (expression.replace("(", " ( ").replace("\\|", "|") for expression, _ in EXAMPLES)
    written = {word for expression in spaced for word in expression.split()}
    comparing = "== != > >= < <= =~ !~ equals not_equals greater_than greater_than_equal "
    comparing += "less_than less_than_equal matches not_matches"
    others = "exists !exists not_exists in !in not_in and or not && || !"
    assert set(f"{comparing} {others}".split()) - written == set()
    subjects = "agentConnected agentVersion ec2InstanceId registeredAt runningTasksCount task:group"
    assert set(subjects.split()) - written == set()


STRATEGIES = re.findall(
    r"^\| `([^|]+?)`(?: \(seed 0\))? \| ([xyz ]+) \|$", TEXT, flags=re.MULTILINE
)


@pytest.mark.parametrize(("written", "expected"), STRATEGIES)
def test_the_pages_strategies_choose_as_it_says(written: str, expected: str) -> None:
    parts = re.findall(r"(\w+)(?:\((.+?)\))?", written)
    chain = tuple(Strategy(kind, place_of or "") for kind, place_of in parts)
    total = (4096, 16384, 0, 0)
    rows = [("x", "a", 2048, 8192, 2), ("y", "b", 4096, 4096, 0), ("z", "b", 3072, 6144, 0)]
    snapshot = Snapshot.of(
        Instance(
            InstanceId(name), total, (cpu, memory, 0, 0),
            attributes={"ecs.availability-zone": f"us-east-1{zone}"},
            facts=Facts(tasks_by_group={"web": tasks}),
        )
        for name, zone, cpu, memory, tasks in rows
    )  # fmt: skip
    asked = [TaskRequest(RequestId(f"t{n}"), Shape(512, 512, group="web")) for n in range(4)]
    decisions = place(asked, snapshot, Policy(strategies=chain)).decisions
    assert " ".join(sorted(d.instance_id for d in decisions if isinstance(d, Start))) == expected


def test_every_strategy_has_an_example() -> None:
    written = " ".join(chain for chain, _ in STRATEGIES)
    every = ("binpack(cpu)", "binpack(memory)", "spread(instanceId)", "spread(host)", "random")
    assert [each for each in (*every, "spread(attribute:") if each not in written] == []


def test_the_strategies_on_the_page_are_the_ones_there_are() -> None:
    named = re.findall(r'Strategy\("(\w+)"(?:, "([^"]*)")?\)', TEXT)
    chain = [Strategy(kind, field) for kind, field in named]
    assert {strategy.type for strategy in chain} == {"binpack", "spread", "random", "score"}
    assert all(Policy(strategies=(strategy,)).strategies for strategy in chain)


def test_the_page_shows_a_real_complaint() -> None:
    with pytest.raises(QueryError) as caught:
        parse("runingTasksCount == 1")
    assert f"> {caught.value}\n" in TEXT


def test_the_page_lists_every_score_term() -> None:
    table = TEXT.partition("## 7.")[2].partition("## 8.")[0]
    assert tuple(re.findall(r"^\| `(\w+)(?:\(\w+\))?` \|", table, re.MULTILINE)) == TERM_NAMES
