"""Retries in a whole service: rules by exit code, growing waits, what is not their fault."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from ecs_queue.job import JobId
from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]
ONE = (InstanceGroup(count=1, instance_type="m5.xlarge"),)


def command(*words: str) -> dict[str, Any]:
    return {"containerOverrides": [{"name": "main", "command": list(words)}]}


def test_a_rule_of_batch_ends_a_job_after_one_attempt(world: Run) -> None:
    """Exit 3 says EXIT, exit 4 says RETRY: one task and three."""
    strategy = {
        "attempts": 3,
        "evaluateOnExit": [
            {"onExitCode": "4", "action": "RETRY"},
            {"onExitCode": "*", "action": "EXIT"},
        ],
    }

    async def story(w: Any) -> None:
        await w.submit(
            {"id": "a", "overrides": command("exit", "3"), "retryStrategy": strategy},
            {"id": "b", "overrides": command("exit", "4"), "retryStrategy": strategy},
        )
        a, b = await w.until("a"), await w.until("b")
        assert (a.state, a.launches, a.exit_code) == (JobState.FAILED, 1, 3)
        assert "exited with 3 (not retried: evaluate_on_exit[1] says EXIT)" in a.reason
        assert (b.state, b.launches, b.exit_code) == (JobState.FAILED, 3, 4)

    world(story)


def test_rules_hold_for_an_end_that_is_seen_when_the_lead_is_lost(world: Run) -> None:
    """ECS takes fifteen seconds to say how the task is. Meanwhile another scheduler has taken over,
    and the task has ended; its job's rules say that it is not launched again.
    """

    class Slow:
        asked: ClassVar[asyncio.Event | None] = None

        async def send(self, request: Any) -> Any:
            asked = Slow.asked
            if asked and request.headers["X-Amz-Target"].endswith(b"DescribeTasks"):
                Slow.asked = None
                asked.set()
                await asyncio.sleep(15)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.until_ready()
        w.connect_anew()
        async with w.another_service(track_interval_s=60) as second:
            rules = [{"onExitCode": "*", "action": "EXIT"}]
            retry = {"attempts": 3, "evaluate_on_exit": rules}
            long = command("sh", "-c", "sleep 12; exit 3")
            await w.submit({"id": "a", "overrides": long, "retry": retry})
            await w.until("a", JobState.RUNNING)
            asked = Slow.asked = asyncio.Event()
            await asked.wait()
            w.redis.cut = True
            await asyncio.sleep(8)
            assert second.status().leading
            w.redis.cut = False
            record = await w.until("a")
            assert (record.state, record.launches) == (JobState.FAILED, 1)

    world(story, faults=Slow)


def test_rules_see_the_reason_of_the_task(world: Run) -> None:
    """What ECS calls stoppedReason is Batch's status reason."""
    rules = [{"onStatusReason": "Essential container in task*", "action": "EXIT"}]

    async def story(w: Any) -> None:
        retry = {"attempts": 5, "evaluate_on_exit": rules}
        await w.submit({"id": "a", "overrides": command("false"), "retry": retry})
        assert (await w.until("a")).launches == 1

    world(story)


def test_waits_between_attempts_grow(world: Run) -> None:
    """Bases of 20 s: the second wait is longer than 20 s, the first is not."""

    async def story(w: Any) -> None:
        retry = {"attempts": 3, "backoff_s": 20}
        await w.submit({"id": "a", "overrides": command("false"), "retry": retry})
        record = await w.until("a")
        starts = [each.started_at_ms for each in record.attempts]
        ends = [each.ended_at_ms for each in record.attempts]
        first, second = (starts[1] - ends[0]) / 1000, (starts[2] - ends[1]) / 1000
        assert 10 <= first <= 20 + 15
        assert 20 <= second <= 40 + 15

    world(story)


