"""The same scripts on a cluster of three nodes: all keys of a queue live in one slot."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio
import redis
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio.cluster import RedisCluster
from tests.queue.machine import Machine, played
from tests.queue.test_arrays_model import ArrayMachine
from tests.queue.test_dependencies_model import GraphMachine
from tests.queue.test_gangs_model import GangMachine
from tests.queue.test_model import QueueMachine

from ecs_queue.client import Queue
from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.producing import inbox_key
from ecs_queue.states import (
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    QueueName,
    Sighting,
    Started,
    Succeeded,
    TaskArn,
)

pytestmark = pytest.mark.slow

SLOTS = 16_384
ALICE = OwnerId("alice")


def ask(node: redis.Redis, *words: str | int) -> str:
    return str(node.execute_command(*words))  # type: ignore[no-untyped-call]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture(scope="module")
def cluster_port() -> Iterator[int]:
    ports = free_ports(6)
    with ExitStack() as stack:
        nodes = []
        for port, bus in zip(ports[:3], ports[3:], strict=True):
            options = ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
            server = stack.enter_context(EmbeddedValkey(port=port, options=options))
            nodes.append(connect_sync(server.url))
        for number, node in enumerate(nodes):
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            ask(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
            ask(node, "CLUSTER", "MEET", "127.0.0.1", ports[0], ports[3])
        for node in nodes:
            # WAIT passes 10 ms; there is no command that waits for a cluster to form.
            for _ in range(3_000):
                if "cluster_state:ok" in ask(node, "CLUSTER", "INFO"):
                    break
                ask(node, "WAIT", 1, 10)
        yield ports[0]
        for node in nodes:
            node.close()


@pytest_asyncio.fixture
async def cluster(cluster_port: int) -> AsyncIterator[RedisCluster]:
    client = RedisCluster(host="127.0.0.1", port=cluster_port)
    yield client
    await client.aclose()


@pytest.mark.parametrize("name", ["first", "second", "third", "fourth"])
async def test_a_life_on_a_cluster(cluster: RedisCluster, name: str) -> None:
    """From the inbox to success, wherever the queue's slot lies."""
    queue = Queue(cluster, QueueName(name))
    document = '{"id": "foreign", "task_definition": "t", "priority": 1}'
    await cluster.xadd(inbox_key(QueueName(name)), {"job": document})
    await queue.submit([Job(id=JobId(f"own-{i}"), task_definition="t") for i in range(600)])
    await queue.admit(ALICE)
    await queue.open_lease(ALICE, lease_ms=60_000)
    claim, *others = await queue.claim(ALICE, 100)
    assert (claim.job.id, len(others)) == ("foreign", 99)
    token, task = LaunchToken("token"), TaskArn("arn:1")
    await queue.intend(ALICE, token, "RunTask", [Intent(claim.job.id, claim.epoch, None)])
    await queue.settle(token, [Started(claim.job.id, task, None)])
    await queue.running([Sighting(task, 1)])
    assert await queue.finish(task, Succeeded()) is JobState.SUCCEEDED
    assert await queue.hand_back(ALICE) == 99
    assert (await queue.counts())[JobState.RUNNABLE] == 600


@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", [QueueMachine, ArrayMachine, GraphMachine, GangMachine])
def test_the_contract_is_never_broken_on_a_cluster(
    cluster_port: int, machine: type[Machine]
) -> None:
    """The histories that a single server is tried with."""

    class OnCluster(machine):  # type: ignore[valid-type,misc]
        def connected(self) -> RedisCluster:
            return RedisCluster(host="127.0.0.1", port=cluster_port)

    run_state_machine_as_test(OnCluster, settings=played(examples=10, steps=40))
