"""A test kit of real processes (schedulers, a simulated ECS, a faulty wire between them), and the
servers of the fuzzer.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest

from ecs_scheduler.fuzz.servers import Servers

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Valkey servers for the fuzzer, started once; each run begins with an empty one."""
    with Servers() as servers:
        yield servers


@dataclass(frozen=True)
class Wire:
    """Shares of answers that meet a fault on their way."""

    cut: float = 0.0
    """The connection is reset; the request was served."""
    silent: float = 0.0
    """The connection stays open and says nothing more."""
    slow: float = 0.0
    """The answer comes a second later."""


class FaultyProxy:
    """Forwards TCP connections to one port of this machine, badly."""

    def __init__(self, upstream_port: int, wire: Wire, seed: int = 1) -> None:
        self._upstream_port = upstream_port
        self._wire = wire
        self._rng = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopped.wait()
        server.close()

    async def _connection(self, down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        up, out = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            async with asyncio.TaskGroup() as both:
                requests = both.create_task(self._pump(down, out, faulty=False))
                both.create_task(self._pump(up, back, faulty=True))
                requests.add_done_callback(lambda _: out.close())
        except* OSError:
            """Cut: by us or by one of the two."""
        finally:
            for writer in (back, out):
                with contextlib.suppress(OSError):
                    writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, faulty: bool
    ) -> None:
        while data := await source.read(65536):
            drawn = self._rng.random() if faulty else 1.0
            if drawn < self._wire.cut:
                raise ConnectionResetError
            if drawn < self._wire.cut + self._wire.silent:
                await asyncio.sleep(10)
                raise ConnectionResetError
            if drawn < self._wire.cut + self._wire.silent + self._wire.slow:
                await asyncio.sleep(1)
            sink.write(data)
            await sink.drain()


@pytest.fixture
def ecs_port() -> Iterator[int]:
    """A simulated ECS in a process of its own; its cluster is called demo."""
    command = [str(BIN / "ecs-simulator"), "serve", "--port", "0", "--instances", "6"]
    server = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield int(server.stdout.readline().split()[3].rpartition(":")[2].rstrip("/"))
    server.terminate()
    server.wait(timeout=10)
    server.stdout.close()


@pytest.fixture
def ecs(ecs_port: int) -> Any:
    """A client of the simulated ECS, past every fault, with a task definition to use."""
    client = boto3.client(
        "ecs",
        endpoint_url=f"http://127.0.0.1:{ecs_port}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    container = {"name": "main", "image": "busybox", "cpu": 512, "memory": 256}
    client.register_task_definition(family="batch", containerDefinitions=[container])
    return client


@pytest.fixture
def faulty_wire(ecs_port: int) -> Iterator[Callable[[Wire], int]]:
    """Put a faulty proxy before the simulated ECS; answers its port."""
    with contextlib.ExitStack() as stack:
        yield lambda wire: stack.enter_context(FaultyProxy(ecs_port, wire)).port


@pytest.fixture
def scheduler() -> Iterator[Callable[[str, int], "subprocess.Popen[bytes]"]]:
    """Start `ecs-scheduler run` on a Redis URL and an ECS port; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(redis_url: str, port: int) -> "subprocess.Popen[bytes]":
        flags = ["--redis-url", redis_url, "--endpoint-url", f"http://127.0.0.1:{port}"]
        flags += ["--cluster", "demo", "--no-http", "--track-interval-s", "0.5"]
        flags += ["--lease-s", "3", "--settle-after-s", "5", "--certain-after-s", "10"]
        flags += ["--ecs-connect-timeout-s", "1", "--ecs-read-timeout-s", "2"]
        started.append(subprocess.Popen([BIN / "ecs-scheduler", "run", *flags], env=ENVIRONMENT))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.wait()