def test_a_lost_instance_uses_no_attempt_and_is_waited_for(world: Run) -> None:
    """One attempt allowed, the instance dies: launched again elsewhere, and SUCCEEDED."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "60")})
        record = await w.until("a", JobState.RUNNING)
        w.sim.call(
            "DeregisterContainerInstance",
            {"cluster": "default", "containerInstance": record.instance_arn, "force": True},
        )
        record = await w.until("a")
        assert (record.state, record.launches, record.failures) == (JobState.SUCCEEDED, 2, 0)
        assert record.infrastructure_failures == 1

    world(story)


def test_a_running_job_that_outlasts_its_timeout_is_stopped(world: Run) -> None:
    """StopTask, FAILED with the reason, not retried, and its neighbour is left alone."""

    async def story(w: Any) -> None:
        await w.submit(
            {
                "id": "a",
                "overrides": command("sleep", "9999"),
                "timeout_s": 60,
                "retry": {"attempts": 3},
            },
            {"id": "b", "overrides": command("sleep", "90")},
        )
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.FAILED, 1)
        assert record.reason == "timed out: it ran longer than its timeout_s of 60"
        assert 60_000 <= record.ended_at_ms - record.running_at_ms <= 75_000
        [task] = w.started(record)
        stopped = next(each for each in w.sim.tasks() if each.arn == task)
        assert (stopped.last_status, stopped.stop_code) == ("STOPPED", "UserInitiated")
        assert (await w.until("b")).state is JobState.SUCCEEDED

    world(story)


def test_a_timeout_survives_the_service(world: Run) -> None:
    """Killed while the task runs; the next service stops the task in its place."""

    async def story(w: Any) -> None:
        await w.submit({"id": "a", "overrides": command("sleep", "9999"), "timeout_s": 60})
        await w.until("a", JobState.RUNNING)
        await w.kill()
        async with w.another_service():
            record = await w.until("a")
        assert record.reason == "timed out: it ran longer than its timeout_s of 60"

    world(story)


def test_a_job_starts_neither_too_early_nor_too_late(world: Run) -> None:
    """not_before is kept; a deadline on a full cluster ends the waiting."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "300"]}]}
        now_s = int(w.clock.now())
        await w.submit({"id": "a", "overrides": wide, "not_before": now_s + 60})
        await w.until("a", JobState.RUNNING)
        late = {"id": "late", "overrides": wide, "deadline": int(w.clock.now()) + 60}
        await w.submit(late)
        a, b = await w.until("a"), await w.until("late")
        assert a.starting_at_ms >= (now_s + 60) * 1000
        assert (b.state, b.reason) == (JobState.FAILED, "not started by its deadline")
        await asyncio.sleep(30)
        assert len(w.sim.tasks()) == 1
        assert w.service.status().held == 0

    world(story, fleet=ONE)


def test_a_bounded_wait_takes_its_action(world: Run) -> None:
    """On a full cluster one job gives up, one falls back to RunTask, one passes the others."""

    async def story(w: Any) -> None:
        wide = {"containerOverrides": [{"name": "main", "cpu": 4096, "command": ["sleep", "200"]}]}
        await w.submit({"id": "a", "overrides": wide})
        await w.until("a", JobState.RUNNING)
        w.sim.call("RegisterTaskDefinition", FARGATE)
        await w.submit(
            {"id": "next", "overrides": wide, "priority": 5},
            {"id": "gives-up", "overrides": wide, "max_wait": {"after_s": 30, "action": "cancel"}},
            {
                "id": "urgent",
                "overrides": wide,
                "max_wait": {"after_s": 30, "action": "raise_priority"},
            },
            {
                "id": "elsewhere",
                "task_definition": "serverless",
                "fallback": {"after_s": 5000, "launch_type": "FARGATE"},
                "max_wait": {"after_s": 30, "action": "fallback"},
                "network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            },
        )
        assert (await w.until("gives-up")).state is JobState.CANCELLED
        elsewhere = await w.until("elsewhere")
        assert elsewhere.state is JobState.SUCCEEDED
        assert 30_000 <= elsewhere.starting_at_ms - elsewhere.submitted_at_ms <= 60_000
        urgent = await w.until("urgent", JobState.RUNNING)
        assert urgent.priority == 1000
        assert (await w.queue.job(JobId("next"))).state is JobState.RUNNABLE

    world(story, fleet=ONE)


FARGATE = {
    "family": "serverless",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["EC2", "FARGATE"],
    "cpu": "4096",
    "memory": "8192",
    "containerDefinitions": [{"name": "main", "image": "busybox", "command": ["sleep", "5"]}],
}
