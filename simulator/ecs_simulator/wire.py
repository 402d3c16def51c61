"""The wire protocol, JSON 1.1: target header and body in, status, headers and body out."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecs_simulator.errors import EcsError, serialization_error
from ecs_simulator.faults import CALM, Mishap
from ecs_simulator.queues import TARGET_PREFIX as SQS_PREFIX
from ecs_simulator.simulation import SimulatedEcs

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113."
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
CONTENT_TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    request_id: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that clients look at."""
        return {
            "content-type": CONTENT_TYPE,
            "content-length": str(len(self.body)),
            "x-amzn-requestid": self.request_id,
        }


def answer(ecs: SimulatedEcs, target: str | None, body: bytes, mishap: Mishap = CALM) -> Answer:
    """Serve one request; every refusal becomes an answer.

    Raises ConnectionCut when the mishap is a lost reply.
    """
    request_id = f"simulated-{ecs.region.next_number():012d}"
    try:
        if target is not None and target.startswith(SQS_PREFIX):
            operation = target.removeprefix(SQS_PREFIX)
            document = ecs.call_sqs(operation, _parsed(body))
            return Answer(200, json.dumps(document).encode(), request_id)
        return Answer(200, ecs.call_encoded(_operation(target), _parsed(body), mishap), request_id)
    except EcsError as error:
        document = {"__type": error.code, "message": error.message, **error.fields}
        return Answer(error.status, json.dumps(document).encode(), request_id)


async def patient_answer(
    ecs: SimulatedEcs, target: str | None, body: bytes, mishap: Mishap, speed: float = 1.0
) -> Answer:
    """The same, but an SQS ReceiveMessage with WaitTimeSeconds waits for a message.

    Simulated seconds pass `speed` times as fast as the event loop's.
    """
    served = answer(ecs, target, body, mishap)
    if target != f"{SQS_PREFIX}ReceiveMessage" or served.body != b"{}":
        return served
    wait_s = _parsed(body).get("WaitTimeSeconds", 0)
    left = float(wait_s) if isinstance(wait_s, int) else 0.0
    while left > 0 and served.body == b"{}":
        due = ecs.next_event_at()
        ahead = 1.0 if due is None else min(1.0, max(0.05, due - ecs.region.now))
        pause = min(left, ahead)
        await asyncio.sleep(pause / speed)
        left -= pause
        served = answer(ecs, target, body)
    return served


def mishap_of(ecs: SimulatedEcs, target: str | None) -> Mishap:
    """Draw the fate of a request; SQS is spared."""
    if target is None or not target.startswith(TARGET_PREFIX):
        return CALM
    return ecs.mishap(target.removeprefix(TARGET_PREFIX))


def _operation(target: str | None) -> str:
    if target is None or not target.startswith(TARGET_PREFIX):
        raise EcsError(
            "InvalidAction", f"Unknown target {target!r}; expected {TARGET_PREFIX}<Operation>"
        )
    return target.removeprefix(TARGET_PREFIX)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
        if _SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()  # half of a character is no text
    except ValueError as error:
        raise serialization_error(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise serialization_error("The body is nested too deeply.") from error
    if not isinstance(document, dict):
        raise serialization_error("The body must be a JSON object.")
    return document
