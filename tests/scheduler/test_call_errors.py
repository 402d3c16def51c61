"""What is known of a call whose connection fails, by aiobotocore's own HTTP on real sockets."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from ecs_queue.states import InstanceArn, LaunchToken
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.errors import CallNotSent, CallUnknown, EcsCallError
from ecs_scheduler.launching.launch_signature import LaunchSignature

SIGNATURE = LaunchSignature("nothing", "{}", None, None, "[]", (), None, False)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def reset(request: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
    """The request was read, and may have been served; then the connection is reset."""
    await request.readuntil(b"\r\n\r\n")
    linger = struct.pack("ii", 1, 0)
    answer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    answer.transport.abort()


async def close(request: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
    """The same, in good order."""
    await request.readuntil(b"\r\n\r\n")
    answer.close()


async def half(request: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
    """The answer breaks off."""
    await request.readuntil(b"\r\n\r\n")
    answer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"tasks":')
    answer.close()


async def silence(request: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """No answer, and no end."""
    await request.read()


async def failure_of_a_launch(port: int, monkeypatch: pytest.MonkeyPatch) -> EcsCallError:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "simulated")
    config = Config(
        endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", ecs_read_timeout_s=0.5
    )
    async with ecs.connect(config, SystemClock()) as client:
        with pytest.raises(EcsCallError) as caught:
            await client.start_task(SIGNATURE, [InstanceArn("i")], LaunchToken("t"))
    return caught.value


@pytest.mark.parametrize("serve", [reset, close, half, silence])
async def test_once_the_request_was_sent_nobody_knows(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the SDK calls it: the tasks may run."""
    over = asyncio.Event()

    async def connected(request: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        await serve(request, answer)
        answer.close()
        with suppress(OSError):
            await answer.wait_closed()
        over.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert isinstance(await failure_of_a_launch(port, monkeypatch), CallUnknown)
    await over.wait()
    server.close()


async def test_without_a_connection_nothing_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        assert isinstance(await failure_of_a_launch(port, monkeypatch), CallNotSent)
