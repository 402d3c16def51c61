"""What the containers of a task wrote, from CloudWatch Logs.

With a stream prefix the awslogs driver writes to PREFIX/CONTAINER/TASK-ID, without one to Docker's
id of the container
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from ecs_scheduler.errors import AwsRefused, AwsUnreachable, NoLogs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ecs_queue.states import TaskArn

PAGES_AT_ONCE = 20
"""Pages of up to 10,000 lines or 1 MB that one look reads of one stream."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Where one container's output goes; `region` None is the client's own."""

    container: str
    group: str
    name: str
    region: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a log stream."""

    container: str
    at_ms: int
    message: str


def streams_of(
    containers: Sequence[Mapping[str, Any]],
    task_arn: TaskArn,
    runtime_ids: Mapping[str, str],
    only: str | None = None,
) -> tuple[Stream, ...]:
    """The streams of a task with these container definitions.

    `runtime_ids` are Docker's ids by container name, as far as ECS still knows them.

    Raises:
        NoLogs: no container (or not the one that is wanted) logs where we can look.
    """
    found: list[Stream] = []
    reasons: list[str] = []
    names = [str(each["name"]) for each in containers]
    if only is not None and only not in names:
        raise NoLogs(f"the task definition has no container {only!r}; it has {', '.join(names)}")
    for container in containers:
        name = str(container["name"])
        if only in (None, name):
            stream = _stream(name, container.get("logConfiguration") or {}, task_arn, runtime_ids)
            if isinstance(stream, Stream):
                found.append(stream)
            else:
                reasons.append(f"{name}: {stream}")
    if not found:
        raise NoLogs(
            "no container of this task logs to CloudWatch (" + "; ".join(reasons) + "); give it a "
            "logConfiguration with logDriver awslogs, and awslogs-group and awslogs-stream-prefix"
        )
    return tuple(found)


def _stream(
    name: str, configuration: Mapping[str, Any], task_arn: TaskArn, runtime_ids: Mapping[str, str]
) -> Stream | str:
    driver, options = configuration.get("logDriver"), configuration.get("options") or {}
    if driver is None:
        return "has no logConfiguration"
    if driver != "awslogs":
        return f"its log driver is {driver}"
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if not group:
        return "has no awslogs-group"
    if not prefix and name not in runtime_ids:
        return "has no awslogs-stream-prefix, and ECS does not know its runtime id any more"
    task_id = task_arn.rpartition("/")[2]
    stream = f"{prefix}/{name}/{task_id}" if prefix else runtime_ids[name]
    return Stream(name, group, stream, options.get("awslogs-region"))


class LogReader:
    """Reads streams from their beginning, each call going on where the last one stopped."""

    def __init__(self, clients: Mapping[str | None, Any], streams: Sequence[Stream]) -> None:
        self._clients = clients
        self._streams = streams
        self._tokens: dict[Stream, str] = {}

    async def fresh(self) -> list[Line]:
        """Lines that were not read before, by their time. Raises AwsUnreachable or AwsRefused."""
        lines = [line for stream in self._streams for line in await self._of(stream)]
        return sorted(lines, key=lambda line: line.at_ms)

    async def _of(self, stream: Stream) -> list[Line]:
        lines: list[Line] = []
        for _ in range(PAGES_AT_ONCE):
            token = self._tokens.get(stream)
            page = await self._page(stream, token)
            if page is None:
                break
            lines += [
                Line(stream.container, event["timestamp"], event["message"])
                for event in page["events"]
            ]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token:
                break  # the end, for now
        return lines

    async def _page(self, stream: Stream, token: str | None) -> dict[str, Any] | None:
        """GetLogEvents; None while the stream is not there: the container did not write yet."""
        more = {"nextToken": token} if token else {"startFromHead": True}
        try:
            page: dict[str, Any] = await self._clients[stream.region].get_log_events(
                logGroupName=stream.group, logStreamName=stream.name, **more
            )
        except ClientError as error:
            answer = error.response["Error"]
            if answer["Code"] == "ResourceNotFoundException":
                return None
            raise AwsRefused(
                f"CloudWatch Logs refuses log group {stream.group} ({answer['Code']}: "
                f"{answer.get('Message', '')}); logs needs the permission logs:GetLogEvents on it"
            ) from error
        except BotoCoreError as error:
            raise AwsUnreachable(f"CloudWatch Logs does not answer ({error})") from error
        return page


@asynccontextmanager
async def open_logs(
    streams: Sequence[Stream], region: str | None, profile: str | None
) -> AsyncIterator[LogReader]:
    """A reader of these streams; AWS_ENDPOINT_URL_LOGS names another endpoint than AWS's own."""
    async with AsyncExitStack() as stack:
        clients: dict[str | None, Any] = {}
        for each in {stream.region for stream in streams}:
            try:
                session = AioSession(profile=profile)
                client = session.create_client("logs", region_name=each or region)
                clients[each] = await stack.enter_async_context(client)
            except (BotoCoreError, ValueError) as error:
                raise AwsRefused(f"cannot set up the AWS client for logs: {error}") from error
        yield LogReader(clients, streams)
