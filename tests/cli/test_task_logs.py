"""What the containers of a task wrote, read from CloudWatch Logs as moto's server plays it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.cli.cloud import NOW, Cloud

from ecs_queue.client import Queue
from ecs_queue.job import Job, JobId
from ecs_queue.retrying import Retry
from ecs_queue.states import Intent, LaunchToken, OwnerId, Started, Succeeded, TaskArn, TaskFailed
from ecs_scheduler.cli.output import time_shown
from ecs_scheduler.cli.task_logs import LINGER_LOOKS, until_ended
from ecs_scheduler.ecs.container_logs import Line, LogReader, Stream, streams_of
from ecs_scheduler.errors import AwsRefused, NoLogs

TASK = TaskArn("arn:aws:ecs:us-east-1:123456789012:task/jobs/0123abc")


Did = Callable[[Queue], Awaitable[None]]


def ran(family: str, *tasks: tuple[TaskArn, Succeeded | TaskFailed | None]) -> Did:
    """A job `a` that was launched as these tasks, one after the other."""

    async def run(queue: Queue) -> None:
        retry = Retry(attempts=9, backoff_s=0)
        await queue.submit([Job(id=JobId("a"), task_definition=family, retry=retry)])
        for number, (task, verdict) in enumerate(tasks):
            await queue.open_lease(OwnerId("me"), lease_ms=60_000)
            (claim,) = await queue.claim(OwnerId("me"), 1)
            token = LaunchToken(f"token-{number}")
            intent = Intent(claim.job.id, claim.epoch, None)
            await queue.intend(OwnerId("me"), token, "RunTask", [intent])
            await queue.settle(token, [Started(claim.job.id, task, None)])
            if verdict is not None:
                await queue.finish(task, verdict)

    return run


def test_the_logs_of_a_job(cli: Callable[..., Any], on_queue: Any, cloud: Cloud) -> None:
    """Of every container that logs there, by time; or of one of them; or as JSON."""
    cloud.define(
        {"name": "main", "logConfiguration": cloud.awslogs(**{"awslogs-stream-prefix": "p"})},
        {"name": "side", "logConfiguration": cloud.awslogs(**{"awslogs-stream-prefix": "q"})},
        {"name": "mute"},
    )
    on_queue(ran(cloud.name, (TASK, None)))
    cloud.write("p/main/0123abc", "one", "three\x1b[31m", at_ms=NOW)
    cloud.write("q/side/0123abc", "two", at_ms=NOW)
    answer, at = cli("logs", "a"), time_shown(NOW)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [
        f"{at}  main  one",
        f"{at}  side  two",
        f"{at}  main  three [31m",
    ]
    assert cli("logs", "a", "--container", "side").out == f"{at}  two\n"
    first, *_ = cli("logs", "a", "-o", "json").out.splitlines()
    assert json.loads(first) == {"container": "main", "at_ms": NOW, "message": "one"}


def test_each_attempt_has_its_own(cli: Callable[..., Any], on_queue: Any, cloud: Cloud) -> None:
    """--attempt counts from 1; without it, the latest."""
    logs = cloud.awslogs(**{"awslogs-stream-prefix": "p"})
    cloud.define({"name": "main", "logConfiguration": logs})
    first, second = TaskArn(f"{TASK}1"), TaskArn(f"{TASK}2")
    on_queue(ran(cloud.name, (first, TaskFailed("exit code 1", 1)), (second, Succeeded())))
    cloud.write("p/main/0123abc1", "broke")
    cloud.write("p/main/0123abc2", "worked")
    assert cli("logs", "a").out.endswith("worked\n")
    assert cli("logs", "a", "--attempt", "1").out.endswith("broke\n")
    assert cli("logs", "a", "--attempt", "2", "--follow").out.endswith("worked\n")
    wrong = cli("logs", "a", "--attempt", "3")
    assert (wrong.code, wrong.out) == (2, "")
    assert "job a has the attempts 1 to 2" in wrong.err


def test_what_cannot_be_shown_says_why(
    cli: Callable[..., Any], on_queue: Any, cloud: Cloud
) -> None:
    """No task yet, nothing written yet, no awslogs."""
    cli("submit", cloud.name, "--id", "waits")
    answer = cli("logs", "waits")
    assert (answer.code, "has had no task yet: RUNNABLE" in answer.err) == (1, True)
    cli("submit", cloud.name, "--id", "array", "--array-size", "2")
    answer = cli("logs", "array")
    assert (answer.code, "name one, such as array:0" in answer.err) == (2, True)
    cli("cancel", "waits", "array")
    on_queue(ran(cloud.name, (TASK, None)))
    cloud.define({"name": "main"})
    answer = cli("logs", "a")
    assert answer.code == 1
    assert (
        "no container of this task logs to CloudWatch (main: has no logConfiguration)" in answer.err
    )
    cloud.define(
        {"name": "main", "logConfiguration": cloud.awslogs(**{"awslogs-stream-prefix": "p"})}
    )
    answer = cli("logs", "a")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "nothing there yet in p/main/0123abc\n"
    assert cli("logs", "nobody").code == 1


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        ({"logDriver": "awslogs", "options": {"awslogs-group": "g"}}, "dockers-id"),
        (
            {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "g", "awslogs-stream-prefix": "p"},
            },
            "p/main/0123abc",
        ),
        ({"logDriver": "awslogs", "options": {}}, "main: has no awslogs-group"),
        ({"logDriver": "awsfirelens"}, "main: its log driver is awsfirelens"),
        (None, "main: has no logConfiguration"),
    ],
)
def test_where_a_container_logs(configuration: dict[str, Any] | None, found: str) -> None:
    """By the prefix, or by Docker's id; otherwise the message says what is missing."""
    containers: list[dict[str, Any]] = [{"name": "main", "logConfiguration": configuration}]
    if ":" in found:
        with pytest.raises(NoLogs, match=found):
            streams_of(containers, TASK, {"main": "dockers-id"})
    else:
        (stream,) = streams_of(containers, TASK, {"main": "dockers-id"})
        assert stream == Stream("main", "g", found, None)


