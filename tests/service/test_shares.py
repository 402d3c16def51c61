"""Shares under a running service: turns, quotas, and capacity that is lent and given back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.service.transports import answered, faulty, mute

from ecs_queue.job import JobId
from ecs_queue.states import Intent, JobState, LaunchToken, OwnerId
from ecs_scheduler.sharing.settings import FairSharePolicy, FamilySettings, ShareSettings
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def sleep(job_id: str, seconds: int, **members: Any) -> dict[str, Any]:
    command = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [command]}, **members}


async def running(w: Any) -> Counter[str]:
    return Counter(each.job.share for each in await w.queue.jobs(JobState.RUNNING, limit=500))


def test_a_late_share_gets_its_turn(world: Run) -> None:
    """Share a has filled the cluster and forty more wait; b's four come next, not last."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 60, share="a") for i in range(40)))
        await w.until("a0", JobState.RUNNING)
        await w.submit(*(sleep(f"b{i}", 60, share="b") for i in range(2)))
        b = [await w.until(f"b{i}") for i in range(2)]
        waiting = await w.queue.jobs(JobState.RUNNABLE, limit=500)
        assert len(waiting) >= 20
        assert {each.state for each in b} == {JobState.SUCCEEDED}

    world(story, fleet=ONE)


def test_weights_divide_a_full_cluster(world: Run) -> None:
    """Three to one, once both have been waiting for a while."""

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(
            *(sleep(f"a{i}", 300, share="a") for i in range(20)),
            *(sleep(f"b{i}", 300, share="b") for i in range(20)),
        )
        await asyncio.sleep(90)
        assert await running(w) == {"a": 6, "b": 2}

    fleet = (InstanceGroup(count=2, instance_type="m5.xlarge"),)
    shares = {"a": ShareSettings(weight=3), "b": ShareSettings(weight=1)}
    world(story, fleet=fleet, shares=shares)


def test_a_quota_is_kept_and_explained(world: Run) -> None:
    """Two at a time, whatever room there is; the third says why it waits, and runs later."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 100, share="a") for i in range(3)))
        await asyncio.sleep(60)
        assert await running(w) == {"a": 2}
        record = await w.queue.job(JobId("a2"))
        assert record.reason == "share a runs 2 tasks, the most allowed"
        await w.submit(sleep("b", 1, share="b"))
        assert (await w.until("b")).state is JobState.SUCCEEDED
        assert (await w.until("a2")).state is JobState.SUCCEEDED

    world(story, shares={"a": ShareSettings(max_running=2)})


def test_a_quota_holds_after_the_service_was_killed(world: Run) -> None:
    """The next service learns from the queue what runs already."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 300, share="a") for i in range(3)))
        await w.until("a1", JobState.RUNNING)
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(120)
            assert await running(w) == {"a": 2}

    world(story, shares={"a": ShareSettings(max_running=2)})


