"""One effective launch, whatever happens to calls, replies, Redis and the service itself."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ReadTimeoutError
from tests.service.conftest import Cuttable
from tests.service.transports import Body, faulty

from ecs_queue.states import JobState
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options
from ecs_simulator.options import Bucket, Undocumented

Run = Callable[..., None]


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def undocumented(**choices: Any) -> Options:
    return Options(agent_capabilities=FEW_CAPABILITIES, undocumented=Undocumented(**choices))


async def all_ended_once(w: Any, *job_ids: str) -> None:
    """Every job succeeded, and ECS ran exactly the tasks that the jobs know of, one for each."""
    records = [await w.until(job_id) for job_id in job_ids]
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    launched = [attempt.task_arn for record in records for attempt in record.attempts]
    assert Counter(launched) == Counter(task.arn for task in w.sim.tasks())
    assert [record.launches for record in records] == [1] * len(records)


@pytest.mark.parametrize("lists_stopped", [True, False])
@pytest.mark.parametrize("run_s", ["1", "200"])
def test_a_lost_reply_is_found_again(world: Run, lists_stopped: bool, run_s: str) -> None:
    """ECS did the work; the task is adopted, be it running or stopped when we look."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": f"j{i}", "overrides": command("sleep", run_s)} for i in range(3)))
        await all_ended_once(w, "j0", "j1", "j2")

    world(
        story,
        faults=faulty("StartTask", 1, work_is_done=True, reset=run_s == "1"),
        options=undocumented(started_by_lists_stopped=lists_stopped),
    )


def test_a_call_that_never_arrived_is_made_again(world: Run) -> None:
    """Nobody knows for a minute; then ECS would show it, so it did not happen."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "1")})
        await all_ended_once(w, "a")
        record = await w.until("a")
        # Certain after 60 s, or one look later; then image and run.
        assert 60_000 <= record.ended_at_ms - record.submitted_at_ms <= 75_000

    world(story, faults=faulty("StartTask", 1, work_is_done=False))


def test_a_job_that_the_answer_leaves_out_is_looked_for(world: Run) -> None:
    """Of three tasks of a call the answer shows two; the third runs as well, and is adopted."""

    class Forgetful:
        left: ClassVar[int] = 1

        async def send(self, request: Any) -> Any:
            answer = await super().send(request)  # type: ignore[misc]
            if Forgetful.left and request.headers["X-Amz-Target"].endswith(b"StartTask"):
                Forgetful.left -= 1
                document = json.loads(await answer.content)
                assert len(document["tasks"]) == 3
                del document["tasks"][1]
                answer.raw = Body(json.dumps(document).encode())
                answer._content = None
            return answer

    async def story(w: Any) -> None:
        await w.until_ready()
        wide = {"name": "main", "cpu": 3000, "command": ["sleep", "60"]}
        jobs = ({"id": f"j{i}", "overrides": {"containerOverrides": [wide]}} for i in range(3))
        await w.submit(*jobs)
        await all_ended_once(w, "j0", "j1", "j2")
        assert w.sim.statistics.calls["StartTask"] == 1

    world(story, faults=Forgetful)


def test_a_task_that_stops_while_launches_are_looked_for_is_seen(world: Run) -> None:
    """Nobody knows what became of two launches on one instance. While they are looked for, the task
    of the second stops: after the instance was asked, for the first, what has stopped there, and
    before ECS says what still runs of the second.
    """

    class SlowToTell:
        sent: ClassVar[list[str]] = []

        async def send(self, request: Any) -> Any:
            operation, body = request.headers["X-Amz-Target"], json.loads(request.body)
            sent = SlowToTell.sent
            if operation.endswith(b"StartTask") and len(sent) < 2:
                sent.append(body["startedBy"])
                if len(sent) == 2:
                    await super().send(request)  # type: ignore[misc]
                raise ReadTimeoutError(endpoint_url=request.url)
            if operation.endswith(b"ListTasks") and body.get("startedBy") == sent[-1]:
                await asyncio.sleep(12)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit({"id": "first", "overrides": command("sleep", "1")})
        await asyncio.sleep(0.3)
        await w.submit({"id": "second", "overrides": command("sleep", "62")})
        await all_ended_once(w, "first", "second")

    one = (InstanceGroup(count=1, instance_type="m5.xlarge"),)
    world(story, faults=SlowToTell, fleet=one, settle_after_s=60.0)


def test_of_two_tasks_of_one_launch_one_is_stopped(world: Run) -> None:
    """Something on the way delivers a call twice, and its answer is lost. One of the two tasks is
    the job's; the other is told to stop as soon as both are seen.
    """

    class Twice:
        left: ClassVar[int] = 1

        async def send(self, request: Any) -> Any:
            answer = await super().send(request)  # type: ignore[misc]
            if Twice.left and request.headers["X-Amz-Target"].endswith(b"StartTask"):
                Twice.left -= 1
                await super().send(request)  # type: ignore[misc]
                raise ReadTimeoutError(endpoint_url=request.url)
            return answer

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "120")})
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        tasks = {str(task.arn): task for task in w.sim.tasks()}
        del tasks[str(record.task_arn)]
        [extra] = tasks.values()
        assert extra.stop_code == "UserInitiated"
        assert extra.stopping_at - extra.created_at < 30

    world(story, faults=Twice)


def test_a_lost_run_task_reply_is_found_again(world: Run) -> None:
    """RunTask launches are looked for by family, since ECS chose the place."""

    async def story(w: Any) -> None:
        w.sim.call("RegisterTaskDefinition", FARGATE)
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        fallback = {"after_s": 0, "launch_type": "FARGATE"}
        jobs = (
            {
                "id": f"j{i}",
                "task_definition": "serverless",
                "fallback": fallback,
                "network_configuration": network,
            }
            for i in range(3)
        )
        await w.submit(*jobs)
        await all_ended_once(w, "j0", "j1", "j2")
        assert w.sim.statistics.calls["RunTask"] == 1

    world(story, faults=faulty("RunTask", 1, work_is_done=True), fleet=())


FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "4096",
    "memory": "8192",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "5"]}],
}


def test_tasks_that_ecs_hides_at_first_are_waited_for(world: Run) -> None:
    """DescribeTasks answers MISSING for 20 s after each launch; nothing is given up or repeated."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": f"j{i}", "overrides": command("sleep", "60")} for i in range(5)))
        await all_ended_once(w, *(f"j{i}" for i in range(5)))

    world(story, options=undocumented(missing_after_launch_s=20.0))


