"""Simulated SQS standard queues, as far as a consumer of events needs them.

At least once: a message that is not deleted within its visibility timeout comes again.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ecs_simulator.errors import EcsError
from ecs_simulator.fields import Request, integer, structs, text

MAX_MESSAGES = 10
DEFAULT_VISIBILITY_S = 30
TARGET_PREFIX = "AmazonSQS."


@dataclass(slots=True)
class _Message:
    id: str
    body: str
    sent_at: float
    visible_at: float
    receipt: str = ""
    receives: int = 0


class SimulatedQueue:
    """One standard queue."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.sent = 0
        self._messages: OrderedDict[str, _Message] = OrderedDict()

    def send(self, body: str, at: float) -> str:
        """Put a message in; its id."""
        self.sent += 1
        identity = f"{self.name}-{self.sent:08d}"
        self._messages[identity] = _Message(identity, body, at, at)
        return identity

    def receive(self, most: int, visibility_s: float, at: float) -> list[dict[str, Any]]:
        """Up to `most` visible messages, which are then invisible for `visibility_s`."""
        taken = []
        for message in self._messages.values():
            if message.visible_at > at:
                continue
            message.receives += 1
            message.visible_at = at + visibility_s
            message.receipt = f"{message.id}#{message.receives}"
            taken.append(
                {
                    "MessageId": message.id,
                    "ReceiptHandle": message.receipt,
                    "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
                    "Body": message.body,
                    "Attributes": {"ApproximateReceiveCount": str(message.receives)},
                }
            )
            if len(taken) == most:
                break
        return taken

    def delete(self, receipt: str) -> None:
        """Take out a message; an outdated receipt does so too, an unknown one does nothing."""
        self._messages.pop(receipt.partition("#")[0], None)

    def counts(self, at: float) -> tuple[int, int]:
        """Messages that are visible, and that are being worked on."""
        visible = sum(message.visible_at <= at for message in self._messages.values())
        return visible, len(self._messages) - visible


class Queues:
    """The queues of one account and Region, and their part of the SQS API."""

    def __init__(self, region: str, account: str) -> None:
        self._prefix = f"https://sqs.{region}.amazonaws.com/{account}/"
        self._by_name: dict[str, SimulatedQueue] = {}
        self._operations: Mapping[str, Callable[[Request, float], dict[str, Any]]] = {
            "CreateQueue": self._create,
            "GetQueueUrl": self._url,
            "GetQueueAttributes": self._attributes,
            "SendMessage": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
        }

    def queue(self, name: str) -> SimulatedQueue:
        """The queue of this name; made if it is missing."""
        if name not in self._by_name:
            self._by_name[name] = SimulatedQueue(name, self._prefix + name)
        return self._by_name[name]

    def call(self, operation: str, request: Request, at: float) -> dict[str, Any]:
        """One SQS request."""
        handler = self._operations.get(operation)
        if handler is None:
            raise EcsError(
                "InvalidAction", f"The action {operation} is not valid for this endpoint."
            )
        return handler(request, at)

    def _found(self, request: Request) -> SimulatedQueue:
        url = text(request, "QueueUrl") or text(request, "QueueName") or ""
        found = self._by_name.get(url.rpartition("/")[2])
        if found is None:
            raise EcsError(
                "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist."
            )
        return found

    def _create(self, request: Request, _: float) -> dict[str, Any]:
        return {"QueueUrl": self.queue(text(request, "QueueName") or "default").url}

    def _url(self, request: Request, _: float) -> dict[str, Any]:
        return {"QueueUrl": self._found(request).url}

    def _attributes(self, request: Request, at: float) -> dict[str, Any]:
        visible, hidden = self._found(request).counts(at)
        return {
            "Attributes": {
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(hidden),
            }
        }

    def _send(self, request: Request, at: float) -> dict[str, Any]:
        body = text(request, "MessageBody") or ""
        identity = self._found(request).send(body, at)
        return {"MessageId": identity, "MD5OfMessageBody": hashlib.md5(body.encode()).hexdigest()}

    def _receive(self, request: Request, at: float) -> dict[str, Any]:
        most = integer(request, "MaxNumberOfMessages", 1)
        if not 1 <= most <= MAX_MESSAGES:
            raise EcsError("InvalidParameterValue", "MaxNumberOfMessages is between 1 and 10.")
        visibility = integer(request, "VisibilityTimeout", DEFAULT_VISIBILITY_S)
        messages = self._found(request).receive(most, visibility, at)
        return {"Messages": messages} if messages else {}

    def _delete(self, request: Request, _: float) -> dict[str, Any]:
        self._found(request).delete(text(request, "ReceiptHandle") or "")
        return {}

    def _delete_batch(self, request: Request, _: float) -> dict[str, Any]:
        queue, done = self._found(request), []
        for entry in structs(request, "Entries"):
            queue.delete(text(entry, "ReceiptHandle") or "")
            done.append({"Id": entry.get("Id")})
        return {"Successful": done, "Failed": []}
