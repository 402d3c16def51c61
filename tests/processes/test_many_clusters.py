"""Real processes: a dozen queues and clusters, spread over two that come, go and die."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import redis

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState, QueueName
from ecs_queue.sync import SyncQueue

BIN = Path(sys.executable).parent
PAIRS = [(f"q{n}", f"c{n}") for n in range(12)]
DEADLINE_S = 60.0
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_DEFAULT_REGION": "us-east-1",
}

Leads = dict[str, tuple[str, int]]
"""Queue → owner of its lead and fencing number."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A simulated ECS in a process of its own, with one instance in each of a dozen clusters."""
    command = [str(BIN / "ecs-simulator"), "serve", "--port", "0", "--instances", "0"]
    server = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found is not None
    ecs = boto3.client(
        "ecs",
        endpoint_url=found[0],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    container = {"name": "main", "image": "busybox", "memory": 64, "command": ["sleep", "1"]}
    ecs.register_task_definition(family="batch", containerDefinitions=[container])
    for _, cluster in PAIRS:
        ecs.create_cluster(clusterName=cluster)
        one = {"cluster": cluster, "count": 1, "instance_type": "m5.xlarge"}
        urllib.request.urlopen(
            f"{found[0].rstrip('/')}/_simulator/instances", json.dumps(one).encode()
        ).close()
    yield found[0]
    server.terminate()
    server.wait(timeout=10)
    server.stdout.close()


@pytest.fixture
def scheduler(endpoint: str) -> "Iterator[Callable[[str], subprocess.Popen[bytes]]]":
    """Start `ecs-scheduler run` for all pairs; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(redis_url: str) -> "subprocess.Popen[bytes]":
        flags = ["--redis-url", redis_url, "--endpoint-url", endpoint, "--no-http"]
        flags += ["--lease-s", "4", "--pass-interval-s", "1", "--log-level", "error"]
        for queue, cluster in PAIRS:
            flags += ["--serve", f"{queue}@{cluster}"]
        started.append(subprocess.Popen([BIN / "ecs-scheduler", "run", *flags], env=ENVIRONMENT))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.wait()


def leads(client: "redis.Redis") -> Leads:
    """Who leads each queue now; those that nobody leads are left out."""
    found: Leads = {}
    for queue, cluster in PAIRS:
        owner, fence = client.hmget(f"{{q:{queue}}}:leader:{cluster}", "owner", "fence")
        if owner is not None and fence is not None:
            found[queue] = str(owner), int(fence)
    return found


def moved(before: Leads, after: Leads) -> set[str]:
    """Queues that another scheduler leads by now, or that were led anew."""
    return {queue for queue, lead in after.items() if lead != before.get(queue)}


def settled(client: "redis.Redis", enough: Callable[[Leads], bool]) -> Leads:
    """Wait until all have a leader, `enough` holds, and nothing moved for longer than a lease."""
    deadline = time.monotonic() + DEADLINE_S
    last, since = leads(client), time.monotonic()
    while True:
        time.sleep(0.1)
        now = leads(client)
        if now != last:
            last, since = now, time.monotonic()
        if len(now) == len(PAIRS) and enough(now) and time.monotonic() - since > 5:
            return now
        assert time.monotonic() < deadline, now


def run_a_job_in_each(client: "redis.Redis", job_id: str) -> None:
    """One job per queue, and all of them succeed."""
    queues = [SyncQueue(client, QueueName(queue)) for queue, _ in PAIRS]
    for each in queues:
        each.submit([Job(id=JobId(job_id), task_definition="batch")])
    deadline = time.monotonic() + DEADLINE_S
    while waiting := [q for q in queues if q.job(JobId(job_id)).state is not JobState.SUCCEEDED]:
        assert time.monotonic() < deadline, [q.job(JobId(job_id)) for q in waiting]
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_process_that_comes_or_dies_moves_only_what_it_wins_or_held(
    scheduler: "Callable[[str], subprocess.Popen[bytes]]",
) -> None:
    """Alone, one leads all twelve. A second wins some, and the others are not led anew. SIGKILL of
    the first moves what it held, and nothing else. Jobs run in every cluster all the while.
    """
    with EmbeddedValkey() as valkey:
        client = connect_sync(valkey.url)
        first = scheduler(valkey.url)
        alone = settled(client, lambda _: True)
        run_a_job_in_each(client, "one")

        scheduler(valkey.url)
        shared = settled(client, lambda now: bool(moved(alone, now)))
        won = moved(alone, shared)
        assert 0 < len(won) < len(PAIRS)
        run_a_job_in_each(client, "two")

        first.send_signal(signal.SIGKILL)
        left = settled(client, lambda now: moved(shared, now) >= set(alone) - won)
        assert moved(shared, left) == set(alone) - won
        run_a_job_in_each(client, "three")
        client.close()
