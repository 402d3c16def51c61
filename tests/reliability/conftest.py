"""A test kit of real processes (schedulers, a simulated ECS, a faulty wire between them), and the
servers of the fuzzer.
"""

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
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
    """Shares of what passes, in either direction, that meet a fault on their way."""

    cut: float = 0.0
    """Half of it arrives, then the connection is closed in good order (FIN)."""
    reset: float = 0.0
    """It does not arrive; the connection is reset (RST). If it was an answer, the work was done."""
    half_open: float = 0.0
    """It does not arrive, nor anything after it; the connection stays open and nobody is told."""
    slow: float = 0.0
    """It comes a second later."""


class Fault(Exception):
    """This connection has come to its end."""


class FaultyProxy:
    """Forwards TCP connections to one port of this machine, badly; `happened` counts how."""

    def __init__(self, upstream_port: int, wire: Wire, seed: int = 1) -> None:
        self._upstream_port = upstream_port
        self._wire = wire
        self._rng = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self.happened: Counter[str] = Counter()

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
        silent = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                requests = both.create_task(self._pump(down, out, silent))
                both.create_task(self._pump(up, back, silent))
                requests.add_done_callback(lambda _: out.close())
        except* (OSError, Fault):
            """Ended: by us or by one of the two."""
        finally:
            for writer in (back, out):
                with contextlib.suppress(OSError):
                    writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await source.read(65536):
            fault = self._drawn()
            self.happened[fault] += 1
            if fault == "half-open":
                silent.set()
            if silent.is_set():
                await self._stopped.wait()
                return
            if fault == "reset":
                self._reset(sink)
                raise Fault
            if fault == "slow":
                await asyncio.sleep(1)
            sink.write(data[: len(data) // 2] if fault == "cut" else data)
            await sink.drain()
            if fault == "cut":
                raise Fault

    def _drawn(self) -> str:
        wire = self._wire
        shares = {"cut": wire.cut, "reset": wire.reset, "half-open": wire.half_open}
        shares["slow"] = wire.slow
        shares["none"] = 1 - sum(shares.values())
        return self._rng.choices(tuple(shares), tuple(shares.values()))[0]

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        """No farewell: what is under way is thrown away, and the other side is told so."""
        at_once = struct.pack("ii", 1, 0)
        found = writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()


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
def faulty_wire() -> Iterator[Callable[[int, Wire], FaultyProxy]]:
    """Put a faulty proxy before a port of this machine."""
    with contextlib.ExitStack() as stack:
        yield lambda port, wire: stack.enter_context(FaultyProxy(port, wire))


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
