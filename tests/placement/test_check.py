"""`check` catches what it is there to catch: each test plants one fault in a sound plan."""

from dataclasses import replace

import pytest

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.plan import Decision, Plan, Reject, Start, Wait
from ecs_placement.request import RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Availability, Instance, InstanceId, Snapshot

WEB = frozenset({80})
SNAPSHOT_ROWS = [
    Instance(InstanceId("full"), (4096, 16384, 0, 3), (512, 16384, 0, 3)),
    Instance(
        InstanceId("gone"),
        (4096, 16384, 0, 3),
        (4096, 16384, 0, 3),
        frozenset(),
        frozenset(),
        {},
        Availability.AGENT_DISCONNECTED,
    ),
    Instance(
        InstanceId("open"),
        (4096, 16384, 0, 3),
        (2048, 16384, 0, 3),
        frozenset({443}),
        frozenset(),
        {"zone": "a"},
    ),
]
REQUESTS = [
    TaskRequest(RequestId("high"), Shape(1024, 1024, ports_tcp=WEB), priority=5),
    TaskRequest(RequestId("low"), Shape(1024, 1024)),
    TaskRequest(RequestId("late"), Shape(1024, 1024), order=9),
    TaskRequest(RequestId("never"), Shape(9999, 1024)),
    TaskRequest(RequestId("zone"), Shape(0, 1, required_attributes=frozenset({("zone", "a")}))),
    TaskRequest(RequestId("tls"), Shape(0, 1, ports_tcp=frozenset({443}))),
]  # fmt: skip


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot.of(SNAPSHOT_ROWS)


@pytest.fixture
def sound(snapshot: Snapshot) -> Plan:
    """high and low start on `open`, late waits, never is rejected, zone on open, tls on full."""
    return place(REQUESTS, snapshot)


def instead(plan: Plan, decision: Decision) -> Plan:
    """The plan with one decision replaced."""
    return Plan(
        tuple(decision if d.request_id == decision.request_id else d for d in plan.decisions)
    )


def start(request: str, on: str) -> Start:
    return Start(RequestId(request), InstanceId(on), 0.0)


def test_the_plan_itself_is_sound(sound: Plan, snapshot: Snapshot) -> None:
    assert check(sound, REQUESTS, snapshot) == ()
    kinds = {d.request_id: type(d) for d in sound.decisions}
    assert kinds == {
        "high": Start, "low": Start, "late": Wait, "never": Reject, "zone": Start, "tls": Start
    }  # fmt: skip


@pytest.mark.parametrize(
    ("planted", "kind", "about"),
    [
        (start("late", "open"), Broken.OVERCOMMIT, "open"),
        (start("late", "gone"), Broken.UNAVAILABLE, "late"),
        (start("late", "nowhere"), Broken.UNKNOWN_INSTANCE, "nowhere"),
        (start("never", "open"), Broken.OVERCOMMIT, "open"),
        (start("zone", "full"), Broken.ATTRIBUTE, "zone"),
        (start("tls", "open"), Broken.PORT, "open"),
        (Wait(RequestId("high"), ()), Broken.INVERTED, "high"),
        (Wait(RequestId("low"), ()), Broken.INVERTED, "low"),
        (Reject(RequestId("late"), ()), Broken.WRONG_REJECT, "late"),
        (Wait(RequestId("never"), ()), Broken.WRONG_WAIT, "never"),
    ],
)
def test_a_planted_fault_is_found(
    sound: Plan, snapshot: Snapshot, planted: Decision, kind: Broken, about: str
) -> None:
    found = {(v.kind, v.about) for v in check(instead(sound, planted), REQUESTS, snapshot)}
    assert (kind, about) in found


def test_room_taken_by_a_lower_priority_is_an_inversion(snapshot: Snapshot) -> None:
    """late and low hold all of `open` while high, of priority 5, waits."""
    plan = place([replace(r, priority=0) for r in REQUESTS], snapshot)
    plan = instead(instead(plan, Wait(RequestId("high"), ())), start("late", "open"))
    plan = instead(plan, start("low", "open"))
    assert [(v.kind, v.about) for v in check(plan, REQUESTS, snapshot)] == [
        (Broken.INVERTED, "high")
    ]


def test_a_port_given_twice_in_one_plan_is_found(snapshot: Snapshot) -> None:
    requests = [
        TaskRequest(RequestId(name), Shape(1, 1, ports_udp=frozenset({53}))) for name in "ab"
    ]
    plan = Plan((start("a", "open"), start("b", "open")))
    assert [v.kind for v in check(plan, requests, snapshot)] == [Broken.PORT]


@pytest.mark.parametrize("keep", [slice(1, None), slice(None, -1)])
def test_a_forgotten_request_is_found(sound: Plan, snapshot: Snapshot, keep: slice) -> None:
    found = check(Plan(sound.decisions[keep]), REQUESTS, snapshot)
    assert [v.kind for v in found] == [Broken.NOT_ONCE]


def test_a_request_decided_twice_is_found(sound: Plan, snapshot: Snapshot) -> None:
    twice = Plan((*sound.decisions, sound.decisions[0]))
    assert [v.about for v in check(twice, REQUESTS, snapshot)] == ["high"]
