"""The seam to Amazon SQS: where EventBridge puts the events of a cluster.

Messages come at least once and in any order; one that is not deleted comes again.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from ecs_scheduler.ecs.call_errors import mapped_error
from ecs_scheduler.errors import CallRefused, SchedulerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiobotocore.session import AioSession

RECEIVED_AT_ONCE = 10
LONGEST_ANSWER_S = 30
VISIBLE_AGAIN_S = 20
"""When what was not deleted comes again, to whoever reads then."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its receipt deletes it."""

    receipt: str
    body: str


class EventQueue:
    """One queue that EventBridge sends a cluster's events to."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    async def receive(self, wait_s: int) -> tuple[Message, ...]:
        """Up to ten messages, waited for up to 20 s. Raises EcsCallError or AwsRefused."""
        try:
            answer = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=RECEIVED_AT_ONCE,
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=VISIBLE_AGAIN_S,
            )
        except (BotoCoreError, ClientError) as error:
            raise self._explained("ReceiveMessage", error) from error
        return tuple(
            Message(each.get("ReceiptHandle", ""), each.get("Body", ""))
            for each in answer.get("Messages", ())
        )

    async def delete(self, messages: Sequence[Message]) -> None:
        """These were dealt with. Raises EcsCallError or AwsRefused; then they come again."""
        entries = [
            {"Id": str(number), "ReceiptHandle": each.receipt}
            for number, each in enumerate(messages)
        ]
        try:
            await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise self._explained("DeleteMessageBatch", error) from error

    def _explained(self, operation: str, error: BotoCoreError | ClientError) -> SchedulerError:
        """What is refused for another reason than credentials, for a queue that is not there above
        all, names the setting.
        """
        mapped = mapped_error(operation, error)
        if isinstance(mapped, CallRefused):
            where = f"{mapped.message}; check --events-queue-url, which says {self._url}"
            return CallRefused(operation, mapped.code, where)
        return mapped


@asynccontextmanager
async def open_event_queue(
    session: AioSession, url: str, config: AioConfig, options: Mapping[str, Any]
) -> AsyncIterator[EventQueue]:
    """A client for the queue at this URL, which names the endpoint and mostly the Region."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    where = {"endpoint_url": f"{parts.scheme}://{parts.netloc}"}
    if len(labels) > 2 and labels[0] == "sqs":
        where["region_name"] = labels[1]
    patient = config.merge(AioConfig(read_timeout=LONGEST_ANSWER_S))
    async with session.create_client("sqs", config=patient, **{**options, **where}) as client:
        yield EventQueue(client, url)
