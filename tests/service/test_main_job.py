"""The main job, end to end in virtual time: jobs come in and their tasks run on instances."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def test_a_job_runs_and_succeeds(world: Run) -> None:
    """RUNNABLE, STARTING, RUNNING, SUCCEEDED; one task, with its exit code and times."""

    async def story(w: Any) -> None:
        await w.submit({"id": "hello", "overrides": command("sleep", "5")})
        record = await w.until("hello")
        assert (record.state, record.exit_code, record.launches) == (JobState.SUCCEEDED, 0, 1)
        assert w.started(record) == [task.arn for task in w.sim.tasks()]
        assert record.submitted_at_ms <= record.starting_at_ms <= record.running_at_ms
        assert record.ended_at_ms - record.running_at_ms >= 5000

    world(story)


def test_a_document_in_the_inbox_becomes_a_job(world: Run) -> None:
    """XADD of one JSON document is all that a producer needs."""

    async def story(w: Any) -> None:
        inbox = "{q:default}:inbox"
        await w.redis.xadd(inbox, {"job": '{"id": "x", "task_definition": "batch:1"}'})
        await w.redis.xadd(inbox, {"job": '{"id": "y", "task": "batch:1"}'})
        record = await w.until_known("x")
        assert record.state is JobState.SUCCEEDED
        [dead] = await w.queue.dead_letters()
        assert "task_definition" in dead.reason

    world(story)


def test_equal_jobs_share_calls(world: Run) -> None:
    """40 equal jobs on 10 instances of 4 vCPUs: 4 calls of 10 tasks, not 40 calls."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": f"j{i}", "overrides": command("sleep", "9")} for i in range(40)))
        for i in range(40):
            await w.until(f"j{i}")
        assert len(w.sim.tasks()) == 40
        assert w.sim.statistics.calls["StartTask"] == 4

    world(story, fleet=(InstanceGroup(count=10, instance_type="m5.xlarge"),))


def test_jobs_that_find_no_room_wait_and_say_why(world: Run) -> None:
    """Two of 4 vCPUs on one instance of 4: the second names the dimension, then runs after all."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "60"]}]}
        await w.submit({"id": "a", "overrides": wide}, {"id": "b", "overrides": wide})
        await w.until("a", JobState.RUNNING)
        second = await w.until_noted("b")
        assert second.state is JobState.RUNNABLE
        assert "short of CPU (nearest short by 4096 units)" in second.reason
        assert (await w.until("b")).state is JobState.SUCCEEDED

    world(story, fleet=(InstanceGroup(count=1, instance_type="m5.xlarge"),))


def test_room_that_is_freed_while_its_instance_is_asked_is_seen(world: Run) -> None:
    """Two tasks end one after the other, the second while ECS's answer to the first end is on its
    way. The job that needs the room of both does not wait for the next look at all instances.
    """

    class Late:
        async def send(self, request: Any) -> Any:
            answer = await super().send(request)  # type: ignore[misc]
            if request.headers["X-Amz-Target"].endswith(b"DescribeContainerInstances"):
                await asyncio.sleep(5)
            return answer

    def sized(name: str, cpu: int, seconds: int) -> dict[str, Any]:
        main = {"name": "main", "cpu": cpu, "command": ["sleep", str(seconds)]}
        return {"id": name, "overrides": {"containerOverrides": [main]}}

    async def story(w: Any) -> None:
        await w.submit(sized("a", 2048, 20), sized("b", 2048, 24))
        await w.until("b", JobState.RUNNING)
        await w.submit(sized("c", 4096, 5))
        second, last = await w.until("b"), await w.until("c")
        assert last.starting_at_ms - second.ended_at_ms < 15_000

    fleet = (InstanceGroup(count=1, instance_type="m5.xlarge"),)
    world(story, fleet=fleet, faults=Late, sweep_interval_s=120.0)


def test_a_small_job_passes_a_big_one_that_has_no_room(world: Run) -> None:
    """An unplaceable head never blocks a placeable follower."""

    async def story(w: Any) -> None:
        huge = {"containerOverrides": [{"name": "main", "cpu": 99_999}]}
        await w.submit({"id": "huge", "overrides": huge, "priority": 1000}, {"id": "small"})
        assert (await w.until("small")).state is JobState.SUCCEEDED
        head = await w.until_noted("huge")
        assert head.state is JobState.RUNNABLE
        assert "needs 99999 CPU units; the largest registered instance has 4096" in head.reason

    world(story)


def test_a_job_that_no_instance_could_ever_hold_fails_in_the_end(world: Run) -> None:
    """After the configured wait, with the reason."""

    async def story(w: Any) -> None:
        huge = {"containerOverrides": [{"name": "main", "cpu": 99_999}]}
        await w.submit({"id": "huge", "overrides": huge})
        record = await w.until("huge")
        assert record.state is JobState.FAILED
        assert record.reason.startswith("unplaceable: needs 99999 CPU units")
        assert record.ended_at_ms - record.submitted_at_ms >= 100_000
        assert w.sim.tasks() == ()

    world(story, unplaceable_after_s=100)


def test_jobs_that_wait_for_calls_do_not_fail_for_an_instance_that_came_in_time(world: Run) -> None:
    """An instance that holds them all comes ten seconds before they would fail. They all differ, so
    that launching them takes longer, and a pass looks at the first of them only.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        main = {"name": "main", "memory": 20_000}
        commands = [["sleep", "1", str(n)] for n in range(40)]
        overrides = [{"containerOverrides": [{**main, "command": each}]} for each in commands]
        await w.submit(*({"id": f"j{n}", "overrides": each} for n, each in enumerate(overrides)))
        await asyncio.sleep(50)
        w.sim.add_instances("default", (InstanceGroup(count=10, instance_type="m5.24xlarge"),))
        records = [await w.until(f"j{n}") for n in range(40)]
        assert {each.state for each in records} == {JobState.SUCCEEDED}
        assert max(each.ended_at_ms - each.submitted_at_ms for each in records) > 65_000

    slowly = {"modify_rate_per_s": 2.0, "modify_burst": 4}
    world(story, unplaceable_after_s=60.0, sweep_interval_s=5.0, **slowly)


