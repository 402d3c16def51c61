"""Stories of single decisions: where tasks start, what waits, what is rejected, and why."""

from collections.abc import Callable

import pytest

from ecs_placement.batch import place
from ecs_placement.check import check
from ecs_placement.errors import InvalidPolicy, InvalidRequest, InvalidSnapshot
from ecs_placement.plan import Plan, Reason, Reject, Start, Tally, Wait
from ecs_placement.policy import Policy
from ecs_placement.request import TaskRequest
from ecs_placement.snapshot import Availability, Instance, Snapshot

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]


def where(plan: Plan) -> dict[str, str]:
    """Instance by request, for those that start."""
    return {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}


def test_the_fuller_of_two_instances_is_filled_first(instance: Build, task: Ask) -> None:
    """Weighted room: b has 2048/4096 + 8192/16384 + ¼·3/3 = 1.25 left, a has 2.25."""
    snapshot = Snapshot.of([instance("a"), instance("b", free=(2048, 8192, 0, 3))])
    plan = place([task("t")], snapshot)
    assert where(plan) == {"t": "b"}


def test_equal_instances_are_taken_in_the_order_of_their_ids(instance: Build, task: Ask) -> None:
    """Four tasks of 1024 units fill one instance of 4096; the fifth opens the next."""
    snapshot = Snapshot.of([instance("b"), instance("a")])
    plan = place([task(f"t{i}", order=i) for i in range(5)], snapshot)
    assert where(plan) == {"t0": "a", "t1": "a", "t2": "a", "t3": "a", "t4": "b"}


def test_the_score_says_how_full_the_instance_is_afterwards(instance: Build, task: Ask) -> None:
    """Of the weighted total 1 + 1 + ¼ = 2.25, one task uses 1/4 + 1/8 = 0.375, two use 0.75."""
    plan = place([task("t0", order=0), task("t1", order=1)], Snapshot.of([instance("a")]))
    scores = [d.score for d in plan.decisions if isinstance(d, Start)]
    assert scores == pytest.approx([0.375 / 2.25, 0.75 / 2.25])


def test_larger_shapes_go_first_within_a_priority(instance: Build, task: Ask) -> None:
    """3072 + 1024 fill 4096 exactly; had the small ones gone first, the large one would not fit."""
    small = [task(f"s{i}", order=i) for i in range(2)]
    large = task("l", cpu_units=3072, memory_mib=4096, order=9)
    plan = place([*small, large], Snapshot.of([instance("a")]))
    assert where(plan) == {"l": "a", "s0": "a"}


def test_higher_priority_goes_first_even_if_it_packs_worse(instance: Build, task: Ask) -> None:
    """The small ones take 2048 of 4096 by priority; 3072 no longer fit, short by 1024."""
    small = [task(f"s{i}", order=i, priority=1) for i in range(2)]
    large = task("l", cpu_units=3072, memory_mib=4096)
    plan = place([large, *small], Snapshot.of([instance("a")]))
    assert where(plan) == {"s0": "a", "s1": "a"}
    assert plan.decisions[0] == Wait(large.id, (Tally(Reason.CPU, 1, 1024),))


def test_within_a_group_the_earlier_request_starts(instance: Build, task: Ask) -> None:
    """One place, three equal requests: the lowest `order` gets it, wherever it is listed."""
    snapshot = Snapshot.of([instance("a", total=(1024, 2048, 0, 3))])
    plan = place([task("late", order=7), task("first", order=1), task("mid", order=4)], snapshot)
    assert where(plan) == {"first": "a"}


def test_tasks_without_gpus_stay_off_instances_whose_gpus_are_free(
    instance: Build, task: Ask
) -> None:
    """gpu: 2048/4096 CPU + 1 memory + 4·(3/4) GPUs still weighs more than plain's 1 + 1."""
    gpu = instance("gpu", total=(4096, 16384, 4, 3), free=(2048, 16384, 4, 3))
    plan = place([task("cpu"), task("cuda", gpus=1)], Snapshot.of([instance("plain"), gpu]))
    assert where(plan) == {"cpu": "plain", "cuda": "gpu"}


