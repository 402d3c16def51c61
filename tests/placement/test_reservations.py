"""Room kept for a request that waits: followers fill in around it and never hold it up."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.batch import place
from ecs_placement.check import Broken, check
from ecs_placement.explain import sentence
from ecs_placement.plan import Plan, Reason, Reservation, Reserving, Start, Tally, Wait
from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, RunningTask, Snapshot, TaskId

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]

WHOLE = {"cpu_units": 4096, "memory_mib": 1024}


def where(plan: Plan) -> dict[str, str]:
    return {d.request_id: d.instance_id for d in plan.decisions if isinstance(d, Start)}


def kept(plan: Plan) -> dict[str, tuple[str | None, float | None]]:
    return {r.request_id: (r.instance_id, r.by_s) for r in plan.reservations}


def reserving(*names: str, now_s: float = 0.0) -> Reserving:
    return Reserving(tuple(Reservation(RequestId(name)) for name in names), now_s)


def running(name: str, cpu_units: int, ends_at_s: float | None) -> RunningTask:
    return RunningTask(TaskId(name), Shape(cpu_units), ends_at_s=ends_at_s)


def test_without_a_reservation_small_tasks_take_the_room_for_ever(
    instance: Build, task: Ask
) -> None:
    """Half an instance is free: the large task waits, the small one starts."""
    half = instance("a", free=(2048, 16384, 0, 3))
    plan = place([task("large", **WHOLE), task("small")], Snapshot.of([half]))
    assert where(plan) == {"small": "a"}
    assert plan.reservations == ()


def test_room_is_kept_where_most_is_free_already(instance: Build, task: Ask) -> None:
    """b has 3072 units, a 2048: b is kept whole, the small task goes to a."""
    rows = [instance("a", free=(2048, 16384, 0, 3)), instance("b", free=(3072, 16384, 0, 3))]
    snapshot = Snapshot.of(rows)
    large, small = task("large", **WHOLE), [task(f"s{n}", order=n) for n in range(3)]
    plan = place([large, *small], snapshot, reserving=reserving("large"))
    assert where(plan) == {"s0": "a", "s1": "a"}
    assert kept(plan) == {"large": ("b", None)}
    lacking = (Tally(Reason.CPU, 2, 1024),)
    assert plan.decisions[0] == Wait(large.id, lacking, None, plan.reservations[0])
    assert plan.decisions[3] == Wait(
        small[2].id, (Tally(Reason.CPU, 1, 1024), Tally(Reason.RESERVED, 1))
    )
    assert sentence(plan.decisions[0], large.shape, snapshot) == (
        "no room on 2 instances: 2 short of CPU (nearest short by 1024 units); "
        "room is kept for it on b"
    )
    assert sentence(plan.decisions[3], small[2].shape, snapshot) == (
        "no room on 2 instances: 1 short of CPU (nearest short by 1024 units), "
        "1 kept for another request"
    )
    assert check(plan, [large, *small], snapshot) == ()


def test_what_the_reserved_does_not_need_is_not_kept(instance: Build, task: Ask) -> None:
    """The large task needs CPU alone; one that needs memory alone starts beside."""
    snapshot = Snapshot.of([instance("a", free=(2048, 16384, 0, 3))])
    asked = [task("large", cpu_units=4096, memory_mib=0), task("m", cpu_units=0)]
    plan = place(asked, snapshot, reserving=reserving("large"))
    assert where(plan) == {"m": "a"}
    assert check(plan, asked, snapshot) == ()


def test_room_stays_where_it_is_kept(instance: Build, task: Ask) -> None:
    """b became freer meanwhile; moving there would let others take what a has gathered."""
    rows = [instance("a", free=(2048, 16384, 0, 3)), instance("b", free=(3072, 16384, 0, 3))]
    earlier = Reserving((Reservation(RequestId("large"), InstanceId("a")),))
    plan = place([task("large", **WHOLE)], Snapshot.of(rows), reserving=earlier)
    assert kept(plan) == {"large": ("a", None)}


def test_a_reservation_moves_when_its_instance_is_gone(instance: Build, task: Ask) -> None:
    earlier = Reserving((Reservation(RequestId("large"), InstanceId("gone")),))
    snapshot = Snapshot.of([instance("b", free=(3072, 16384, 0, 3))])
    plan = place([task("large", **WHOLE)], snapshot, reserving=earlier)
    assert kept(plan) == {"large": ("b", None)}


def test_a_reserved_request_starts_as_soon_as_it_fits(instance: Build, task: Ask) -> None:
    """First within its priority, though the other is larger by the policy's weights."""
    snapshot = Snapshot.of([instance("a")])
    asked = [task("heavy", cpu_units=4096, memory_mib=16384), task("large", **WHOLE)]
    plan = place(asked, snapshot, reserving=reserving("large"))
    assert where(plan) == {"large": "a"}
    assert plan.reservations == ()


