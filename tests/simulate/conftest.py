"""A folder to work in, and a simulated cluster over HTTP that the environment names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_queue.embedded import EmbeddedValkey

FOREIGN = ("ECS_", "AWS_", "REDIS_")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two m5.xlarge on a simulated ECS, and a Valkey, which the environment names."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    command = [str(Path(sys.executable).with_name("ecs-simulator")), "serve", "--port", "0"]
    command += ["--instances", "2"]
    with (
        EmbeddedValkey() as valkey,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        started = re.search(r"http://\S+", server.stdout.readline())
        assert started is not None
        for name, value in {
            "ECS_SCHEDULER_ENDPOINT_URL": started[0],
            "ECS_SCHEDULER_CLUSTER": "demo",
            "ECS_SCHEDULER_REDIS_URL": valkey.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield
        server.terminate()
