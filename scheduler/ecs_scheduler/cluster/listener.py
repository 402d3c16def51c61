"""The listener brings a cluster's events into model and tracker, sooner than any look would.

Each is applied by its version, so that it may come twice, late or never; sweep and tracker go on
looking, more seldom noticed. A message is deleted once it is applied, or if it never can be; a Spot
notice stays for as long as it matters, so that a successor hears it too.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import structlog

from ecs_scheduler.ecs.event_queue import RECEIVED_AT_ONCE
from ecs_scheduler.ecs.events import (
    InstanceChanged,
    NotOurs,
    SpotNotice,
    TaskChanged,
    Unusable,
    parse_event,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ecs_scheduler.ecs.container_instances import ContainerInstance
    from ecs_scheduler.ecs.event_queue import EventQueue
    from ecs_scheduler.ecs.tasks import Task
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LISTEN_INTERVAL_S = 0.02
"""Hardly a pause: receiving waits by itself where there is nothing."""

WAIT_S = 10
READERS = 8
"""Requests at once while messages pile up: a request takes ten at most, and there and back."""

NOTICE_KEPT_S = 120.0
"""From a Spot notice to the end of its instance."""

KEPT = "kept"
VERSIONS_KEPT = 100_000
CLOCKS_APART_S = 1.0
"""By how much ECS's clock may be ahead of ours when we take an instance's event for later than a
launch.
"""


class Listener:
    """Reads the events of one cluster; `counts` is by kind of event and what became of it."""

    def __init__(self, around: Around, tracker: Tracker, on_notice: Callable[[str], None]) -> None:
        self._around = around
        self._tracker = tracker
        self._on_notice = on_notice
        self._versions: OrderedDict[str, int] = OrderedDict()
        self.counts: Counter[tuple[str, str]] = Counter()

    def steps(self) -> Iterator[tuple[str, float, Callable[[], Awaitable[None]]]]:
        """What the service repeats, with the pause in seconds; nothing without events."""
        if (queue := self._around.ecs.events) is not None:
            yield "events", LISTEN_INTERVAL_S, partial(self.listen, queue)

    async def listen(self, queue: EventQueue) -> None:
        """Wait for the next messages; where many wait, read on until they are through."""
        if await self._read(queue, WAIT_S) == RECEIVED_AT_ONCE:
            await asyncio.gather(*(self._catch_up(queue) for _ in range(READERS)))

    async def _catch_up(self, queue: EventQueue) -> None:
        while await self._read(queue, wait_s=0) == RECEIVED_AT_ONCE:
            pass

    async def _read(self, queue: EventQueue, wait_s: int) -> int:
        """Receive, apply and delete once; the number of messages."""
        messages, done = await queue.receive(wait_s), []
        for message in messages:
            kind, outcome = await self._apply(message.body)
            self.counts[kind, outcome] += 1
            if outcome != KEPT:
                done.append(message)
        if done:
            await queue.delete(done)
        return len(messages)

    async def _apply(self, body: str) -> tuple[str, str]:
        match parse_event(body, self._around.ecs.cluster_arn):
            case TaskChanged(task):
                return "task", await self._task(task)
            case InstanceChanged(instance, at_ms):
                return "instance", self._instance(instance, at_ms)
            case SpotNotice(ec2_instance_id, at_ms):
                self._on_notice(ec2_instance_id)
                age_s = (self._around.clock.now_ms() - at_ms) / 1000
                return "spot", KEPT if abs(age_s) <= NOTICE_KEPT_S else "applied"
            case NotOurs(kind):
                log.debug("event not for us", kind=kind)
                return "other", "ignored"
            case Unusable(reason):
                log.warning("event cannot be used; deleted", reason=reason, body=body[:200])
                return "other", "unusable"

    async def _task(self, task: Task) -> str:
        if not self._is_news(task.arn, task.version):
            return "old"
        known = await self._tracker.hear(task)
        self._note(task.arn, task.version)
        return "applied" if known else "unknown"

    def _instance(self, instance: ContainerInstance, at_ms: int) -> str:
        if not self._is_news(instance.arn, instance.version):
            return "old"
        self._around.model.hear(instance, self._asked_at(at_ms))
        self._note(instance.arn, instance.version)
        return "applied"

    def _is_news(self, arn: str, version: int) -> bool:
        return version > self._versions.get(arn, -1)

    def _note(self, arn: str, version: int) -> None:
        self._versions[arn] = version
        self._versions.move_to_end(arn)
        if len(self._versions) > VERSIONS_KEPT:
            self._versions.popitem(last=False)

    def _asked_at(self, at_ms: int) -> float:
        """The time of an event on our own clock, rather too early."""
        clock = self._around.clock
        age_s = max(0.0, (clock.now_ms() - at_ms) / 1000)
        return clock.monotonic_s() - age_s - CLOCKS_APART_S
