"""The simulated ECS as an HTTP server for the AWS CLI, boto3 and anything else that speaks JSON
1.1."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from ecs_simulator.control import Control
from ecs_simulator.errors import ConnectionCut, InvariantBroken
from ecs_simulator.simulation import SimulatedEcs
from ecs_simulator.wire import mishap_of, patient_answer

MAX_BODY_BYTES = 1 << 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a simulator is served: simulated seconds in a real one, whether and how its clock can
    jump, and whom to tell when it contradicts itself."""

    speed: float = 1.0
    skip: Callable[[float], None] | None = None
    broken: Callable[[InvariantBroken], None] | None = None


def application(ecs: SimulatedEcs, serving: Serving) -> web.Application:
    """Serves every operation at `/`, as AWS does, `GET /healthz` and the control endpoint."""
    speed = serving.speed

    async def operation(request: web.Request) -> web.Response:
        target, body = request.headers.get("X-Amz-Target"), await request.read()
        mishap = mishap_of(ecs, target)
        if mishap.delay_before_s:
            await asyncio.sleep(mishap.delay_before_s / speed)
        try:
            served = await patient_answer(ecs, target, body, mishap, speed)
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        except InvariantBroken as error:
            if serving.broken is not None:
                serving.broken(error)
            return web.Response(status=500, text=str(error))
        back = mishap.delay_after_s + ecs.options.latency_s
        if back:
            await asyncio.sleep(back / speed)
        return web.Response(status=served.status, body=served.body, headers=served.headers)

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "now": ecs.region.now})

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_gone_clients])
    app.router.add_post("/", operation)
    app.router.add_get("/healthz", health)
    app.router.add_routes(Control(ecs, serving.skip).routes())
    return app


@web.middleware
async def _gone_clients(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A client that goes away in the middle of its request is its own affair, not an error of ours:
    whoever does not read our stderr must not be stopped by it."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response(status=400)


async def start(
    ecs: SimulatedEcs, host: str, port: int, serving: Serving = Serving()
) -> tuple[web.AppRunner, int]:
    """Start serving; the runner to clean up and the port (chosen by the system when 0). OSError
    when it is taken."""
    runner = web.AppRunner(application(ecs, serving), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; to be made before anybody is told that we serve."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped
