"""One story, three ways to tell it: directly, through aiobotocore in process, over HTTP with
boto3."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import boto3
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import ClientError

from ecs_simulator import EcsError, Fleet, InstanceGroup, Options, SimulatedEcs, http_session_class
from ecs_simulator.server import start

CREDENTIALS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
ONE_TRY = {"total_max_attempts": 1}
AIO_SESSION = get_session()  # shared: loading the service model takes longer than a story
SMALL = InstanceGroup(cpu_units=2048, memory_mib=4096)


@dataclass
class ManualClock:
    """A clock that moves when it is told to."""

    seconds: float = 1_767_225_600.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(eq=False)
class Refusal(Exception):
    """An error answer, however it was transported."""

    code: str
    message: str
    status: int
    fields: dict[str, Any] = field(default_factory=dict)


class Calls(Protocol):
    """A way to send requests."""

    def __call__(self, operation: str, request: dict[str, Any]) -> dict[str, Any]: ...


def snake(operation: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")


def from_client_error(error: ClientError) -> Refusal:
    answer = error.response
    return Refusal(
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
        {"resourceIds": answer["resourceIds"]} if "resourceIds" in answer else {},
    )


@dataclass
class World:
    """A simulated ECS with a clock of its own and a way to call it."""

    ecs: SimulatedEcs
    clock: ManualClock
    send: Calls
    way: str

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        """Send one request; the answer without transport metadata."""
        answer = self.send(operation, request)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def refused(self, operation: str, **request: Any) -> Refusal:
        """Send one request that must be refused."""
        with pytest.raises(Refusal) as caught:
            self(operation, **request)
        return caught.value

    def later(self, seconds: float) -> None:
        """Let time pass, and look whether everything still adds up."""
        self.clock.seconds += seconds
        self.ecs.advance()
        self.ecs.verify()

    def add(self, *fleet: InstanceGroup, cluster: str = "demo") -> list[str]:
        """Register instances; their ARNs."""
        return [str(arn) for arn in self.ecs.add_instances(cluster, fleet)]

    def define(self, family: str = "work", **more: Any) -> str:
        """Register a one-container task definition: 256 CPU units, 512 MiB, `sleep 60`."""
        container = {
            "name": "main",
            "image": "busybox",
            "cpu": 256,
            "memory": 512,
            "command": ["sleep", "60"],
            **more.pop("container", {}),
        }
        answer = self(
            "RegisterTaskDefinition", family=family, containerDefinitions=[container], **more
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def start(self, *instances: str, definition: str = "work", **more: Any) -> dict[str, Any]:
        """StartTask in the cluster `demo`."""
        return self(
            "StartTask",
            cluster="demo",
            taskDefinition=definition,
            containerInstances=list(instances),
            **more,
        )

    def task(self, arn: str) -> dict[str, Any]:
        """DescribeTasks of one task."""
        return dict(self("DescribeTasks", cluster="demo", tasks=[arn])["tasks"][0])

    def instance(self, arn: str) -> dict[str, Any]:
        """DescribeContainerInstances of one instance."""
        answer = self("DescribeContainerInstances", cluster="demo", containerInstances=[arn])
        return dict(answer["containerInstances"][0])

    def remaining(self, arn: str) -> dict[str, Any]:
        """remainingResources of one instance by name."""
        return {
            item["name"]: item.get("stringSetValue", item["integerValue"])
            for item in self.instance(arn)["remainingResources"]
        }


def direct(ecs: SimulatedEcs, _: ExitStack) -> Calls:
    def send(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return ecs.call(operation, request)
        except EcsError as error:
            raise Refusal(error.code, error.message, error.status, error.fields) from error

    return send


def in_process(ecs: SimulatedEcs, stack: ExitStack) -> Calls:
    runner = stack.enter_context(asyncio.Runner())
    config = AioConfig(retries=ONE_TRY, http_session_cls=http_session_class(ecs))
    context = AIO_SESSION.create_client(
        "ecs", endpoint_url="http://simulated", config=config, **CREDENTIALS
    )
    client = runner.run(context.__aenter__())
    stack.callback(lambda: runner.run(context.__aexit__(None, None, None)))

    async def ask(operation: str, request: dict[str, Any]) -> Any:
        return await getattr(client, snake(operation))(**request)

    def send(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(runner.run(ask(operation, request)))
        except ClientError as error:
            raise from_client_error(error) from error

    return send


def serve_in_thread(ecs: SimulatedEcs, stack: ExitStack) -> str:
    """Serve on a free port of the loopback from a thread; the endpoint."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(start(ecs, "127.0.0.1", 0), loop).result()

    def stop() -> None:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    stack.callback(stop)
    return f"http://127.0.0.1:{port}"


SESSION = boto3.Session(**CREDENTIALS)


def boto3_calls(endpoint: str, stack: ExitStack) -> tuple[Calls, Any]:
    config = Config(retries=ONE_TRY)
    client = SESSION.client("ecs", endpoint_url=endpoint, config=config)
    stack.callback(client.close)

    def send(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(getattr(client, snake(operation))(**request))
        except ClientError as error:
            raise from_client_error(error) from error

    return send, client


def http(ecs: SimulatedEcs, stack: ExitStack) -> Calls:
    return boto3_calls(serve_in_thread(ecs, stack), stack)[0]


WAYS: dict[str, Callable[[SimulatedEcs, ExitStack], Calls]] = {
    "direct": direct,
    "in-process": in_process,
    "http": http,
}
MakeWorld = Callable[..., World]


@pytest.fixture(params=list(WAYS))
def make_world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes worlds with options, each over every way to call."""
    with ExitStack() as stack:

        def make(fleet: Fleet = (), **options: Any) -> World:
            clock = ManualClock()
            ecs = SimulatedEcs(Options(**options), clock, seed=7)
            ecs.call("CreateCluster", {"clusterName": "demo"})
            world = World(ecs, clock, WAYS[request.param](ecs, stack), request.param)
            world.add(*fleet)
            return world

        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """An empty cluster `demo`, over every way to call."""
    return make_world()


@pytest.fixture
def quick() -> World:
    """An empty cluster `demo`, called directly: for what the transport cannot change."""
    clock = ManualClock()
    ecs = SimulatedEcs(Options(throttled=False), clock, seed=7)
    ecs.call("CreateCluster", {"clusterName": "demo"})
    return World(ecs, clock, direct(ecs, ExitStack()), "direct")
