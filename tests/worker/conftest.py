"""What a task finds around it: ECS's metadata endpoint, the service over HTTP, and a real Redis."""

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import pytest_asyncio

from ecs_queue.assignment import secret_of, signing_key
from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import Intent, LaunchToken, OwnerId, QueueName, Started, TaskArn
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.web.api import Backend, create_worker_app
from ecs_scheduler.web.server import listen, serving

OWNER = OwnerId("scheduler")
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:task/batch"


class Metadata(ThreadingHTTPServer):
    """ECS's task metadata endpoint, version 4: each container has a path of its own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.arns: dict[str, str] = {}

    def url_for(self, task_arn: str) -> str:
        container = uuid.uuid4().hex
        self.arns[f"/v4/{container}/task"] = task_arn
        return f"http://127.0.0.1:{self.server_port}/v4/{container}"


class _Handler(BaseHTTPRequestHandler):
    server: Metadata

    def do_GET(self) -> None:
        arn = self.server.arns.get(self.path)
        self.send_response(404 if arn is None else 200)
        self.end_headers()
        self.wfile.write(b'{"Cluster":"batch","TaskARN":"%b","Family":"t"}' % (arn or "").encode())

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="session")
def metadata() -> Iterator[Metadata]:
    server = Metadata()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    with EmbeddedValkey() as server:
        yield server.url


@dataclass
class Site:
    """A queue with its service, and the environment of its tasks."""

    url: str
    redis_url: str
    queue: Queue
    name: str
    metadata: Metadata
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 99)))

    async def intend(self, job_id: str) -> LaunchToken:
        """Begin to launch a job that waits."""
        await self.queue.open_lease(OWNER, lease_ms=60_000)
        claims = {each.job.id: each for each in await self.queue.claim(OWNER, 10)}
        token = LaunchToken(f"token-{next(self.numbers)}")
        intent = Intent(JobId(job_id), claims[JobId(job_id)].epoch, None)
        await self.queue.intend(OWNER, token, "RunTask", [intent])
        await self.queue.hand_back(OWNER)
        return token

    async def acknowledge(self, job_id: str, token: LaunchToken) -> None:
        """ECS has answered."""
        await self.queue.settle(token, [Started(JobId(job_id), self.arn(token), None)])

    async def launch(self, **job: Any) -> LaunchToken:
        """Submit a job and start its task."""
        await self.queue.submit([Job.model_validate({"task_definition": "t", **job})])
        token = await self.intend(job["id"])
        await self.acknowledge(job["id"], token)
        return token

    def arn(self, token: LaunchToken) -> TaskArn:
        return TaskArn(f"{CLUSTER}/task-of-{token}")

    async def secret(self, token: LaunchToken) -> str:
        return secret_of(token, await self.queue.run(signing_key()))

    async def environment(self, token: LaunchToken) -> dict[str, str]:
        """What the container of a launch finds, if the service has told it of itself."""
        return {
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata.url_for(self.arn(token)),
            "ECS_SCHEDULER_WORKER_URL": self.url,
            "ECS_SCHEDULER_LAUNCH_SECRET": await self.secret(token),
        }

    def redis_environment(self, token: LaunchToken) -> dict[str, str]:
        """The same for a container that was given Redis itself."""
        return {
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata.url_for(self.arn(token)),
            "REDIS_URL": self.redis_url,
            "ECS_SCHEDULER_QUEUE": self.name,
        }


@pytest_asyncio.fixture
async def site(valkey: str, metadata: Metadata) -> AsyncIterator[Site]:
    name = f"test-{uuid.uuid4().hex}"
    queue = Queue(connect(valkey), QueueName(name))

    def no_status() -> Any:
        raise AssertionError("containers do not ask for it")

    backend = Backend(queue, no_status, Metrics(), lambda: "made-up")
    with listen("127.0.0.1", 0) as listener:
        async with serving(create_worker_app(backend), listener) as url:
            yield Site(url, valkey, queue, name, metadata)
    await queue.aclose()
