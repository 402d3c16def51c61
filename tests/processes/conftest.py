"""Programs as processes of their own: the simulated ECS, and where the installed ones are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A simulated ECS in a process of its own: six instances, throttled as AWS is."""
    command = [str(BIN / "ecs-simulator"), "serve", "--port", "0", "--instances", "6"]
    server = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().split()[3]
    server.terminate()
    server.wait(timeout=10)
    server.stdout.close()


def registered(endpoint: str) -> Any:
    """A client of the simulated ECS, with the task definition `batch`."""
    ecs = boto3.client(
        "ecs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    container = {"name": "main", "image": "busybox", "cpu": 512, "memory": 256}
    ecs.register_task_definition(family="batch", containerDefinitions=[container])
    return ecs
