"""Stories of what the fuzzer found, told by themselves."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from botocore.exceptions import ReadTimeoutError

from ecs_queue.states import JobState

Run = Callable[..., None]


def sleeping(job_id: str, seconds: int) -> dict[str, Any]:
    command = ["sleep", str(seconds)]
    return {
        "id": job_id,
        "overrides": {"containerOverrides": [{"name": "main", "command": command}]},
    }


def late(by_s: float) -> type:
    """A transport whose first StartTask is answered by nobody, and arrives much later."""

    class Late:
        arriving: ClassVar[list[asyncio.Task[None]]] = []

        async def send(self, request: Any) -> Any:
            start = request.headers["X-Amz-Target"].decode().endswith("StartTask")
            if not start or Late.arriving:
                return await super().send(request)  # type: ignore[misc]
            forward = super().send  # type: ignore[misc]

            async def arrive() -> None:
                await asyncio.sleep(by_s)
                await forward(request)

            Late.arriving.append(asyncio.get_running_loop().create_task(arrive()))
            await asyncio.sleep(15)
            raise ReadTimeoutError(endpoint_url=request.url)

    return Late


def test_a_task_that_comes_after_all_hope_is_stopped(world: Run) -> None:
    """ECS starts it two minutes after the call; by then its job runs under another token. The job
    ends once, and the stray is told to stop within a minute.
    """

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 250))
        await asyncio.sleep(200)
        kept, stray = sorted(w.sim.tasks(), key=lambda task: task.created_at)
        assert stray.created_at - kept.created_at < 120
        assert (kept.last_status, stray.stop_code) == ("RUNNING", "UserInitiated")
        assert stray.stopped_at - stray.created_at < 60
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)

    world(story, faults=late(120.0))


def test_a_lost_launch_keeps_its_room_only_for_a_while(world: Run) -> None:
    """The call never arrived; the room that was promised to it is free again afterwards."""

    class NeverArrives(late(100_000.0)):  # type: ignore[misc]
        """A first StartTask that is lost for good."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 1))
        await w.until("a")
        await asyncio.sleep(120)
        assert w.service.promised == 0
        NeverArrives.arriving[0].cancel()

    world(story, faults=NeverArrives)


def test_claims_that_were_lost_sight_of_go_back(world: Run) -> None:
    """Redis goes away between claim and intent, for less than the lease; nothing is stuck."""

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(*(sleeping(f"j{n}", 1) for n in range(8)))
        await asyncio.sleep(0.21)
        w.redis.cut = True
        await asyncio.sleep(1.5)
        w.redis.cut = False
        for n in range(8):
            assert (await w.until(f"j{n}", timeout_s=120)).state is JobState.SUCCEEDED

    world(story, lease_s=30.0)