def test_a_container_that_is_not_there() -> None:
    """The others are named; and without a prefix Docker's id is needed."""
    awslogs = {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}
    containers: list[dict[str, Any]] = [
        {"name": "main", "logConfiguration": awslogs},
        {"name": "side"},
    ]
    with pytest.raises(NoLogs, match="no container 'mian'; it has main, side"):
        streams_of(containers, TASK, {}, "mian")
    with pytest.raises(NoLogs, match="ECS does not know its runtime id any more"):
        streams_of(containers, TASK, {})


class Growing:
    """A log stream that gains lines between two looks, in GetLogEvents' pages."""

    def __init__(self, *looks: list[str]) -> None:
        self.pages = list(looks)
        self.asked: list[str | None] = []

    async def get_log_events(self, **request: Any) -> dict[str, Any]:
        token = request.get("nextToken")
        self.asked.append(token)
        at = int(token or 0)
        messages = self.pages[at] if at < len(self.pages) else []
        events = [{"timestamp": NOW + at, "message": each} for each in messages]
        return {"events": events, "nextForwardToken": str(min(at + 1, len(self.pages)))}


async def test_following_shows_each_line_once_and_ends_with_the_task() -> None:
    """Pages are read to their end; after the task's end it looks some times more."""
    growing = Growing(["a", "b"], ["c"])
    reader = LogReader({None: growing}, [Stream("main", "g", "s", None)])
    shown: list[Line] = []
    looks = iter([True, False])

    async def still_runs() -> bool:
        growing.pages.append([f"after look {len(growing.asked)}"])
        return next(looks, False)

    await until_ended(reader, still_runs, shown.extend, pause=no_pause)
    messages = [each.message for each in shown]
    assert messages[:3] == ["a", "b", "c"]
    assert len(messages) == len(set(messages)) == 3 + LINGER_LOOKS + 1


async def no_pause(seconds: float) -> None:
    """Time passes at once."""


async def test_refusals_name_the_permission(cloud: Cloud) -> None:
    """What is missing in the role is in the message."""

    class Refusing:
        async def get_log_events(self, **request: Any) -> Any:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(error, "GetLogEvents")

    reader = LogReader({None: Refusing()}, [Stream("main", "g", "s", None)])
    with pytest.raises(AwsRefused, match=r"log group g .*logs:GetLogEvents"):
        await reader.fresh()
