"""RunTask by rule: at once for what no instance could hold, so many at a time, and not for ever."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import redis.exceptions
from tests.service.conftest import Cuttable

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_scheduler.sharing.settings import ShareSettings
from ecs_simulator import AutoScalingGroup, InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)
FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "8192",
    "memory": "16384",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "3"]}],
}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}

OUT = {"after_s": 5, "capacity_provider_strategy": [{"capacityProvider": "cp"}]}


def provide_nothing(w: Any, launch_s: float = 3600) -> None:
    """A capacity provider whose instances take an hour to come."""
    template = InstanceGroup(count=1, instance_type="m5.xlarge")
    w.sim.add_auto_scaling_group(
        AutoScalingGroup(name="g", template=template, max_size=5, launch_s=launch_s)
    )
    provider: dict[str, Any] = {
        "autoScalingGroupArn": "arn:aws:autoscaling:x:autoScalingGroupName/g"
    }
    provider |= {"managedScaling": {"status": "ENABLED"}}
    w.sim.call("CreateCapacityProvider", {"name": "cp", "autoScalingGroupProvider": provider})
    w.sim.call(
        "PutClusterCapacityProviders",
        {"cluster": "default", "capacityProviders": ["cp"], "defaultCapacityProviderStrategy": []},
    )


async def fill(w: Any, seconds: int) -> None:
    """A job on the whole of the only instance, for so long."""
    whole = [{"name": "main", "cpu": 4096, "command": ["sleep", str(seconds)]}]
    await w.submit({"id": "full", "overrides": {"containerOverrides": whole}})
    await w.until("full", JobState.RUNNING)


def test_what_no_instance_could_hold_falls_back_at_once(world: Run) -> None:
    """Eight vCPUs on instances of four: no reason to wait the hour that the fallback says."""

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", FARGATE)
        fallback = {"after_s": 3600, "launch_type": "FARGATE"}
        job = {"task_definition": "serverless", "network_configuration": NETWORK}
        await w.submit({"id": "a", "fallback": fallback, **job})
        record = await w.until("a", timeout_s=120)
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert w.sim.statistics.calls["RunTask"] == 1

    world(story, fleet=ONE, pass_interval_s=1.0)


def test_only_a_share_that_allows_it_falls_back(world: Run, tmp_path: Path) -> None:
    """The same job in three shares, and no room: one's policy allows RunTask after 30 s; the next
    one's does not, so it waits for room; the third's does, but its quota is used up.
    """
    file = tmp_path / "policies.toml"
    file.write_text(
        "[policies.out]\nfallback = { after_s = 30, launch_type = 'FARGATE' }\n"
        "[use]\nshares = { burst = 'out', capped = 'out' }"
    )

    async def story(w: Any) -> None:
        small = {**FARGATE, "cpu": "2048", "memory": "4096"}
        w.sim.call("RegisterTaskDefinition", small)
        half = {"name": "main", "cpu": 2048, "command": ["sleep", "120"]}
        full = {"overrides": {"containerOverrides": [half]}}
        await w.submit({"id": "full0", **full}, {"id": "full1", "share": "capped", **full})
        await w.until("full1", JobState.RUNNING)
        job = {"task_definition": "serverless", "network_configuration": NETWORK}
        shares = ("burst", "steady", "capped")
        await w.submit(*({"id": share, "share": share, **job} for share in shares))
        burst = await w.until("burst", timeout_s=60)
        assert (burst.state, burst.instance_arn) == (JobState.SUCCEEDED, None)
        await asyncio.sleep(30)
        waiting = [await w.queue.job(JobId(share)) for share in ("steady", "capped")]
        assert [each.state for each in waiting] == [JobState.RUNNABLE, JobState.RUNNABLE]
        assert waiting[0].reason.startswith("no room on 1 instance")
        assert waiting[1].reason == "share capped runs 1 task, the most allowed"
        assert w.sim.statistics.calls["RunTask"] == 1
        steady = await w.until("steady")
        assert (steady.state, steady.instance_arn is None) == (JobState.SUCCEEDED, False)

    shares = {"capped": ShareSettings(max_running=1)}
    world(story, fleet=ONE, pass_interval_s=1.0, policy_file=str(file), shares=shares)


def test_provisioning_is_bounded_and_ends_where_room_appears(world: Run) -> None:
    """The instance is full, and the capacity provider brings nothing. Three of eight jobs may wait
    in PROVISIONING; after a minute they are stopped, on the infrastructure's bill, and others have
    their turn. All run on the instance that comes at last.
    """

    async def story(w: Any) -> None:
        provide_nothing(w)
        short = {"containerOverrides": [{"name": "main", "command": ["sleep", "5"]}]}
        await fill(w, 300)
        await w.submit(*({"id": f"j{n}", "overrides": short, "fallback": OUT} for n in range(8)))
        await asyncio.sleep(40)
        provisioning = [t for t in w.sim.tasks() if t.last_status == "PROVISIONING"]
        assert len(provisioning) == 3
        await asyncio.sleep(40)
        records = [await w.queue.job(JobId(f"j{n}")) for n in range(8)]
        assert sum(record.infrastructure_failures for record in records) == 3
        w.sim.add_instances("default", ONE)
        records = [await w.until(f"j{n}") for n in range(8)]
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        assert all(record.instance_arn for record in records)

    world(story, fleet=ONE, max_provisioning=3, provisioning_timeout_s=60.0, pass_interval_s=1.0)


def test_what_waits_in_provisioning_comes_back_to_room_that_appears(world: Run) -> None:
    """The capacity provider brings nothing for an hour, and ten minutes would be allowed. An
    instance that registers after a minute, and is not the provider's, has run all three a minute
    later: each task is seen STOPPED before its job is launched anew, and no attempt is used up.
    """

    async def story(w: Any) -> None:
        provide_nothing(w)
        short = {"containerOverrides": [{"name": "main", "command": ["sleep", "5"]}]}
        await fill(w, 900)
        jobs = [f"j{n}" for n in range(3)]
        retry = {"attempts": 1}
        await w.submit(
            *({"id": j, "overrides": short, "fallback": OUT, "retry": retry} for j in jobs)
        )
        await asyncio.sleep(60)
        assert [t.last_status for t in w.sim.tasks()].count("PROVISIONING") == 3
        assert "StopTask" not in w.sim.statistics.calls
        w.sim.add_instances("default", ONE)
        appeared_at = w.clock.now()
        records = [await w.until(j, timeout_s=120) for j in jobs]
        assert w.clock.now() - appeared_at < 75
        assert {(r.state, r.launches, r.failures) for r in records} == {(JobState.SUCCEEDED, 2, 0)}
        tasks = {task.arn: task for task in w.sim.tasks()}
        for record in records:
            gone, ran = record.attempts
            assert gone.instance_arn is None
            assert ran.instance_arn is not None
            assert tasks[gone.task_arn].stopped_at <= tasks[ran.task_arn].created_at
        assert w.sim.statistics.calls["RunTask"] == 1

    world(story, fleet=ONE, pass_interval_s=1.0)


def test_one_that_does_not_fit_its_family_any_more_keeps_none_from_coming_back(world: Run) -> None:
    """Of two that wait in PROVISIONING the family of one has a new revision, without the container
    that the job's overrides name. The other comes back to the instance that appears.
    """

    async def story(w: Any) -> None:
        provide_nothing(w)
        short = {"containerOverrides": [{"name": "main", "command": ["sleep", "5"]}]}
        w.register("mine")
        await fill(w, 900)
        mine = {"task_definition": "mine"}
        await w.submit({"id": "j0", "overrides": short, "fallback": OUT, **mine})
        await w.submit({"id": "j1", "overrides": short, "fallback": OUT})
        for job_id in ("j0", "j1"):
            await w.until(job_id, JobState.STARTING)
        w.register("mine", name="other")
        await asyncio.sleep(70)  # a family is looked up anew each minute
        w.sim.add_instances("default", ONE)
        record = await w.until("j1", timeout_s=120)
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 2)

    world(story, fleet=ONE, pass_interval_s=1.0)


def test_one_that_ends_while_room_is_looked_for_is_left_out(world: Run) -> None:
    """Three wait in PROVISIONING. ECS takes ten seconds to describe their task definition anew, and
    meanwhile two are cancelled and stop; the third comes back to the instance that appears.
    """

    class Slow:
        asked: ClassVar[asyncio.Event] = asyncio.Event()

        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"DescribeTaskDefinition"):
                self.asked.set()
                await asyncio.sleep(10)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        provide_nothing(w)
        short = {"containerOverrides": [{"name": "main", "command": ["sleep", "5"]}]}
        await fill(w, 900)
        await w.submit(*({"id": f"j{n}", "overrides": short, "fallback": OUT} for n in range(3)))
        for n in range(3):
            await w.until(f"j{n}", JobState.STARTING)
        Slow.asked.clear()
        await Slow.asked.wait()  # a family is looked up anew each minute
        await w.queue.cancel([JobId("j1"), JobId("j2")])
        records = [await w.until(f"j{n}", timeout_s=9) for n in (1, 2)]
        assert {record.state for record in records} == {JobState.CANCELLED}
        w.sim.add_instances("default", ONE)
        record = await w.until("j0", timeout_s=120)
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 2)
        assert not w.running[-1].done()

    world(story, fleet=ONE, faults=Slow, pass_interval_s=1.0)


def test_what_ecs_finds_a_place_for_stays_there(world: Run) -> None:
    """The provider's own instance comes after a minute: nothing is stopped for its sake."""

    async def story(w: Any) -> None:
        provide_nothing(w, launch_s=60)
        short = {"containerOverrides": [{"name": "main", "command": ["sleep", "60"]}]}
        await fill(w, 900)
        await w.submit(*({"id": f"j{n}", "overrides": short, "fallback": OUT} for n in range(3)))
        records = [await w.until(f"j{n}") for n in range(3)]
        assert {(r.state, r.launches) for r in records} == {(JobState.SUCCEEDED, 1)}
        assert "StopTask" not in w.sim.statistics.calls

    world(story, fleet=ONE, pass_interval_s=1.0)