def test_a_host_port_is_given_once_per_instance_and_protocol(instance: Build, task: Ask) -> None:
    """Two instances, three tasks on 8080/tcp: the third waits; 8080/udp is another port."""
    snapshot = Snapshot.of([instance("a"), instance("b")])
    tcp = [task(f"t{i}", ports_tcp=frozenset({8080}), order=i) for i in range(3)]
    udp = task("u", ports_udp=frozenset({8080}), order=3)
    plan = place([*tcp, udp], snapshot)
    assert where(plan) == {"t0": "a", "t1": "b", "u": "a"}
    assert plan.decisions[2] == Wait(tcp[2].id, (Tally(Reason.PORTS, 2),))


def test_a_port_in_use_makes_a_task_wait_and_never_rejects_it(instance: Build, task: Ask) -> None:
    """What holds the port may end."""
    snapshot = Snapshot.of([instance("a", ports_tcp_used=frozenset({22}))])
    asked = task("ssh", ports_tcp=frozenset({22}))
    assert place([asked], snapshot).decisions == (Wait(asked.id, (Tally(Reason.PORTS, 1),)),)


def test_attributes_are_matched_by_value_or_by_presence(instance: Build, task: Ask) -> None:
    """arm64 goes to the arm instance; a mere capability goes to the one that has it."""
    arm = instance("arm", attributes={"ecs.cpu-architecture": "arm64"})
    log = instance("log", attributes={"ecs.capability.awslogs": None})
    needs_arm = task("a", required_attributes=frozenset({("ecs.cpu-architecture", "arm64")}))
    needs_log = task("l", required_attributes=frozenset({("ecs.capability.awslogs", None)}))
    nobody = task("n", required_attributes=frozenset({("ecs.cpu-architecture", "riscv")}))
    plan = place([needs_arm, needs_log, nobody], Snapshot.of([arm, log]))
    assert where(plan) == {"a": "arm", "l": "log"}
    assert plan.decisions[2] == Reject(nobody.id, (Tally(Reason.ATTRIBUTE, 2),))


def test_instances_that_take_no_tasks_are_tallied_by_why(instance: Build, task: Ask) -> None:
    """One of each kind, all with room: the request waits, and each state is counted once."""
    states = [Availability.AGENT_DISCONNECTED, Availability.DRAINING, Availability.AVOIDED]
    rows = [instance(state, availability=state) for state in states]
    asked = task("t")
    reasons = tuple(Tally(r, 1) for r in (Reason.AGENT, Reason.DRAINING, Reason.AVOIDED))
    assert place([asked], Snapshot.of(rows)).decisions == (Wait(asked.id, reasons),)


def test_an_instance_counts_under_each_of_its_reasons(instance: Build, task: Ask) -> None:
    """a lacks CPU (by 1024-512) and memory (by 2048-1024); b lacks CPU only (by 1024-768)."""
    a = instance("a", free=(512, 1024, 0, 3))
    b = instance("b", free=(768, 4096, 0, 3))
    decision = place([task("t")], Snapshot.of([a, b])).decisions[0]
    assert decision == Wait(
        task("t").id, (Tally(Reason.CPU, 2, 256), Tally(Reason.MEMORY, 1, 1024))
    )


def test_a_request_larger_than_every_instance_is_rejected(instance: Build, task: Ask) -> None:
    """65536 units against 4096 at most: short by 61440, whoever is draining."""
    rows = [instance("a"), instance("b", availability=Availability.DRAINING)]
    decision = place([task("t", cpu_units=65536)], Snapshot.of(rows)).decisions[0]
    assert decision == Reject(task("t").id, (Tally(Reason.CPU, 2, 61440),))


def test_no_single_instance_suffices(instance: Build, task: Ask) -> None:
    """One has the CPU, the other the memory: rejected under both."""
    rows = [instance("a", total=(8192, 1024, 0, 3)), instance("b", total=(512, 32768, 0, 3))]
    decision = place([task("t")], Snapshot.of(rows)).decisions[0]
    assert decision == Reject(
        task("t").id, (Tally(Reason.CPU, 1, 512), Tally(Reason.MEMORY, 1, 1024))
    )


def test_what_only_a_draining_instance_could_take_waits(instance: Build, task: Ask) -> None:
    """The large instance may come back or be replaced by its like."""
    rows = [
        instance("a"),
        instance("big", total=(16384, 65536, 0, 3), availability=Availability.DRAINING),
    ]
    decision = place([task("t", cpu_units=8192)], Snapshot.of(rows)).decisions[0]
    assert decision == Wait(task("t").id, (Tally(Reason.CPU, 1, 4096), Tally(Reason.DRAINING, 1)))


