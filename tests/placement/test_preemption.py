"""Whom to stop for whom: as few as possible, never equals, and never in a circle."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ecs_placement.preemption import Preemption, preempt, started
from ecs_placement.request import Gang, GangId, RequestId, Shape, TaskRequest
from ecs_placement.snapshot import Instance, InstanceId, RunningTask, Snapshot, TaskId

Build = Callable[..., Instance]
Ask = Callable[..., TaskRequest]


def runs(name: str, cpu_units: int, priority: int, **shape: object) -> RunningTask:
    return RunningTask(TaskId(name), Shape(cpu_units, 1024, **shape), priority)  # type: ignore[arg-type]


def stops(plan: Preemption) -> list[str]:
    return [stop.task_id for stop in plan.stops]


def test_the_lowest_priorities_are_stopped_and_no_more_than_needed(
    instance: Build, task: Ask
) -> None:
    """2048 of 4096 units are asked for and none are free: of 1024 × (0, 1, 2), 0 and 1 go."""
    tasks = (runs("a", 1024, 0), runs("b", 1024, 1), runs("c", 1024, 2), runs("d", 1024, 5))
    row = instance("i", free=(0, 8192, 0, 3), running=tasks)
    plan = preempt([task("t", cpu_units=2048, priority=5)], Snapshot.of([row]))
    assert stops(plan) == ["a", "b"]
    assert started(plan) == {"t": "i"}


def test_one_large_task_is_stopped_rather_than_with_small_ones_in_vain(
    instance: Build, task: Ask
) -> None:
    """The small one of priority 0 would be first, but the large one of 1 is needed and suffices."""
    tasks = (runs("small", 512, 0), runs("large", 3072, 1))
    row = instance("i", free=(512, 8192, 0, 3), running=tasks)
    plan = preempt([task("t", cpu_units=3072, priority=5)], Snapshot.of([row]))
    assert stops(plan) == ["large"]


def test_equals_are_never_stopped(instance: Build, task: Ask) -> None:
    row = instance("i", free=(0, 8192, 0, 3), running=(runs("a", 4096, 3),))
    assert preempt([task("t", priority=3)], Snapshot.of([row])) == Preemption((), ())


def test_what_fits_needs_no_stop_and_its_room_is_counted(instance: Build, task: Ask) -> None:
    """The first takes the free half; the second has to stop somebody."""
    row = instance("i", free=(2048, 8192, 0, 3), running=(runs("a", 2048, 0),))
    asked = [task(n, cpu_units=2048, priority=5, order=k) for k, n in enumerate("pq")]
    plan = preempt(asked, Snapshot.of([row]))
    assert (stops(plan), started(plan)) == (["a"], {"p": "i", "q": "i"})


def test_the_instance_with_the_least_important_tasks_is_cleared(instance: Build, task: Ask) -> None:
    rows = [
        instance("i", free=(0, 8192, 0, 3), running=(runs("a", 4096, 2),)),
        instance("j", free=(0, 8192, 0, 3), running=(runs("b", 2048, 1), runs("c", 2048, 0))),
    ]
    plan = preempt([task("t", cpu_units=4096, priority=5)], Snapshot.of(rows))
    assert stops(plan) == ["b", "c"]


def test_a_port_is_freed_by_stopping_who_holds_it(instance: Build, task: Ask) -> None:
    """There is room enough; the port is what is missing."""
    port = frozenset({80})
    row = instance(
        "i", ports_tcp_used=port, running=(runs("other", 64, 0), runs("web", 64, 1, ports_tcp=port))
    )
    plan = preempt([task("t", priority=5, ports_tcp=port)], Snapshot.of([row]))
    assert stops(plan) == ["web"]


def test_nothing_is_stopped_for_a_gang_that_would_not_start_whole(
    instance: Build, task: Ask
) -> None:
    """Two of three members could be given room."""
    row = instance("i", free=(0, 8192, 0, 3), running=(runs("a", 2048, 0), runs("b", 2048, 0)))
    members = [
        replace(task(f"g{n}", cpu_units=2048, priority=5, order=n), gang=Gang(GangId("g"), 3))
        for n in range(3)
    ]
    assert preempt(members, Snapshot.of([row])) == Preemption((), ())
    two = [replace(each, gang=Gang(GangId("g"), 2)) for each in members[:2]]
    assert stops(preempt(two, Snapshot.of([row]))) == ["a", "b"]


SIZES = st.tuples(st.integers(0, 3), st.integers(0, 3))
LEVELS = st.integers(0, 3)


@st.composite
def clusters(draw: st.DrawFn) -> list[Instance]:
    """Up to three instances of 6 by 6 with tasks of four priorities."""
    rows = []
    for number in range(draw(st.integers(0, 3))):
        tasks: list[RunningTask] = []
        cpu, memory = 6, 6
        for each in range(draw(st.integers(0, 5))):
            size = draw(SIZES)
            if size[0] <= cpu and size[1] <= memory:
                cpu, memory = cpu - size[0], memory - size[1]
                tasks.append(RunningTask(TaskId(f"t{number}.{each}"), Shape(*size), draw(LEVELS)))
        name = InstanceId(f"i{number}")
        rows.append(Instance(name, (6, 6, 0, 0), (cpu, memory, 0, 0), running=tuple(tasks)))
    return rows


REQUESTS = st.lists(st.tuples(SIZES, LEVELS), max_size=5).map(
    lambda drawn: [
        TaskRequest(RequestId(f"r{n}"), Shape(*size), level, n)
        for n, (size, level) in enumerate(drawn)
    ]
)


def fits(row: Instance, stopped: set[str], asked: list[TaskRequest]) -> bool:
    """Counted here: whether these fit on the instance once those have ended."""
    for column in range(2):
        room = row.free[column]
        room += sum(t.shape.demand[column] for t in row.running if t.id in stopped)
        need = sum(r.shape.demand[column] for r in asked)
        if need and need > room:
            return False
    return True


@given(REQUESTS, clusters())
def test_no_stop_is_ever_superfluous_or_for_an_equal(
    asked: list[TaskRequest], rows: list[Instance]
) -> None:
    """Starts fit once the stops have ended; without any one of them, those above it do not."""
    plan = preempt(asked, Snapshot.of(rows))
    starts, gone = started(plan), set(stops(plan))
    for row in rows:
        here = [each for each in asked if starts.get(each.id) == row.id]
        assert fits(row, gone, here)
        for task in row.running:
            if task.id in gone:
                above = [each for each in here if each.priority > task.priority]
                assert not fits(row, gone - {task.id}, above)


@given(REQUESTS, clusters())
def test_rounds_never_go_in_a_circle(asked: list[TaskRequest], rows: list[Instance]) -> None:
    """What is stopped asks again in the next round; after a few rounds nobody is stopped."""
    waiting, most = list(asked), len(asked) + sum(len(row.running) for row in rows) + 1
    for _ in range(most):
        plan = preempt(waiting, Snapshot.of(rows))
        starts, gone = started(plan), set(stops(plan))
        if not gone:
            return
        stopped = [t for row in rows for t in row.running if t.id in gone]
        rows = [
            after(row, gone, [w for w in waiting if starts.get(w.id) == row.id]) for row in rows
        ]
        waiting = [each for each in waiting if each.id not in starts]
        waiting += [TaskRequest(RequestId(t.id), t.shape, t.priority) for t in stopped]
    raise AssertionError("still stopping")


def after(row: Instance, gone: set[str], here: list[TaskRequest]) -> Instance:
    left = [task for task in row.running if task.id not in gone]
    left += [RunningTask(TaskId(each.id), each.shape, each.priority) for each in here]
    cpu = 6 - sum(task.shape.cpu_units for task in left)
    memory = 6 - sum(task.shape.memory_mib for task in left)
    return replace(row, free=(cpu, memory, 0, 0), running=tuple(left))
