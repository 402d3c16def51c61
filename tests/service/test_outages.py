"""What is out of order for a while is said, loses nothing, and soon afterwards work goes on."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from botocore.exceptions import EndpointConnectionError

from ecs_queue.states import JobState

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
                raise EndpointConnectionError(endpoint_url=request.url)
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
