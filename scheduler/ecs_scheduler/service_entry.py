"""Puts the service together for `ecs-scheduler run`: Redis, ECS, the loop, HTTP, signals."""

import asyncio
import signal
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import structlog

from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.interpreter import collecting_seldom, short_turns
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.queue_connection import open_queue
from ecs_scheduler.serving import served
from ecs_scheduler.signals import reload_on_hangup, stop_on_signals
from ecs_scheduler.web.api import Backend, create_app, create_worker_app
from ecs_scheduler.web.server import listen, serving

log = structlog.get_logger(__name__)

STALE_SWEEPS = 4
"""A model that missed this many sweeps is not ready any more."""


async def run_service(config: Config) -> int:
    """Run a scheduler for each pair that is served, until a signal; the process's exit code.

    Raises QueueUnreachable, AwsUnreachable, AwsRefused, ClusterNotFound or HttpSideUnavailable if
    one of them cannot start.
    """
    async with AsyncExitStack() as stack:
        services = [await _put_together(each, stack) for each in served(config)]
        stack.enter_context(collecting_seldom())
        stack.enter_context(short_turns())

        def stop() -> None:
            for service in services:
                service.stop()

        def reload() -> None:
            for service in services:
                service.policies.reload()

        reload_on_hangup(reload)
        received = stop_on_signals(stop)
        await _run_all(services, stop)
    return 130 if received == [signal.SIGINT] else 0


async def _put_together(config: Config, stack: AsyncExitStack) -> Service:
    clock, metrics = SystemClock(), Metrics()
    listener = for_workers = None
    if config.http_port is not None:
        listener = stack.enter_context(listen(config.http_host, config.http_port))
    if config.worker_port is not None:
        for_workers = stack.enter_context(listen(config.worker_host, config.worker_port))
    queue = await stack.enter_async_context(open_queue(config))
    client = await stack.enter_async_context(ecs.connect(config, clock))
    service = Service(config, queue, client, metrics, clock)
    backend = Backend(
        queue=queue,
        status=service.status,
        metrics=metrics,
        new_id=lambda: str(uuid.uuid4()),
        explainer=service.explainer,
        stale_after_s=STALE_SWEEPS * config.sweep_interval_s,
    )
    if listener is not None:
        url = await stack.enter_async_context(serving(create_app(backend), listener))
        log.info("http side listens", url=url, queue=config.queue)
    if for_workers is not None:
        app = create_worker_app(backend)
        url = await stack.enter_async_context(serving(app, for_workers))
        log.info("http side for containers listens", url=url, queue=config.queue)
    return service


async def _run_all(services: Sequence[Service], stop: Callable[[], None]) -> None:
    """Until all have ended; when one breaks, the others stop as at a signal, and then it is told:
    whoever supervises the process has to see it.
    """
    running = [asyncio.create_task(service.run()) for service in services]
    await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
    stop()
    await asyncio.gather(*running, return_exceptions=True)
    for each in running:
        each.result()
