"""Runs the HTTP side inside the service's event loop, on a socket that was bound before."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from ecs_scheduler.errors import HttpSideUnavailable

MAX_CONNECTIONS = 500
"""Beyond these, and as many requests, the answer is 503: sockets are what we run out of first."""

GRACE_S = 2
"""How long a stopping server waits for requests under way."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises HttpSideUnavailable."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise HttpSideUnavailable(
            f"the HTTP side cannot listen on {host}:{port}: {reason}; choose "
            "another --http-port (0: any free one) or --http-host, or leave it away with --no-http"
        ) from error


@asynccontextmanager
async def serving(
    app: FastAPI, listener: socket.socket, *, max_connections: int = MAX_CONNECTIONS
) -> AsyncIterator[str]:
    """Serve `app` on `listener` while the context is open; gives the base URL."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="http side")
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait((running, listening), return_when=asyncio.FIRST_COMPLETED)
        host, port = listener.getsockname()[:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        listening.cancel()
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service has its own, and drains first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