def test_an_unknown_task_definition_fails_its_job_with_what_to_do(world: Run) -> None:
    """The name is in the reason, and so is the remedy."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "task_definition": "nobody:7"}, {"id": "b"})
        record = await w.until("a")
        assert record.state is JobState.FAILED
        assert "'nobody:7'" in record.reason
        assert "register it" in record.reason
        assert (await w.until("b")).state is JobState.SUCCEEDED

    world(story)


def test_overrides_for_a_container_that_does_not_exist_fail_the_job(world: Run) -> None:
    """ECS would refuse the call; we say it before asking."""

    async def story(w: Any) -> None:
        wrong = {"containerOverrides": [{"name": "mian"}]}
        await w.submit({"id": "a", "overrides": wrong})
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.FAILED, 0)
        assert "'mian'" in record.reason

    world(story)


def test_higher_priority_goes_first(world: Run) -> None:
    """One slot; the urgent job came last and runs first."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "5"]}]}
        await w.submit({"id": "first", "overrides": wide})
        await w.until("first", JobState.RUNNING)
        await w.submit({"id": "low", "overrides": wide})
        await w.submit({"id": "high", "overrides": wide, "priority": 9})
        low, high = await w.until("low"), await w.until("high")
        assert high.starting_at_ms < low.starting_at_ms

    world(story, fleet=(InstanceGroup(count=1, instance_type="m5.xlarge"),))


def test_host_ports_are_one_task_per_instance(world: Run) -> None:
    """Three tasks on port 8080 need three instances, though one has room for all."""

    async def story(w: Any) -> None:
        w.register("web", portMappings=[{"containerPort": 80, "hostPort": 8080}])
        await w.submit(*({"id": f"w{i}", "task_definition": "web"} for i in range(4)))
        for i in range(4):
            assert (await w.until(f"w{i}")).state is JobState.SUCCEEDED
        first_three = [task.instance_arn for task in w.sim.tasks()][:3]
        assert len(set(first_three)) == 3

    world(story)


def test_gpus_are_given_out_whole(world: Run) -> None:
    """4 GPUs, five jobs of one GPU each: at most 4 at once, and all succeed."""

    async def story(w: Any) -> None:
        gpu = {
            "containerOverrides": [
                {
                    "name": "main",
                    "command": ["sleep", "20"],
                    "resourceRequirements": [{"type": "GPU", "value": "1"}],
                }
            ]
        }
        await w.submit(*({"id": f"g{i}", "overrides": gpu} for i in range(5)))
        for i in range(5):
            assert (await w.until(f"g{i}")).state is JobState.SUCCEEDED
        assert w.sim.statistics.peak_reserved["default"]["GPU"] == 4

    world(story, fleet=(InstanceGroup(count=1, instance_type="g4dn.12xlarge"),))


def test_network_interfaces_are_a_dimension(world: Run) -> None:
    """c5.large takes 2 tasks with an interface of their own; five run two at a time, unrefused."""

    async def story(w: Any) -> None:
        w.register("vpc", network_mode="awsvpc", command=["sleep", "10"])
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        jobs = (
            {"id": f"n{i}", "task_definition": "vpc", "network_configuration": network}
            for i in range(5)
        )
        await w.submit(*jobs)
        for i in range(5):
            assert (await w.until(f"n{i}")).state is JobState.SUCCEEDED
        assert w.sim.statistics.peak_reserved["default"]["ENI"] == 2
        assert len(w.sim.tasks()) == 5

    world(story, fleet=(InstanceGroup(count=1, instance_type="c5.large"),))


def test_best_fit_leaves_whole_instances_empty(world: Run) -> None:
    """Four jobs of one vCPU fill one instance of four."""

    async def story(w: Any) -> None:
        for i in range(4):
            await w.submit({"id": f"j{i}", "overrides": command("sleep", "300")})
            await w.until(f"j{i}", JobState.RUNNING)
        used = Counter(task.instance_arn for task in w.sim.tasks())
        assert list(used.values()) == [4]

    world(story)