def test_without_instances_everything_waits(task: Ask) -> None:
    """Nothing is registered, so nothing can be called impossible."""
    asked = [task("t"), task("u", cpu_units=10**6)]
    assert place(asked, Snapshot.of([])).decisions == tuple(Wait(r.id, ()) for r in asked)


def test_no_requests_make_an_empty_plan(instance: Build) -> None:
    assert place([], Snapshot.of([instance("a")])) == Plan(())


def test_an_oversubscribed_instance_takes_nothing_that_needs_what_it_lacks(
    instance: Build, task: Ask
) -> None:
    """-512 units are free: a task of 1 unit is short by 513; one that asks for none fits."""
    snapshot = Snapshot.of([instance("a", free=(-512, 16384, 0, 3))])
    plan = place([task("c", cpu_units=1), task("m", cpu_units=0)], snapshot)
    assert where(plan) == {"m": "a"}
    assert plan.decisions[0] == Wait(task("c").id, (Tally(Reason.CPU, 1, 513),))
    assert check(plan, [task("c", cpu_units=1), task("m", cpu_units=0)], snapshot) == ()


def test_amounts_beyond_2_to_the_53_are_exact(instance: Build, task: Ask) -> None:
    """2⁵³+1 is not a float64: a request of 2⁵³+1 must not fit into 2⁵³, and does fit into 2⁵³+1."""
    tight = instance("a", total=(2**53, 16384, 0, 3))
    exact = instance("b", total=(2**53 + 1, 16384, 0, 3))
    plan = place([task("t", cpu_units=2**53 + 1)], Snapshot.of([tight, exact]))
    assert where(plan) == {"t": "b"}


def test_a_policy_can_prefer_one_dimension(instance: Build, task: Ask) -> None:
    """By memory b is the fuller one (8192 < 16384 MiB left), by CPU a is (1024 < 4096)."""
    rows = [instance("a", free=(1024, 16384, 0, 3)), instance("b", free=(4096, 8192, 0, 3))]
    snapshot = Snapshot.of(rows)
    assert where(place([task("t")], snapshot, Policy((0, 1, 0, 0)))) == {"t": "b"}
    assert where(place([task("t")], snapshot, Policy((1, 0, 0, 0)))) == {"t": "a"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total": (-1, 0, 0, 0)}, "instance 'a': total CPU = -1 is negative"),
        ({"total": (1, 2, 3)}, "instance 'a': total has 3 entries, expected 4"),
        ({"free": (1, 2.5, 0, 0)}, "instance 'a': free MEMORY is 2.5, not an integer"),
        ({"free": (2**63, 1, 0, 0)}, "is out of range"),
        ({"ports_tcp_used": frozenset({70000})}, "port 70000 is not within"),
    ],
)
def test_a_bad_instance_is_named(instance: Build, fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidSnapshot, match=message):
        Snapshot.of([instance("a", **fields)])


def test_an_instance_given_twice_is_an_error(instance: Build) -> None:
    with pytest.raises(InvalidSnapshot, match="id 'a' is given more than once"):
        Snapshot.of([instance("a"), instance("b"), instance("a")])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"memory_mib": -5}, "request 't': MEMORY = -5 is negative"),
        ({"cpu_units": 0.5}, "request 't': CPU is 0.5, not an integer"),
        ({"gpus": 2**62}, "request 't': GPU = .* is out of range"),
        ({"ports_udp": frozenset({0})}, "request 't': host port 0/udp is not within 1..65535"),
    ],
)
def test_a_bad_request_is_named(
    instance: Build, task: Ask, shape: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        place([task("t", **shape)], Snapshot.of([instance("a")]))


def test_a_request_given_twice_is_an_error(instance: Build, task: Ask) -> None:
    with pytest.raises(InvalidRequest, match="id 't' is given more than once"):
        place([task("t"), task("t", order=1)], Snapshot.of([instance("a")]))


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, -1, 0, 0), (float("nan"), 1, 1, 1), (0,) * 4])
def test_a_bad_policy_is_refused(weights: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidPolicy, match="weights"):
        Policy(weights)


def test_the_arrays_of_a_snapshot_are_read_only_and_sorted(instance: Build) -> None:
    snapshot = Snapshot.of([instance("b"), instance("a", free=(1, 2, 0, 0))])
    assert [i.id for i in snapshot.instances] == ["a", "b"]
    assert snapshot.free.tolist() == [[1, 2, 0, 0], [4096, 16384, 0, 3]]
    with pytest.raises(ValueError, match="read-only"):
        snapshot.free[0, 0] = 1
