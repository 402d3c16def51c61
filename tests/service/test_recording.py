"""What a cluster did is written down once, and can be played again under other policies."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ecs_queue.states import JobState
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.recording.history import Folder
from ecs_scheduler.recording.recorder import Recorder
from ecs_scheduler.simulate.workload import Wanted, prepare
from ecs_simulator import InstanceGroup

if TYPE_CHECKING:
    from tests.service.conftest import World

Run = Callable[..., None]
FLEET = (
    InstanceGroup(count=2, instance_type="m5.xlarge", availability_zone="us-east-1a"),
    InstanceGroup(
        count=1, instance_type="c5.xlarge", availability_zone="us-east-1b", attributes={"rack": "7"}
    ),
)


def sized(name: str, cpu: int, seconds: int, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "cpu": cpu, "command": ["sleep", str(seconds)]}
    return {"id": name, "overrides": {"containerOverrides": [container]}, **more}


def test_a_recording_holds_every_ended_job_once_and_plays_as_a_workload(
    world: Run, tmp_path: Path
) -> None:
    """Looks before, between and after; a recorder that starts anew goes on where it was."""

    async def story(w: "World") -> None:
        clock = LoopClock(round(w.clock.start * 1000))
        async with ecs.connect(w.config, clock, http_session_cls=w.transport) as client:
            recorder = Recorder(w.queue, client, Folder(tmp_path), clock)
            first = await recorder.look()
            assert (first.jobs, first.instances, first.fleet_changed) == (0, 3, True)
            await w.submit(sized("a", 1024, 30, share="night", priority=7))
            await w.until("a")
            assert (await recorder.look()).jobs == 1
            await w.submit(sized("b", 2048, 60), sized("never", 99_999, 1))
            await w.until("b")
            second = await Recorder(w.queue, client, Folder(tmp_path), clock).look()
            assert (second.jobs, second.fleet_changed) == (1, False)
            assert (await recorder.look()).jobs == 1  # the first recorder had not seen it

    world(story, fleet=FLEET)
    jobs = {job.job_id: job for job in Folder(tmp_path).jobs()}
    assert set(jobs) == {"a", "b"}
    assert (jobs["a"].cpu_units, jobs["a"].share, jobs["a"].priority) == (1024, "night", 7)
    assert 28 <= jobs["a"].run_s <= 36
    workload = prepare(Wanted(history=tmp_path), 1)
    assert [each.job_id for each in workload.submissions] == ["a", "b"]
    assert workload.submissions[0].at_s == 0.0
    kinds = [(group.count, group.instance_type, dict(group.attributes)) for group in workload.fleet]
    assert kinds == [(2, "m5.xlarge", {}), (1, "c5.xlarge", {"rack": "7"})]


def test_what_ends_during_a_look_is_recorded_by_the_next(world: Run, tmp_path: Path) -> None:
    """ECS takes a minute to say what the first job reserved. Meanwhile one succeeds that the look
    has passed by, and then one fails that it meets.
    """

    class Slow:
        asked: ClassVar[asyncio.Event | None] = None

        async def send(self, request: Any) -> Any:
            asked = Slow.asked
            if asked and request.headers["X-Amz-Target"].endswith(b"DescribeTaskDefinition"):
                Slow.asked = None
                asked.set()
                await asyncio.sleep(60)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: "World") -> None:
        clock = LoopClock(round(w.clock.start * 1000))
        async with ecs.connect(w.config, clock, http_session_cls=w.transport) as client:
            await w.submit(sized("first", 1024, 1))
            await w.until("first")
            recorder = Recorder(w.queue, client, Folder(tmp_path), clock)
            asked = Slow.asked = asyncio.Event()
            look = asyncio.create_task(recorder.look())
            await asked.wait()
            await w.submit(sized("second", 1024, 1))
            await w.until("second")
            failing = [{"name": "main", "command": ["false"]}]
            await w.submit({"id": "third", "overrides": {"containerOverrides": failing}})
            await w.until("third")
            await look
            await recorder.look()

    world(story, faults=Slow)
    recorded = [job.job_id for job in Folder(tmp_path).jobs()]
    assert sorted(recorded) == ["first", "second", "third"]


def test_what_never_ran_is_not_recorded(world: Run, tmp_path: Path) -> None:
    """A job that was cancelled or failed before its task ran has no run time to play."""

    async def story(w: "World") -> None:
        clock = LoopClock(round(w.clock.start * 1000))
        async with ecs.connect(w.config, clock, http_session_cls=w.transport) as client:
            await w.submit(sized("huge", 99_999, 1))
            record = await w.until("huge")
            assert record.state is JobState.FAILED
            assert (await Recorder(w.queue, client, Folder(tmp_path), clock).look()).jobs == 0

    world(story, unplaceable_after_s=20.0)