def test_a_large_quota_holds_after_the_service_was_killed(world: Run) -> None:
    """The successor looks up two hundred running tasks at a time, and counts all 250 before it
    starts anything.
    """

    async def story(w: Any) -> None:
        w.register("small", cpu=4, memory=8)
        jobs = (sleep(f"j{i}", 300, share="a", task_definition="small") for i in range(300))
        await w.submit(*jobs)
        await asyncio.sleep(60)
        assert (await running(w))["a"] == 250
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(30)
            assert len(w.sim.tasks()) == 250

    fleet = (InstanceGroup(count=10, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, shares={"a": ShareSettings(max_running=250)})


def test_a_quota_counts_what_a_deregistered_revision_uses(world: Run) -> None:
    """It was deregistered while two tasks of it ran, and then the scheduler killed."""

    async def story(w: Any) -> None:
        w.register("mine")
        await w.submit(*(sleep(f"a{i}", 60, task_definition="mine:1") for i in range(2)))
        await w.until("a1", JobState.RUNNING)
        w.register("mine")
        w.sim.call("DeregisterTaskDefinition", {"taskDefinition": "mine:1"})
        await w.kill()
        async with w.another_service():
            await w.submit(sleep("late", 5, task_definition="mine"))
            await asyncio.sleep(30)
            assert len(w.sim.tasks()) == 2
            assert (await w.until("late")).state is JobState.SUCCEEDED

    world(story, shares={"default": ShareSettings(max_cpu_units=512)})


def test_a_damaged_record_of_a_running_job_stops_nobody(world: Run) -> None:
    """Somebody wrote to it; a scheduler that takes over cannot count it, and launches others."""

    async def story(w: Any) -> None:
        await w.submit(sleep("a", 60, share="a"))
        await w.until("a", JobState.RUNNING)
        await w.kill()
        await w.redis.hset("{q:default}:job:a", "o", "damaged")
        async with w.another_service():
            await w.submit(sleep("b", 5, share="b"))
            assert (await w.until("b", timeout_s=60)).state is JobState.SUCCEEDED

    world(story, shares={"a": ShareSettings(max_running=2)})


def test_a_quota_counts_a_launch_of_a_killed_service(world: Run) -> None:
    """It was killed before ECS answered; the successor counts two jobs whose tasks may run."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 90, share="a") for i in range(3)))
        await asyncio.sleep(3)
        await w.kill()
        async with w.another_service():
            await asyncio.sleep(60)
            assert len(w.sim.tasks()) == 2

    world(story, faults=mute(), shares={"a": ShareSettings(max_running=2)})


def test_a_quota_counts_a_launch_of_unknown_outcome(world: Run) -> None:
    """The answer to the first call is lost, though ECS has started its task; that is known twenty
    seconds later.
    """

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 60, share="a") for i in range(2)))
        await asyncio.sleep(40)
        assert len(w.sim.tasks()) == 1
        assert (await w.until("a1")).state is JobState.SUCCEEDED

    lost = faulty("StartTask", 1, work_is_done=True)
    world(story, faults=lost, shares={"a": ShareSettings(max_running=1)})


def test_a_quota_counts_a_launch_until_its_end_is_certain(world: Run) -> None:
    """The answer to the first call is lost, and ECS shows its task late: fifty seconds on."""

    class Late(faulty("StartTask", 1, work_is_done=True)):  # type: ignore[misc]
        async def send(self, request: Any) -> Any:
            answer = await super().send(request)
            operation = request.headers["X-Amz-Target"].rpartition(b".")[2]
            hidden = asyncio.get_running_loop().time() - began < 50
            if operation == b"ListTasks" and hidden:
                return answered(request, 200, {"taskArns": []})
            return answer

    began = float("inf")

    async def story(w: Any) -> None:
        nonlocal began
        began = asyncio.get_running_loop().time()
        await w.submit(*(sleep(f"a{i}", 60, share="a") for i in range(2)))
        await asyncio.sleep(55)
        assert len(w.sim.tasks()) == 1
        assert (await w.until("a1")).state is JobState.SUCCEEDED

    world(story, faults=Late, shares={"a": ShareSettings(max_running=1)})


def test_a_quota_counts_more_launches_than_are_looked_for_at_once(world: Run) -> None:
    """A service died with 150 calls unanswered, none of which ECS had got; before that is certain
    its successor starts no job beside these.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.kill()
        await asyncio.sleep(5)
        owner = OwnerId("the first")
        assert await w.queue.lead(owner, "default", lease_ms=2000)
        await w.submit(*(sleep(f"a{i:03}", 5, share="a") for i in range(150)))
        for n, claim in enumerate(await w.queue.claim(owner, 150)):
            intent = Intent(claim.job.id, claim.epoch, None)
            await w.queue.intend(owner, LaunchToken(f"t{n:03}"), "RunTask", [intent])
        await w.submit(sleep("late", 5, share="a"))
        async with w.another_service():
            await asyncio.sleep(40)
            assert not w.sim.tasks()
            assert (await w.until("late")).state is JobState.SUCCEEDED

    world(story, shares={"a": ShareSettings(max_running=150)})


def test_a_family_is_capped(world: Run) -> None:
    """One licence, one task, over all shares."""

    async def story(w: Any) -> None:
        await w.submit(sleep("a", 60, share="a"), sleep("b", 60, share="b"))
        a, b = await w.until("a"), await w.until("b")
        assert b.starting_at_ms >= a.ended_at_ms or a.starting_at_ms >= b.ended_at_ms

    world(story, families={"batch": FamilySettings(max_running=1)})


def test_memory_of_use_favours_the_newcomer(world: Run) -> None:
    """Share a had the cluster to itself; then both queue up, and b gets the larger part."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"old{i}", 200, share="a") for i in range(4)))
        await w.until("old0", JobState.RUNNING)
        await w.submit(
            *(sleep(f"a{i}", 200, share="a") for i in range(8)),
            *(sleep(f"b{i}", 200, share="b") for i in range(8)),
        )
        await w.until("old3")
        await asyncio.sleep(60)
        now = await running(w)
        assert now["b"] > now["a"]

    policy = FairSharePolicy.model_validate({"shareDecaySeconds": 600})
    world(story, fleet=ONE, fair_share=policy)


def test_a_backlog_larger_than_the_window_hides_no_share(world: Run) -> None:
    """Two hundred of a before b, and room to look at twenty."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"a{i}", 100, share="a") for i in range(200)))
        await w.until("a0", JobState.RUNNING)
        await w.submit(sleep("b", 1, share="b"))
        record = await w.until("b")
        assert record.starting_at_ms - record.submitted_at_ms <= 150_000

    world(story, fleet=ONE, window=20)


def test_a_share_launches_at_its_own_rate(world: Run) -> None:
    """One task in two seconds; the other share's go out at once."""

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(
            *(sleep(f"a{i}", 60, share="a") for i in range(5)),
            *(sleep(f"b{i}", 60, share="b") for i in range(5)),
        )
        a = sorted([(await w.until(f"a{i}", JobState.RUNNING)).starting_at_ms for i in range(5)])
        b = sorted([(await w.until(f"b{i}", JobState.RUNNING)).starting_at_ms for i in range(5)])
        assert b[-1] - b[0] <= 1000
        assert 6000 <= a[-1] - a[0] <= 12_000
        assert all(later - earlier >= 1000 for earlier, later in pairwise(a))

    world(story, shares={"a": ShareSettings(max_launches_per_s=0.5)})


def test_jobs_without_room_use_up_no_quota(world: Run) -> None:
    """Two that fit nowhere stand in front; the share may run two, and its small ones do."""

    async def story(w: Any) -> None:
        big = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "5"]}]}
        await w.submit(sleep("busy", 30, share="b"))
        await w.until("busy", JobState.RUNNING)
        await w.submit(*({"id": f"big{i}", "share": "a", "overrides": big} for i in range(2)))
        await w.until_noted("big1")
        await w.submit(*(sleep(f"a{i}", 3, share="a") for i in range(4)))
        small = [await w.until(f"a{i}") for i in range(4)]
        assert (await w.queue.job(JobId("busy"))).state is JobState.RUNNING
        spans = sorted((each.starting_at_ms, each.ended_at_ms) for each in small)
        assert spans[2][0] >= spans[0][1], "never more than two at once"
        assert (await w.until("big0")).state is JobState.SUCCEEDED

    world(story, fleet=ONE, shares={"a": ShareSettings(max_running=2)})


def test_nobody_waits_for_ever(world: Run) -> None:
    """Jobs of higher priority never cease to come; one that waits rises above them."""

    async def story(w: Any) -> None:
        whole = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "5"]}]}
        flood = [{"id": f"f{i}", "priority": 250, "overrides": whole} for i in range(60)]
        await w.submit(*flood[:4], {"id": "low", "overrides": whole})
        for newcomer in flood[4:]:
            await w.submit(newcomer)
            await asyncio.sleep(5)
            low = await w.queue.job(JobId("low"))
            if low.state is not JobState.RUNNABLE:
                break
        assert low.priority >= 300
        assert low.starting_at_ms - low.submitted_at_ms >= 60_000

    world(story, fleet=ONE, age_after_s=30.0)
