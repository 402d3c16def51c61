"""The simulator doubts itself: planted corruption is found, honest histories pass."""

from collections.abc import Callable

import aiohttp
import pytest

from ecs_simulator import InstanceGroup, InvariantBroken, Options, SimulatedEcs
from ecs_simulator.evidence import TaskRecord
from ecs_simulator.records import PENDING, RUNNING, STOPPED, Instance, Task
from ecs_simulator.server import Serving, start
from ecs_simulator.wire import TARGET_PREFIX

from .conftest import ManualClock, World


def busy(world: World) -> tuple[Instance, Instance, Task]:
    """Two instances, one running task on the first, one stopped."""
    arns = world.add(
        InstanceGroup(instance_type="g5.12xlarge"), InstanceGroup(instance_type="g5.12xlarge")
    )
    world.define(
        container={
            "resourceRequirements": [{"type": "GPU", "value": "1"}],
            "portMappings": [{"containerPort": 80, "hostPort": 80}],
        }
    )
    world.start(arns[0])
    world.later(10)
    region = world.ecs.region
    first, second = region.clusters["demo"].instances.values()
    return first, second, region.tasks_ever[0]


def free_cpu(first: Instance, _: Instance, __: Task) -> None:
    first.free_cpu += 1


def free_gpu(first: Instance, _: Instance, __: Task) -> None:
    first.free_gpus.pop()


def double_gpu(first: Instance, _: Instance, task: Task) -> None:
    first.free_gpus.extend(task.gpu_ids)


def free_memory(first: Instance, _: Instance, __: Task) -> None:
    first.free_memory = -1


def lost_interface(first: Instance, _: Instance, __: Task) -> None:
    first.free_enis -= 1


def lost_port(first: Instance, _: Instance, __: Task) -> None:
    first.ports_tcp.discard(80)


def miscounted_running(first: Instance, _: Instance, __: Task) -> None:
    first.running += 1


def miscounted_cluster(first: Instance, _: Instance, __: Task) -> None:
    first.cluster.running -= 1


def miscounted_pending(first: Instance, _: Instance, __: Task) -> None:
    first.cluster.pending += 1


def on_two_instances(_: Instance, second: Instance, task: Task) -> None:
    second.tasks[task.id] = task


def ended_yet_wanted(_: Instance, __: Instance, task: Task) -> None:
    task.status = 7


def out_of_order(_: Instance, __: Instance, task: Task) -> None:
    task.stopped_at = task.created_at - 1


def codes_without_a_run(_: Instance, __: Instance, task: Task) -> None:
    task.started_at, task.exit_codes = None, (0,)


def reserved_wrongly(first: Instance, _: Instance, __: Task) -> None:
    first.cluster.reserved["CPU"] += 1


@pytest.mark.parametrize(
    "corrupt",
    [
        free_cpu,
        free_gpu,
        double_gpu,
        free_memory,
        lost_interface,
        lost_port,
        miscounted_running,
        miscounted_cluster,
        miscounted_pending,
        on_two_instances,
        ended_yet_wanted,
        out_of_order,
        codes_without_a_run,
        reserved_wrongly,
    ],
)
def test_planted_corruption_is_found(
    quick: World, corrupt: Callable[[Instance, Instance, Task], None]
) -> None:
    """verify() raises for each of them, and says what led there."""
    scene = busy(quick)
    quick.ecs.verify()
    corrupt(*scene)
    with pytest.raises(InvariantBroken, match="What led there") as caught:
        quick.ecs.verify()
    assert any("RUNNING" in line for line in caught.value.history)


def test_a_witness_is_told_of_each_end_once_and_nothing_is_kept_for_ever() -> None:
    """What it was told is what the record of all would have said; the books still balance, and a
    task that vanished from them is missed.
    """
    told: list[TaskRecord] = []
    clock = ManualClock()
    ecs = SimulatedEcs(Options(), clock, witness=told.append)
    world = World(ecs, clock, ecs.call, "direct")
    (arn,) = world.add(InstanceGroup(cpu_units=2048, memory_mib=4096))
    world.define()
    for _ in range(3):
        world.start(arn)
        world.later(40)
    world.later(10)
    assert [task.number for task in told] == sorted(task.number for task in told)
    assert len(told) == 2
    world.later(60)
    assert len(told) == 3
    assert {task.last_status for task in told} == {"STOPPED"}
    world.later(3601)
    assert ecs.tasks() == ()
    assert ecs.statistics.tasks_started == 3
    world.start(arn)
    ecs.region.clusters["demo"].tasks.clear()
    with pytest.raises(InvariantBroken, match="4 tasks were started, 3 have ended, and 0 are"):
        ecs.verify()


def test_a_step_back_in_life_stops_the_run(quick: World) -> None:
    """A task that would go from RUNNING to PENDING stops the simulation at once."""
    _, _, task = busy(quick)
    assert task.status == RUNNING
    with pytest.raises(InvariantBroken, match="from RUNNING to PENDING"):
        quick.ecs.region.agents._move((task,), PENDING, 0.0)


def test_over_commitment_stops_the_run(quick: World) -> None:
    """Resources that are not there cannot be taken, even if a check was missed before."""
    first, _, _ = busy(quick)
    first.free_cpu = 10**6  # a planted error, so that the placement check lets it pass
    first.free_memory = 1
    quick.define("thin", container={"memory": 6})
    answer = quick.start(str(first.arn), definition="thin")
    assert [one["reason"] for one in answer["failures"]] == ["RESOURCE:MEMORY"]
    with pytest.raises(InvariantBroken, match="not conserved"):
        quick.ecs.verify()


async def test_a_served_simulator_tells_whoever_serves_it(quick: World) -> None:
    """A contradiction while serving answers 500 with the history, and ends `ecs-simulator
    serve`."""
    _, _, task = busy(quick)
    task.status = STOPPED  # although its end is still to come
    quick.clock.seconds += 100
    told: list[InvariantBroken] = []
    serving = Serving(broken=told.append)
    runner, port = await start(quick.ecs, "127.0.0.1", 0, serving)
    headers = {"X-Amz-Target": TARGET_PREFIX + "ListClusters"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/", data=b"{}", headers=headers) as response,
    ):
        assert response.status == 500
        assert "from STOPPED to" in await response.text()
    await runner.cleanup()
    assert [str(error).partition("\n")[2][:4] for error in told] == ["What"]
