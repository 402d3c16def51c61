"""The real command line, run in this process or as a program, against a real Valkey."""

import asyncio
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import structlog
from tests.cli.cloud import Cloud

from ecs_queue.client import Queue
from ecs_queue.embedded import EmbeddedValkey
from ecs_scheduler.cli import main
from ecs_scheduler.config import Config
from ecs_scheduler.queue_connection import open_queue

FOREIGN = ("ECS_", "AWS_", "REDIS_", "NO_COLOR", "FORCE_COLOR")
PROGRAM = str(Path(sys.executable).parent / "ecs-scheduler")


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a Valkey server of this test session."""
    with EmbeddedValkey() as server:
        yield server.url


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, and an environment without any setting."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    # Neither the machine's own AWS settings nor its metadata service shall be asked.
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def queue_name(bare: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh queue that the environment names."""
    name = f"test-{uuid.uuid4().hex}"
    monkeypatch.setenv("ECS_SCHEDULER_REDIS_URL", valkey)
    monkeypatch.setenv("ECS_SCHEDULER_QUEUE", name)
    return name


@pytest.fixture
def own_logging() -> Iterator[None]:
    """`run` sets up logging for the whole process; afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def cli(bare: Path, own_logging: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run `ecs-scheduler` with these arguments in this process."""

    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def program(bare: Path) -> Callable[..., Answer]:
    """Run `ecs-scheduler` as a program, with `stdin` as its input."""

    def run(*arguments: str, stdin: str = "") -> Answer:
        done = subprocess.run(
            [PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_queue(queue_name: str, valkey: str) -> Callable[[Callable[[Queue], Any]], Any]:
    """Do something with the queue directly: `on_queue(lambda queue: queue.counts())`."""

    def do(what: Callable[[Queue], Coroutine[Any, Any, Any]]) -> Any:
        async def connected() -> Any:
            async with open_queue(Config(redis_url=valkey, queue=queue_name)) as queue:
                return await what(queue)

        return asyncio.run(connected())

    return do


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of moto's server."""
    from moto.server import ThreadedMotoServer  # here, because it takes a second

    # It would log each request to the stderr of the test that began it, closed by then.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto: str, queue_name: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An account at moto's, where the commands of this test go."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    name = f"family-{uuid.uuid4().hex}"
    ecs, logs = (boto3.client(each, region_name="us-east-1") for each in ("ecs", "logs"))
    ecs.create_cluster(clusterName="default")
    logs.create_log_group(logGroupName=name)
    return Cloud(ecs, logs, name)
