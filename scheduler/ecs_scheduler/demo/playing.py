"""`--keep-running`: the stage stays up with its doors open, and the user is told how to play."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

from ecs_scheduler.demo.stage import REGION, Stage
from ecs_scheduler.web.api import Backend, create_app
from ecs_scheduler.web.server import listen, serving
from ecs_simulator.server import start as start_simulator

LOOPBACK = "127.0.0.1"


async def kept_running(
    stage: Stage, service: asyncio.Task[None], say: Callable[[str], None]
) -> None:
    """Open the HTTP side and the simulated ECS on loopback ports; returns when the service ends."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(LOOPBACK, 0))
        backend = Backend(
            queue=stage.queue,
            status=stage.service.status,
            metrics=stage.metrics,
            new_id=lambda: str(uuid.uuid4()),
            explainer=stage.service.explainer,
        )
        http = await stack.enter_async_context(serving(create_app(backend), listener))
        runner, port = await start_simulator(stage.ecs, LOOPBACK, 0)
        stack.push_async_callback(runner.cleanup)
        for line in invitation(stage, http, f"http://{LOOPBACK}:{port}"):
            say(line)
        await service


def invitation(stage: Stage, http: str, endpoint: str) -> Iterator[str]:
    """What there is to play with, as commands to paste."""
    config = stage.config
    queue = f"--redis-url {config.redis_url} --queue {config.queue}"
    yield ""
    yield "Still running, until Ctrl-C. In another terminal:"
    yield f"  ecs-scheduler submit {queue} --container main batch -- sleep 20"
    yield f"  ecs-scheduler jobs {queue}"
    yield f"  curl {http}/metrics"
    yield (
        f"  curl {http}/v1/jobs -H 'Content-Type: application/json' "
        """-d '{"id": "by-http", "task_definition": "batch"}'"""
    )
    if config.redis_url.startswith("unix://"):
        redis_cli = f"redis-cli -s {config.redis_url.removeprefix('unix://')}"
    else:
        redis_cli = f"redis-cli -u {config.redis_url}"
    yield f"""  {redis_cli} XADD '{stage.inbox}' '*' job '{{"task_definition": "batch"}}'"""
    yield (
        "  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws ecs list-tasks "
        f"--cluster {config.cluster} --region {REGION} --endpoint-url {endpoint}"
    )
