"""Of several schedulers one is active; the others take over when it dies, stops or sleeps."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ecs_queue.errors import QueueOfAnotherCluster
from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
TAKEOVER_S = 5.0


def sleeping(job_id: str, seconds: int) -> dict[str, Any]:
    command = ["sleep", str(seconds)]
    return {
        "id": job_id,
        "overrides": {"containerOverrides": [{"name": "main", "command": command}]},
    }


async def until_leading(service: Any) -> float:
    """Wait until a service leads; the seconds it took."""
    started_at = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):
        while True:
            if service.status().leading:
                return asyncio.get_running_loop().time() - started_at
            await asyncio.sleep(0.05)


def test_one_leads_and_the_others_make_no_calls(world: Run) -> None:
    """The second scheduler claims nothing and is not ready; ECS hears of one sweep, not two."""

    async def story(w: Any) -> None:
        async with w.another_service() as second:
            await w.submit(sleeping("a", 5))
            await w.until("a")
            first = w.services[0]
            assert (first.status().leading, second.status().leading) == (True, False)
            assert (first.status().ready, second.status().ready) == (True, False)
            assert second.status().passes == 0

    world(story)


def test_a_crashed_leader_is_replaced_within_five_seconds(world: Run) -> None:
    """Killed in the middle of its launches; the one that stood by goes on."""

    async def story(w: Any) -> None:
        async with w.another_service() as second:
            await w.submit(*(sleeping(f"j{n}", n % 5) for n in range(30)))
            await asyncio.sleep(0.4)
            w.running[0].cancel()
            assert await until_leading(second) <= TAKEOVER_S
            records = [await w.until(f"j{n}") for n in range(30)]
            assert {record.state for record in records} == {JobState.SUCCEEDED}
            launched = [attempt.task_arn for record in records for attempt in record.attempts]
            assert Counter(launched) == Counter(task.arn for task in w.sim.tasks())

    world(story)


def test_a_stopping_leader_makes_room_at_once(world: Run) -> None:
    """SIGTERM: the successor leads at its next look, not when the lease has run out."""

    async def story(w: Any) -> None:
        async with w.another_service() as second:
            w.services[0].stop()
            assert await until_leading(second) <= 1.5

    world(story)


def test_after_a_long_outage_of_redis_one_leads_at_once(world: Run) -> None:
    """Five minutes; nobody has got so used to failing that he looks seldom."""

    async def story(w: Any) -> None:
        await w.until_ready()
        async with w.another_service() as second:
            await asyncio.sleep(1)
            w.redis.cut = True
            await asyncio.sleep(300)
            w.redis.cut = False
            await w.submit(sleeping("a", 60))
            await asyncio.sleep(TAKEOVER_S)
            assert [each.status().leading for each in (w.services[0], second)].count(True) == 1
            await asyncio.sleep(15)
            assert (await w.queue.job(JobId("a"))).state is JobState.RUNNING

    world(story)


def test_the_wrong_cluster_is_refused_before_any_harm(world: Run) -> None:
    """A task runs in one cluster when a scheduler of the same queue is started for another, which
    does not show it: it says so and ends, instead of taking the task for lost.
    """

    async def story(w: Any) -> None:
        w.sim.call("CreateCluster", {"clusterName": "other"})
        w.sim.add_instances("other", (InstanceGroup(count=1, instance_type="m5.xlarge"),))
        await w.submit(sleeping("a", 30))
        await w.until("a", JobState.RUNNING)
        await w.kill()
        await asyncio.sleep(5)
        with pytest.raises(QueueOfAnotherCluster, match="1 of its tasks"):
            async with w.another_service(cluster="other"):
                await asyncio.sleep(10)
        async with w.another_service():
            record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)

    world(story)


def test_a_lead_that_was_lost_can_be_won_again(world: Run) -> None:
    """Redis was away for longer than the lease; afterwards one of the two leads again, and every
    job ends once.
    """

    async def story(w: Any) -> None:
        async with w.another_service() as second:
            await w.submit(*(sleeping(f"j{n}", 3) for n in range(8)))
            await asyncio.sleep(1)
            w.redis.cut = True
            await asyncio.sleep(20)
            w.redis.cut = False
            records = [await w.until(f"j{n}") for n in range(8)]
            assert {record.launches for record in records} == {1}
            leading = [each.status().leading for each in (w.services[0], second)]
            assert sorted(leading) == [False, True]

    world(story)
