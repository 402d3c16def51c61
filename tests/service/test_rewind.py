"""Redis loses its last writes in the middle of a run: nothing runs twice at once."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from ecs_queue.job import JobId
from ecs_queue.states import JobState

Run = Callable[..., None]
SOON = {"settle_after_s": 20.0, "certain_after_s": 30.0}


def sleep(job_id: str, seconds: int) -> dict[str, Any]:
    command = {"name": "main", "command": ["sleep", str(seconds)]}
    return {"id": job_id, "overrides": {"containerOverrides": [command]}}


async def past(w: Any) -> dict[bytes, bytes]:
    """Everything that Redis holds now."""
    found = {key: await w.redis.dump(key) for key in await w.redis.keys("*")}
    return {key: value for key, value in found.items() if value is not None}


async def go_back(w: Any, then: dict[bytes, bytes]) -> None:
    """A server without the latest writes takes over; `lead` would notice it by its run id."""
    await w.redis.flushall()
    for key, value in then.items():
        await w.redis.restore(key, 0, value)
    await w.redis.set("{q:default}:rewound", round(w.clock.now() * 1000))


def test_what_the_scheduler_remembers_goes_back_into_the_books(world: Run) -> None:
    """Redis forgets a launch, and that another job has ended: one runs on, the other does not run
    again.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(sleep("long", 45), sleep("short", 1))
        then = await past(w)
        await w.until("short")
        await w.until("long", JobState.RUNNING)
        await go_back(w, then)
        assert (await w.queue.job(JobId("long"))).state is JobState.RUNNABLE
        for job_id in ("long", "short"):
            record = await w.until(job_id)
            assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert len(w.sim.tasks()) == 2

    world(story, **SOON)


def test_what_nobody_remembers_is_stopped_before_its_job_runs_again(world: Run) -> None:
    """The scheduler died too. A task of somebody else is left alone."""

    async def story(w: Any) -> None:
        await w.until_ready()
        instance = w.sim.call("ListContainerInstances", {})["containerInstanceArns"][0]
        foreign = {"taskDefinition": "batch", "containerInstances": [instance], "startedBy": "x"}
        w.sim.call("StartTask", foreign)
        await w.submit(sleep("a", 60))
        then = await past(w)
        await w.until("a", JobState.RUNNING)
        await w.kill()
        await go_back(w, then)
        async with w.another_service():
            record = await w.until("a")
            assert record.state is JobState.SUCCEEDED
        theirs, first, second = sorted(w.sim.tasks(), key=lambda task: task.created_at)
        assert first.stopped_at <= second.created_at
        assert second.exit_codes == (0,)
        assert theirs.stop_code != "UserInitiated"

    world(story, **SOON)


def test_new_jobs_wait_until_queue_and_ecs_agree(world: Run) -> None:
    """As long as it may take until ECS shows every launch from before."""

    async def story(w: Any) -> None:
        await w.until_ready()
        then = await past(w)
        await asyncio.sleep(10)
        await go_back(w, then)
        await asyncio.sleep(5)
        await w.submit(sleep("a", 1))
        record = await w.until("a")
        assert 20_000 <= record.starting_at_ms - record.submitted_at_ms <= 40_000

    world(story, **SOON)


def test_a_pass_that_was_gathering_meanwhile_launches_nothing(world: Run) -> None:
    """It waits for a task definition. When that comes, the lead is lost and won again, and claims
    are granted as before.
    """
    more_than_one_claim = 510

    class Slow:
        async def send(self, request: Any) -> Any:
            if request.headers["X-Amz-Target"].endswith(b"DescribeTaskDefinition"):
                await asyncio.sleep(10)
            return await super().send(request)  # type: ignore[misc]

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(*(sleep(f"j{n}", 1) for n in range(more_than_one_claim)))
        then = await past(w)
        await asyncio.sleep(6)
        await go_back(w, then)
        went_back_ms = w.clock.now() * 1000
        record = await w.until("j0")
        assert record.starting_at_ms - went_back_ms >= 20_000

    world(story, faults=Slow, **SOON)


class SlowOnce:
    """A transport whose next request with these words in it takes eight seconds."""

    words: ClassVar[tuple[bytes, bytes] | None] = None
    asked: ClassVar[asyncio.Event] = asyncio.Event()

    async def send(self, request: Any) -> Any:
        words = SlowOnce.words
        if (
            words
            and request.headers["X-Amz-Target"].endswith(words[0])
            and words[1] in request.body
        ):
            SlowOnce.words = None
            SlowOnce.asked.set()
            await asyncio.sleep(8)
        return await super().send(request)  # type: ignore[misc]


async def asked(operation: bytes, about: bytes = b"") -> None:
    """Wait for such a request, the first that is slow."""
    SlowOnce.words = operation, about
    SlowOnce.asked = asyncio.Event()
    async with asyncio.timeout(60):
        await SlowOnce.asked.wait()


def test_a_queue_that_goes_back_again_is_compared_again(world: Run) -> None:
    """The second time while ECS is asked about a task of somebody else, when the comparison has
    asked the queue all that it asks. What the queue forgets then is not launched again.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        instance = w.sim.call("ListContainerInstances", {})["containerInstanceArns"][0]
        foreign = {"taskDefinition": "batch", "containerInstances": [instance], "startedBy": "x"}
        overrides = {"containerOverrides": [{"name": "main", "command": ["sleep", "900"]}]}
        answer = w.sim.call("StartTask", {**foreign, "overrides": overrides})
        theirs = str(answer["tasks"][0]["taskArn"])
        await w.submit(sleep("a", 200))
        before = await past(w)
        await w.until("a", JobState.RUNNING)
        then = await past(w)
        await asyncio.sleep(6)
        await go_back(w, then)
        await asyncio.sleep(5)
        await asked(b"DescribeTasks", theirs.encode())
        await go_back(w, before)
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert len(w.sim.tasks()) == 2

    world(story, faults=SlowOnce, **SOON)


def test_a_task_is_not_stopped_for_what_a_second_server_forgot(world: Run) -> None:
    """The queue goes back again while ECS is asked what runs. What we remember of it is entered
    before anything is stopped.
    """

    async def story(w: Any) -> None:
        await w.until_ready()
        await w.submit(sleep("a", 200))
        before = await past(w)
        await w.until("a", JobState.RUNNING)
        then = await past(w)
        await asyncio.sleep(6)
        await go_back(w, then)
        await asyncio.sleep(5)
        await asked(b"ListTasks")
        await go_back(w, before)
        record = await w.until("a")
        assert (record.state, record.launches) == (JobState.SUCCEEDED, 1)
        assert len(w.sim.tasks()) == 1

    world(story, faults=SlowOnce, **SOON)
