"""What is out of order for a while is said, loses nothing, and soon afterwards work goes on."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from botocore.exceptions import EndpointConnectionError
from tests.service.transports import answered

from ecs_queue.errors import QueueUnreachable
from ecs_queue.states import JobState
from ecs_simulator import InstanceGroup

Run = Callable[..., None]


def sleeping(job_id: str, seconds: int) -> dict[str, Any]:
    container = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [container]}}


def test_after_a_long_outage_of_ecs_the_model_is_soon_fresh(world: Run) -> None:
    """Eight minutes without an answer. A task that ended meanwhile and an instance that came are
    known within twenty seconds, and no job was launched twice or counted as failed.
    """

    class Away:
        now: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            if Away.now:
                raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror())
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.submit(sleeping("before", 30))
        await w.until("before", JobState.RUNNING)
        Away.now = True
        await w.submit(sleeping("during", 1))
        await asyncio.sleep(480)
        assert w.service.status().model_age_s > 400
        Away.now = False
        await asyncio.sleep(20)
        assert w.service.status().model_age_s < 20
        for job_id in ("before", "during"):
            record = await w.until(job_id)
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
            assert w.clock.now() * 1000 - record.ended_at_ms < 20_000

    world(story, faults=Away)


def test_a_success_that_says_nothing_ends_no_service(world: Run) -> None:
    """Something in between answers for ECS, an empty object with status 200, once to each kind of
    call: that is tried again as after a time-out.
    """

    class Empty:
        left: ClassVar[set[bytes]] = set()

        async def send(self, request: Any) -> Any:
            operation = request.headers["X-Amz-Target"].rpartition(b".")[2]
            if operation in Empty.left:
                Empty.left.remove(operation)
                return answered(request, 200, {})
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.until_ready()
        Empty.left |= {b"ListContainerInstances", b"DescribeContainerInstances", b"DescribeTasks"}
        Empty.left |= {b"DescribeTaskDefinition", b"StartTask", b"ListTasks"}
        await w.submit({"id": "a"})
        assert (await w.until("a")).state is JobState.SUCCEEDED
        await asyncio.sleep(30)
        assert Empty.left == set()
        assert not w.running[-1].done()

    world(story, faults=Empty)


def test_where_looks_break_off_the_oldest_news_comes_first(world: Run) -> None:
    """Every second DescribeTasks fails, three attempts and all. The hundred that were started first
    run long: they would be looked at again and again, and the end of the short ones never known.
    """

    class EverySecond:
        calls: ClassVar[int] = 0

        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"DescribeTasks"):
                EverySecond.calls += 1
                if EverySecond.calls % 4 != 1:
                    raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror())
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        for name, number, seconds in (("long", 100, "900"), ("short", 130, "20")):
            small = {"name": "main", "cpu": 64, "memory": 64, "command": ["sleep", seconds]}
            overrides = {"containerOverrides": [small]}
            await w.submit(*({"id": f"{name}{n}", "overrides": overrides} for n in range(number)))
            await asyncio.sleep(15)
        await asyncio.sleep(75)
        assert (await w.queue.counts())[JobState.SUCCEEDED] == 130

    world(story, faults=EverySecond, fleet=(InstanceGroup(count=6, instance_type="m5.xlarge"),))


@pytest.mark.parametrize(
    ("operation", "code", "why"),
    [
        (b"StartTask", "AccessDeniedException", "the role's policy"),
        (b"", "ExpiredTokenException", "check AWS_PROFILE"),
        (b"", "ClusterNotFoundException", "set --cluster"),
    ],
)
def test_what_aws_refuses_us_for_a_while_costs_no_job(
    world: Run, capsys: pytest.CaptureFixture[str], operation: bytes, code: str, why: str
) -> None:
    """A policy without StartTask, credentials that ran out, a cluster that was deleted and made
    again: longer than a task may be missing. The log says what to do, what ran is not taken for
    lost, and what waited runs once.
    """

    class Refusing:
        now: ClassVar[bool] = False

        async def send(self, request: Any) -> Any:
            if not Refusing.now or not request.headers["X-Amz-Target"].endswith(operation):
                return await super().send(request)  # type: ignore[misc]
            return answered(request, 400, {"__type": code, "message": "not you"})

    async def story(w: Any) -> None:
        await w.submit(sleeping("before", 600))
        await w.until("before", JobState.RUNNING)
        Refusing.now = True
        await w.submit(sleeping("during", 1))
        await asyncio.sleep(330)
        Refusing.now = False
        assert why in capsys.readouterr().out
        await asyncio.sleep(30)
        for job_id in ("before", "during"):
            record = await w.until(job_id)
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
            assert (record.failures, record.infrastructure_failures) == (0, 0)

    world(story, faults=Refusing, pass_interval_s=1.0, track_interval_s=5.0)


BROKEN = {
    "full": ((b"CONFIG SET maxmemory 1",), (b"CONFIG SET maxmemory 0",), "OOM"),
    "read-only": ((b"REPLICAOF 127.0.0.1 1",), (b"REPLICAOF NO ONE",), "READONLY|read only"),
    "without-permission": (
        (b"ACL SETUSER default -zadd",),
        (b"ACL SETUSER default +zadd",),
        "ACL failure",
    ),
}
"""Commands that break a Redis, those that mend it, and what its refusals say."""


@pytest.mark.parametrize("kind", BROKEN)
def test_a_redis_that_refuses_to_write_costs_time_only(world: Run, kind: str) -> None:
    """For a minute in the middle of launches and endings. Who submits meanwhile is told, and so is
    the log; each job runs once.
    """
    breaks, mends, word = BROKEN[kind]

    def do(w: Any, commands: tuple[bytes, ...]) -> None:
        for each in commands:
            w.redis.servers.one(*each.split())

    async def story(w: Any) -> None:
        await w.submit(*(sleeping(f"j{number}", number % 9) for number in range(30)))
        await asyncio.sleep(0.5)
        do(w, breaks)
        try:
            await asyncio.sleep(5)
            with pytest.raises(QueueUnreachable, match=f"refuses .*({word})"):
                await w.submit(sleeping("refused", 1))
            await asyncio.sleep(55)
        finally:
            do(w, mends)
        records = [await w.until(f"j{number}") for number in range(30)]
        assert {(r.state, r.launches) for r in records} == {(JobState.SUCCEEDED, 1)}
        assert len(w.sim.tasks()) == 30

    world(story)


def test_without_info_jobs_run_and_the_operator_is_warned(
    world: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ACL that forbids INFO: a fail-over would go unnoticed, which is said at the start."""

    async def story(w: Any) -> None:
        await w.submit(sleeping("a", 1))
        await w.until("a")
        await w.kill()
        w.redis.servers.one(b"ACL", b"SETUSER", b"default", b"-info")
        try:
            async with w.another_service():
                await w.submit(sleeping("b", 1))
                assert (await w.until("b")).state is JobState.SUCCEEDED
        finally:
            w.redis.servers.one(b"ACL", b"SETUSER", b"default", b"+info")
        assert capsys.readouterr().out.count("ACL forbids INFO") == 1

    world(story)