def test_a_higher_priority_is_never_held_up(instance: Build, task: Ask) -> None:
    snapshot = Snapshot.of([instance("a", free=(2048, 16384, 0, 3))])
    asked = [task("large", **WHOLE), task("urgent", priority=1)]
    assert where(place(asked, snapshot, reserving=reserving("large"))) == {"urgent": "a"}


def test_known_ends_say_when_and_what_ends_before_may_go_first(instance: Build, task: Ask) -> None:
    """a is whole in 100 s, b in 50: b is kept. One that lasts 40 s goes there, one of 60 not."""
    a = instance("a", free=(2048, 16384, 0, 3), running=(running("x", 2048, 100.0),))
    b = instance("b", free=(1024, 16384, 0, 3), running=(running("y", 3072, 50.0),))
    full = replace(a, free=(0, 0, 0, 0))
    snapshot = Snapshot.of([full, b])
    large = task("large", **WHOLE)
    long, brief = task("long"), replace(task("brief", order=1), lasts_s=40)
    for other, expected in ((long, {}), (replace(long, lasts_s=60), {}), (brief, {"brief": "b"})):
        plan = place([large, other], snapshot, reserving=reserving("large"))
        assert kept(plan) == {"large": ("b", 50.0)}
        assert where(plan) == expected
        assert check(plan, [large, other], snapshot) == ()


def test_an_overdue_task_is_not_counted_on(instance: Build, task: Ask) -> None:
    """It should have ended at 50 s, it is 60 s now: nobody knows any more."""
    b = instance("b", free=(1024, 16384, 0, 3), running=(running("y", 3072, 50.0),))
    plan = place([task("large", **WHOLE)], Snapshot.of([b]), reserving=reserving("large", now_s=60))
    assert kept(plan) == {"large": ("b", None)}


def test_a_reserved_port_is_left_alone(instance: Build, task: Ask) -> None:
    """The small one would fit beside, but holds the port that the large one needs."""
    port = frozenset({80})
    snapshot = Snapshot.of([instance("a", free=(3072, 16384, 0, 3))])
    asked = [task("large", **WHOLE, ports_tcp=port), task("p", cpu_units=0, ports_tcp=port)]
    plan = place(asked, snapshot, reserving=reserving("large"))
    assert where(plan) == {}
    assert check(plan, asked, snapshot) == ()


def test_a_gang_is_reserved_for_whole(instance: Build) -> None:
    """Two members fit now, two need what runs on b: all four rooms are kept."""
    half = Shape(2048, 1024)
    asked = [
        TaskRequest(RequestId(f"g{n}"), half, order=n, gang=Gang(GangId("g"), 4)) for n in range(4)
    ]
    single = TaskRequest(RequestId("single"), Shape(1024, 1024))
    snapshot = Snapshot.of([instance("a"), instance("b", free=(0, 16384, 0, 3))])
    plan = place([*asked, single], snapshot, reserving=reserving("g0"))
    assert where(plan) == {}
    assert [r.instance_id for r in plan.reservations] == ["a", "a", "b", "b"]
    assert check(plan, [*asked, single], snapshot) == ()


def test_a_start_that_takes_reserved_room_is_found(instance: Build, task: Ask) -> None:
    snapshot = Snapshot.of([instance("a", free=(2048, 16384, 0, 3))])
    asked = [task("large", **WHOLE), task("small")]
    plan = place(asked, snapshot, reserving=reserving("large"))
    broken = Plan(
        (plan.decisions[0], Start(RequestId("small"), InstanceId("a"), 0.0)), plan.reservations
    )
    assert [v.kind for v in check(broken, asked, snapshot)] == [Broken.DELAYED]


SMALL = st.builds(Shape, st.integers(0, 3), st.integers(0, 3))


@st.composite
def fleets(draw: st.DrawFn) -> list[Instance]:
    """Instances of 6 by 6, filled by tasks of which some ends are known."""
    rows = []
    for number in range(draw(st.integers(1, 4))):
        tasks, free = [], [6, 6]
        for each in range(draw(st.integers(0, 4))):
            shape = Shape(
                draw(st.integers(0, min(3, free[0]))), draw(st.integers(0, min(3, free[1])))
            )
            free = [free[0] - shape.cpu_units, free[1] - shape.memory_mib]
            ends = draw(st.one_of(st.none(), st.integers(1, 9).map(float)))
            tasks.append(RunningTask(TaskId(f"{number}.{each}"), shape, 0, ends))
        name = InstanceId(f"i{number}")
        rows.append(Instance(name, (6, 6, 0, 0), (*free, 0, 0), running=tuple(tasks)))  # type: ignore[arg-type]
    return rows


