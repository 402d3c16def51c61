"""Gangs under a running service: they start together, or what was started is taken back."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.service.transports import faulty

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.sharing.settings import ShareSettings
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def member(job_id: str, gang: str, size: int, seconds: int = 20, **members: Any) -> dict[str, Any]:
    """A job of its own command, so that every launch is a call of its own."""
    extra = {each: members.pop(each) for each in ("within_s", "on_failure") if each in members}
    command = {"name": "main", "command": ["sh", "-c", f"sleep {seconds}; : {job_id}"]}
    return {
        "id": job_id,
        "gang": {"id": gang, "size": size, **extra},
        "overrides": {"containerOverrides": [command]},
        **members,
    }


def gang(name: str, size: int, seconds: int = 20, **members: Any) -> list[dict[str, Any]]:
    return [member(f"{name}{i}", name, size, seconds, **members) for i in range(size)]


def sleep(job_id: str, seconds: int, **members: Any) -> dict[str, Any]:
    command = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [command]}, **members}


async def ended(w: Any, *job_ids: str) -> list[Any]:
    return [await w.until(job_id, timeout_s=3600) for job_id in job_ids]


def test_a_gang_waits_for_room_for_all_and_starts_at_once(world: Run) -> None:
    """Three free places are not enough for four; a small job behind it is not held up."""

    async def story(w: Any) -> None:
        await w.submit(sleep("busy", 40))
        await w.until("busy", JobState.RUNNING)
        await w.submit(*gang("g", 4))
        reason = (await w.until_noted("g0")).reason
        assert "gang g starts whole or not at all: 3 of its 4 members fit" in reason
        await w.submit(sleep("small", 1))
        small = await w.until("small")
        records = await ended(w, "g0", "g1", "g2", "g3")
        starts = [record.running_at_ms for record in records]
        assert small.ended_at_ms < min(starts)
        assert max(starts) - min(starts) <= 10_000
        assert {record.state for record in records} == {JobState.SUCCEEDED}

    world(story, fleet=ONE)


def test_two_gangs_that_fit_one_at_a_time_run_one_after_the_other(world: Run) -> None:
    """Neither holds a part of the cluster that the other needs."""

    async def story(w: Any) -> None:
        members = [*gang("g", 3), *gang("h", 3)]
        await w.submit(*(members[i] for i in (0, 3, 1, 4, 2, 5)))
        records = await ended(w, *(each["id"] for each in members))
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        first, second = records[:3], records[3:]
        assert max(each.ended_at_ms for each in first) <= min(e.starting_at_ms for e in second)
        assert len(w.sim.tasks()) == 6

    world(story, fleet=ONE)


def test_a_lost_reply_does_not_tear_a_gang_apart(world: Run) -> None:
    """The task of one member is found again within the bound; nothing is started twice."""

    async def story(w: Any) -> None:
        await w.submit(*gang("g", 3, 60))
        records = await ended(w, "g0", "g1", "g2")
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        assert [record.launches for record in records] == [1, 1, 1]
        assert len(w.sim.tasks()) == 3

    world(story, faults=faulty("StartTask", 1, work_is_done=True))


def test_a_call_that_never_arrived_costs_the_others_their_start(world: Run) -> None:
    """It is uncertain for longer than the gang allows: what ran is stopped, and all start again."""

    async def story(w: Any) -> None:
        await w.submit(*gang("g", 3, 100, within_s=30))
        records = await ended(w, "g0", "g1", "g2")
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        assert sorted(record.launches for record in records) == [1, 2, 2]
        assert [record.failures for record in records] == [0, 0, 0]
        starts = [record.running_at_ms for record in records]
        assert max(starts) - min(starts) <= 10_000

    world(story, faults=faulty("StartTask", 1, work_is_done=False))


OWN_INTERFACE = {
    "family": "own-interface",
    "networkMode": "awsvpc",
    "containerDefinitions": [{"name": "main", "image": "busybox", "cpu": 256, "memory": 256}],
}


def test_a_member_that_ecs_refuses_takes_the_others_back(world: Run) -> None:
    """Its subnet lies in a zone without instances. The other is stopped, as often as it is tried,
    which uses up no attempt; when an instance comes, both run.
    """

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", OWN_INTERFACE)
        network = {"awsvpcConfiguration": {"subnets": ["subnet-c"]}}
        picky = member("g1", "g", 2, 100, within_s=10, network_configuration=network)
        await w.submit(
            member("g0", "g", 2, 100, within_s=10), {**picky, "task_definition": "own-interface"}
        )
        await w.until("g0", JobState.RUNNING)
        record = await w.until("g0", JobState.RUNNABLE)
        assert record.reason == "gang g: 1 of 2 were started within 10 s; all wait again"
        stopped = [task for task in w.sim.tasks() if task.stopped_at is not None]
        assert len(stopped) == 1
        zone_c = InstanceGroup(count=1, instance_type="m5.xlarge", availability_zone="us-east-1c")
        w.sim.add_instances("default", (zone_c,))
        records = await ended(w, "g0", "g1")
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        assert [record.failures for record in records] == [0, 0]

    options = Options(agent_capabilities=FEW_CAPABILITIES, subnets={"subnet-c": "us-east-1c"})
    zone_a = InstanceGroup(count=1, instance_type="m5.xlarge", availability_zone="us-east-1a")
    world(story, fleet=(zone_a,), options=options)


def test_a_gang_saves_up_for_its_calls(world: Run) -> None:
    """Twelve calls at one a second, and single jobs that would take every one of them."""

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(*(sleep(f"s{i}", 1 + i) for i in range(60)))
        await w.submit(*gang("g", 12, priority=5))
        records = await ended(w, *(f"g{i}" for i in range(12)))
        starts = [record.starting_at_ms for record in records]
        assert max(starts) - min(starts) <= 2_000

    fleet = (InstanceGroup(count=20, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, modify_rate_per_s=1.0, modify_burst=20)


def test_a_quota_allows_all_of_a_gang_or_none(world: Run) -> None:
    """Three do not fit into two; they say so, and take nothing from the share's other jobs."""

    async def story(w: Any) -> None:
        await w.submit(*gang("g", 3, share="a"), sleep("a", 5, share="a"), sleep("b", 5, share="b"))
        assert (await w.until("a")).state is JobState.SUCCEEDED
        assert (await w.until("b")).state is JobState.SUCCEEDED
        await asyncio.sleep(30)
        record = await w.queue.job(JobId("g0"))
        assert record.reason == "needs 3 tasks at once; share a may never run more than 2"

    world(story, shares={"a": ShareSettings(max_running=2)})


