"""A decision as a sentence."""

from collections.abc import Callable

import pytest

from ecs_placement.explain import sentence
from ecs_placement.plan import Decision, Reason, Reject, Start, Tally, Wait
from ecs_placement.request import RequestId, Shape
from ecs_placement.snapshot import Instance, InstanceId, Snapshot

T = RequestId("t")
SHAPE = Shape(
    cpu_units=65536,
    memory_mib=2048,
    gpus=1,
    ports_tcp=frozenset({8080}),
    ports_udp=frozenset({53}),
    required_attributes=frozenset({("ecs.os-type", "linux")}),
)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Start(T, InstanceId("i-1"), 0.4267), "starts on i-1, then 43% full"),
        (
            Wait(T, (Tally(Reason.CPU, 180, 256), Tally(Reason.MEMORY, 20, 512))),
            "no room on 2 instances: 180 short of CPU (nearest short by 256 units), "
            "20 short of memory (nearest short by 512 MiB)",
        ),
        (
            Wait(T, (Tally(Reason.PORTS, 1), Tally(Reason.ATTRIBUTE, 2), Tally(Reason.AGENT, 1))),
            "no room on 2 instances: 1 with host port 8080/tcp or 53/udp in use, "
            "2 without attribute ecs.os-type=linux, 1 with a disconnected agent",
        ),
        (
            Wait(T, (Tally(Reason.DRAINING, 1), Tally(Reason.AVOIDED, 1))),
            "no room on 2 instances: 1 draining or not active, 1 set aside for a while",
        ),
        (
            Reject(T, (Tally(Reason.CPU, 2, 32768),)),
            "needs 65536 CPU units; the largest registered instance has 32768",
        ),
        (
            Reject(T, (Tally(Reason.ATTRIBUTE, 2),)),
            "needs attribute ecs.os-type=linux; no registered instance has it",
        ),
        (
            Reject(T, (Tally(Reason.GPU, 1, 1), Tally(Reason.MEMORY, 1, 48))),
            "no registered instance could take it even when empty: "
            "needs 1 GPU (1 fail, the largest of them has 0), "
            "needs 2048 MiB of memory (1 fail, the largest of them has 2000)",
        ),
    ],
)
def test_the_sentence_names_what_is_missing(
    instance: Callable[..., Instance], decision: Decision, expected: str
) -> None:
    snapshot = Snapshot.of([instance("a"), instance("b")])
    assert sentence(decision, SHAPE, snapshot) == expected


def test_without_a_snapshot_the_number_of_instances_is_left_out() -> None:
    decision = Wait(T, (Tally(Reason.CPU, 3, 1),))
    assert sentence(decision, SHAPE) == "no room: 3 short of CPU (nearest short by 1 unit)"


def test_an_empty_cluster_is_called_so() -> None:
    assert sentence(Wait(T, ()), SHAPE, Snapshot.of([])) == (
        "the cluster has no container instances"
    )