def test_what_finds_a_place_while_others_are_given_up_stays_there(world: Run) -> None:
    """Three have waited for half a minute. The first StopTask takes two minutes, and meanwhile the
    provider's instance comes, on which the two others run.
    """

    class Slow:
        stops: ClassVar[int] = 0

        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"StopTask"):
                Slow.stops += 1
                await asyncio.sleep(120)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        w.sim.send_events_to("events")
        provide_nothing(w, launch_s=45)
        long = {"containerOverrides": [{"name": "main", "command": ["sleep", "200"]}]}
        await fill(w, 900)
        await w.submit(*({"id": f"j{n}", "overrides": long, "fallback": OUT} for n in range(3)))
        records = [await w.until(f"j{n}") for n in range(3)]
        assert Slow.stops == 1
        assert sorted(record.launches for record in records) == [1, 1, 2]

    url = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
    settings = {"provisioning_timeout_s": 30.0, "events_queue_url": url, "pass_interval_s": 1.0}
    world(story, fleet=ONE, faults=Slow, **settings)


class Deaf(Cuttable):
    """Loses the answer to the write that makes job j RUNNABLE again."""

    started = heard = False

    async def carried(self, work: Callable[[], Any]) -> Any:
        """Do the work, and lose its answer once."""
        answer = await super().carried(work)
        state = self.servers.one("HGET", "{q:default}:job:j", "s")
        self.started = self.started or state == b"STARTING"
        if self.started and not self.heard and state == b"RUNNABLE":
            self.heard = True
            raise redis.exceptions.ConnectionError("the answer was lost")
        return answer


