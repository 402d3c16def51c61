"""SIGTERM and SIGINT: the first asks the service to drain, the second ends the process at once.
SIGHUP reads the policies again.
"""

import asyncio
import os
import signal
from collections.abc import Callable

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def stop_on_signals(stop: Callable[[], None]) -> list[signal.Signals]:
    """Call `stop` at the first SIGTERM or SIGINT and leave at the second; gives what came."""
    received: list[signal.Signals] = []

    def handle(number: signal.Signals) -> None:
        received.append(number)
        if len(received) > 1:
            log.warning("second signal: leaving at once; leases run out by themselves")
            os._exit(128 + number)
        log.info("draining; a second signal leaves at once", signal=number.name)
        stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
    return received


def reload_on_hangup(reload: Callable[[], None]) -> None:
    """Call `reload` at every SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