@st.composite
def followers(draw: st.DrawFn, prefix: str = "f") -> list[TaskRequest]:
    return [
        TaskRequest(
            RequestId(f"{prefix}{n}"), draw(SMALL), order=n,
            lasts_s=draw(st.one_of(st.none(), st.integers(1, 9))),
        )
        for n in range(draw(st.integers(0, 6)))
    ]  # fmt: skip


@given(fleets(), followers(), st.lists(st.integers(3, 6), min_size=1, max_size=3))
def test_a_plan_with_reservations_never_breaks_an_invariant(
    rows: list[Instance], small: list[TaskRequest], large: list[int]
) -> None:
    heads = [
        TaskRequest(RequestId(f"h{n}"), Shape(size, size), n % 2) for n, size in enumerate(large)
    ]
    snapshot = Snapshot.of(rows)
    wanted = reserving(*(h.id for h in heads))
    plan = place([*heads, *small], snapshot, reserving=wanted)
    assert check(plan, [*heads, *small], snapshot, reserving=wanted) == ()


@given(fleets(), st.lists(followers(), min_size=9, max_size=9), st.data())
def test_backfill_never_delays_the_reserved(
    rows: list[Instance], arrivals: list[list[TaskRequest]], data: st.DataObject
) -> None:
    """Second by second: tasks end when it was said at the latest, others at any time. The large
    task starts no later than was said; where that was unknown, no later than the instance kept for
    it would have had room on its own.
    """
    head = TaskRequest(RequestId("head"), Shape(6, 6))
    due = {
        task.id: data.draw(st.integers(1, int(task.ends_at_s or 12)))
        for row in rows
        for task in row.running
    }
    state, reserved, waiting = rows, reserving("head"), list[TaskRequest]()
    said, promised = False, 99.0
    for second in range(9):
        state = [_ended(row, due, second) for row in state]
        waiting += [replace(each, id=RequestId(f"{second}.{each.id}")) for each in arrivals[second]]
        now = replace(reserved, now_s=float(second))
        snapshot = Snapshot.of(state)
        plan = place([head, *waiting], snapshot, reserving=now)
        assert check(plan, [head, *waiting], snapshot, reserving=now) == ()
        starts = where(plan)
        if "head" in starts:
            assert second <= promised
            return
        kept_on, by_s = plan.reservations[0].instance_id, plan.reservations[0].by_s
        if by_s is not None:
            said, promised = True, min(promised, by_s) if said else by_s
        elif not said:
            promised = min(promised, _alone(state, kept_on, due))
        assert second < promised
        reserved = Reserving(plan.reservations)
        state = [_started(row, waiting, starts, due, second) for row in state]
        waiting = [each for each in waiting if each.id not in starts]


def _alone(rows: list[Instance], kept_on: str | None, due: dict[TaskId, int]) -> float:
    """When the tasks that run on the instance will really have ended."""
    return max(due[task.id] for row in rows if row.id == kept_on for task in row.running)


def _ended(row: Instance, due: dict[TaskId, int], second: int) -> Instance:
    over = [task for task in row.running if due[task.id] <= second]
    free = row.free
    for task in over:
        free = _plus(free, task.shape, 1)
    left = tuple(task for task in row.running if task not in over)
    return replace(row, free=free, running=left)


def _plus(free: tuple[int, int, int, int], shape: Shape, times: int) -> tuple[int, int, int, int]:
    cpu, memory, gpus, enis = free
    return (cpu + times * shape.cpu_units, memory + times * shape.memory_mib, gpus, enis)


def _started(
    row: Instance,
    waiting: list[TaskRequest],
    starts: dict[str, str],
    due: dict[TaskId, int],
    second: int,
) -> Instance:
    mine = [each for each in waiting if starts.get(each.id) == row.id]
    free, tasks = row.free, list(row.running)
    for each in mine:
        ends = None if each.lasts_s is None else float(second + each.lasts_s)
        due[TaskId(each.id)] = 99 if ends is None else int(ends)
        tasks.append(RunningTask(TaskId(each.id), each.shape, 0, ends))
        free = _plus(free, each.shape, -1)
    return replace(row, free=free, running=tuple(tasks))
