"""The faulty endpoint behind the service's own seam, without botocore in between: a tenth of the
work. The SDK's retries of SQS are imitated; what it really does is left to the seeds over HTTP.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError, HTTPClientError

from ecs_scheduler.ecs.client import Ecs, budget_of
from ecs_scheduler.ecs.event_queue import EventQueue
from ecs_scheduler.simulate.direct_ecs import DirectClient, client_error
from ecs_simulator.errors import EcsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from ecs_scheduler.clock import Clock
    from ecs_scheduler.config import Config
    from ecs_scheduler.fuzz.ecs_faults import Endpoint
    from ecs_simulator import SimulatedEcs

URL = "https://ecs.simulated"
ATTEMPTS = 3
"""The SDK's standard retries, as `ecs.client.connect` sets them for SQS."""

LOOK_AGAIN_S = (0.25, 2.0)
"""Pauses of a long poll at SQS between two looks for a message, when something is due or not."""


def connect(endpoint: Endpoint, config: Config, clock: Clock) -> Ecs:
    """The service's seam to ECS and SQS."""
    ecs = Ecs(cast("Any", _Client(endpoint)), config.cluster, budget_of(config, clock))
    if config.events_queue_url is not None:
        ecs.events = EventQueue(_SqsClient(endpoint), config.events_queue_url)
    return ecs


class _Client(DirectClient):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.ecs)
        self._endpoint = endpoint

    async def answered(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return await self._endpoint.carried(_EcsRequest(self._ecs, operation, request))


class _SqsClient:
    """The two operations that EventQueue uses."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def receive_message(self, **request: Any) -> dict[str, Any]:
        return await self._answered("ReceiveMessage", request)

    async def delete_message_batch(self, **request: Any) -> dict[str, Any]:
        return await self._answered("DeleteMessageBatch", request)

    async def _answered(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        carried = _SqsRequest(self._endpoint.ecs, operation, request)
        return await _tried(self._endpoint, carried)


async def _tried(endpoint: Endpoint, request: _EcsRequest) -> dict[str, Any]:
    """Send a request up to ATTEMPTS times, with the pauses of the SDK's standard mode."""
    for attempt in range(ATTEMPTS):
        try:
            return await endpoint.carried(request)
        except (ClientError, HTTPClientError) as error:
            if attempt == ATTEMPTS - 1 or not _transient(error):
                raise
        await asyncio.sleep(random.random() * 2**attempt)
    raise AssertionError("no attempt was allowed")


def _transient(error: ClientError | HTTPClientError) -> bool:
    if isinstance(error, HTTPClientError):
        return True
    throttled = error.response["Error"]["Code"] == "ThrottlingException"
    return throttled or bool(error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500)


class _EcsRequest:
    """A request as the dictionary that the service made of it."""

    url = URL

    def __init__(self, ecs: SimulatedEcs, operation: str, request: Mapping[str, Any]) -> None:
        self.operation = operation
        self._ecs = ecs
        self._request = request

    def parameters(self) -> Mapping[str, Any]:
        return self._request

    async def served(self) -> dict[str, Any]:
        try:
            return self._ecs.call(self.operation, self._request)
        except EcsError as error:
            raise client_error(self.operation, error) from error

    def refused(self, status: int, code: str, message: str) -> dict[str, Any]:
        raise client_error(self.operation, EcsError(code, message, status))

    async def shortened(self, answer: dict[str, Any], rng: Random) -> dict[str, Any]:
        tasks = list(answer.get("tasks", ()))
        if tasks:
            tasks.pop(rng.randrange(len(tasks)))
        return {**answer, "tasks": tasks}


class _SqsRequest(_EcsRequest):
    """The same for SQS; to receive is to wait for a message."""

    async def served(self) -> dict[str, Any]:
        ecs, left = self._ecs, float(self._request.get("WaitTimeSeconds", 0))
        while True:
            answer = ecs.call_sqs(self.operation, self._request)
            if left <= 0 or answer:
                return answer
            due = ecs.next_event_at()
            shortest, longest = LOOK_AGAIN_S
            ahead = longest if due is None else due - ecs.region.now
            pause = min(left, longest, max(shortest, ahead))
            await asyncio.sleep(pause)
            left -= pause