def test_a_gang_larger_than_the_window_starts_all_the_same(world: Run) -> None:
    """The window has room for two; a backlog of small jobs does not keep the gang out."""

    async def story(w: Any) -> None:
        await w.submit(*(sleep(f"s{i}", 30) for i in range(20)))
        await w.submit(*gang("g", 8, priority=1))
        records = await ended(w, *(f"g{i}" for i in range(8)))
        assert {record.state for record in records} == {JobState.SUCCEEDED}

    world(story, window=2)


def test_a_scheduler_that_dies_in_the_middle_of_a_start(world: Run) -> None:
    """The next one starts the rest, or takes back what was started; in the end all have run."""

    async def story(w: Any) -> None:
        await w.submit(*gang("g", 6, 60, within_s=40))
        await w.until("g0", JobState.STARTING)
        await w.kill()
        async with w.another_service():
            records = await ended(w, *(f"g{i}" for i in range(6)))
            assert {record.state for record in records} == {JobState.SUCCEEDED}
            starts = [record.running_at_ms for record in records]
            assert max(starts) - min(starts) <= 60_000

    world(story, modify_rate_per_s=1.0, modify_burst=7)


def test_the_failure_of_one_stops_the_others(world: Run) -> None:
    """Where the gang says so; they end CANCELLED and name the one."""

    async def story(w: Any) -> None:
        fails = member("g0", "g", 2, 5, on_failure="stop")
        fails["overrides"] = {
            "containerOverrides": [{"name": "main", "command": ["sh", "-c", "sleep 5; exit 3"]}]
        }
        await w.submit(fails, member("g1", "g", 2, 1000, on_failure="stop"))
        first, second = await ended(w, "g0", "g1")
        assert (first.state, second.state) == (JobState.FAILED, JobState.CANCELLED)
        assert second.reason.startswith("gang g: its member g0 FAILED: ")

    world(story)