def test_room_of_a_job_that_came_back_is_not_given_to_another(world: Run) -> None:
    """The answer to the end of its task in PROVISIONING is lost, and the job launched anew before
    the end is written down once more. The room that was kept for it is its launch's by then.
    """

    class Refusals:
        seen: ClassVar[list[Any]] = []

        async def send(self, request: Any) -> Any:
            answer = await super().send(request)  # type: ignore[misc]
            if request.headers["X-Amz-Target"].endswith(b"StartTask"):
                Refusals.seen += json.loads(await answer.content)["failures"]
            return answer

    async def story(w: Any) -> None:
        def taking(cpu: int) -> dict[str, Any]:
            main = {"name": "main", "cpu": cpu, "command": ["sleep", "900"]}
            return {"overrides": {"containerOverrides": [main]}}

        await w.until_ready()
        await w.kill()
        w.connect_anew(Deaf)
        provide_nothing(w)
        async with w.another_service():
            await w.submit({"id": "full", **taking(4096)})
            await w.until("full", JobState.RUNNING)
            await w.submit({"id": "j", "fallback": OUT, **taking(2048)})
            await w.until("j", JobState.STARTING)
            w.sim.add_instances("default", ONE)
            await w.until("j", JobState.RUNNING, timeout_s=120)
            await w.submit({"id": "late", **taking(3072)})
            await asyncio.sleep(10)
            assert Refusals.seen == []
            assert (await w.queue.job(JobId("j"))).launches == 2

    world(story, fleet=ONE, faults=Refusals, sweep_interval_s=60.0)