def test_throttling_costs_time_and_nothing_else(world: Run) -> None:
    """The account allows 2 calls/s where we were told 40: every job still runs exactly once."""

    async def story(w: Any) -> None:
        jobs = ({"id": f"j{i}", "overrides": command("sleep", f"{i + 1}")} for i in range(30))
        await w.submit(*jobs)
        await all_ended_once(w, *(f"j{i}" for i in range(30)))
        assert w.sim.statistics.throttled["Cluster resource modify"] > 0

    slow = {"Cluster resource modify": Bucket(burst=5, per_second=2)}
    world(story, options=Options(agent_capabilities=FEW_CAPABILITIES, rates=slow))


@pytest.mark.parametrize("killed_after_s", [0.0, 0.3, 0.9, 2.5, 6.0])
def test_a_killed_service_loses_nothing(world: Run, killed_after_s: float) -> None:
    """Cut off without a word at some moment; another takes over when the lease has run out."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": f"j{i}", "overrides": command("sleep", f"{i}")} for i in range(20)))
        await asyncio.sleep(killed_after_s)
        await w.kill()
        async with w.another_service():
            await all_ended_once(w, *(f"j{i}" for i in range(20)))

    world(story, lease_s=5.0)


def test_redis_may_go_away_for_a_while(world: Run) -> None:
    """No answer from Redis for ten seconds in the middle of the launches."""

    async def story(w: Any) -> None:
        await w.submit(*({"id": f"j{i}", "overrides": command("sleep", f"{i}")} for i in range(20)))
        await asyncio.sleep(0.5)
        w.redis.cut = True
        await asyncio.sleep(10)
        w.redis.cut = False
        await all_ended_once(w, *(f"j{i}" for i in range(20)))

    world(story)


def test_two_services_share_a_queue(world: Run) -> None:
    """They claim different jobs; nothing is launched twice."""

    async def story(w: Any) -> None:
        async with w.another_service():
            jobs = ({"id": f"j{i}", "overrides": command("sleep", f"{i % 7}")} for i in range(60))
            await w.submit(*jobs)
            await all_ended_once(w, *(f"j{i}" for i in range(60)))

    world(story)


def test_a_damaged_record_keeps_no_other_launch_from_being_found(world: Run) -> None:
    """The answers to both calls are lost, and what the queue knows of the first job is damaged: the
    second task is adopted all the same, also when it was started after the first had to be certain.
    """

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "1")})
        await asyncio.sleep(5)
        await w.redis.hset("{q:default}:job:a", "n", "damaged")
        await asyncio.sleep(70)
        await w.submit({"id": "b", "overrides": command("sleep", "30")})
        assert (await w.until("b", timeout_s=60)).state is JobState.SUCCEEDED
        await w.redis.hset("{q:default}:job:a", "n", "0")
        assert (await w.until("a")).state is JobState.SUCCEEDED

    world(story, faults=faulty("StartTask", 2, work_is_done=True))


class Stalling(Cuttable):
    """A Redis that answers nothing for 22 seconds once a launch was written down; a client's time-
    outs and its tries come to that.
    """

    until: float | None = None

    async def carried(self, work: Callable[[], Any]) -> Any:
        now = asyncio.get_running_loop().time()
        if self.until is None and self.servers.one("ZCARD", "{q:default}:intents"):
            self.until = now + 22
        if self.until is not None and now < self.until:
            await asyncio.sleep(self.until - now)
        return await super().carried(work)


def test_a_launch_that_waits_for_redis_before_its_call_is_not_made(world: Run) -> None:
    """It wants to tell its task of the service, and Redis does not answer for so long that another
    scheduler takes over and finds that there was no launch.
    """

    async def story(w: Any) -> None:
        await w.kill()
        steady = w.queue
        w.connect_anew(Stalling)
        async with w.another_service():
            await w.until_ready()
            w.queue = steady
            async with w.another_service():
                await w.submit({"id": "a", "overrides": command("sleep", "60")})
                await all_ended_once(w, "a")

    world(story, certain_after_s=20.0, worker_url="http://scheduler:8081")


def test_a_stopping_service_hands_its_claims_back(world: Run) -> None:
    """What waited in its window is RUNNABLE for the next one at once, not after the lease."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "20"]}]}
        async with w.another_service() as second:
            await w.submit(*({"id": f"j{i}", "overrides": wide} for i in range(8)))
            await w.until("j0", JobState.RUNNING)
        assert second.status().ready is False
        claimed = await w.redis.keys("{q:default}:claimed:*")
        assert len(claimed) <= 1
        await all_ended_once(w, *(f"j{i}" for i in range(8)))

    world(story)
