"""Looking at jobs, cancelling them and waiting for them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from ecs_queue.assignment import ask
from ecs_queue.client import Queue
from ecs_queue.job import Job, JobId
from ecs_queue.states import (
    InstanceArn,
    Intent,
    LaunchToken,
    OwnerId,
    Started,
    Succeeded,
    TaskArn,
    TaskFailed,
    Verdict,
)

OWNER, TOKEN = OwnerId("me"), LaunchToken("token")
TASK, INSTANCE = TaskArn("arn:task/1"), InstanceArn("arn:instance/1")


def launched(job_id: str, verdict: Verdict | None = None) -> Callable[[Queue], Awaitable[None]]:
    """Bring a job to STARTING on an instance, and to its end if there is a verdict."""

    async def launch(queue: Queue) -> None:
        if not await queue.states([JobId(job_id)]):
            await queue.submit([Job(id=JobId(job_id), task_definition="etl")])
        await queue.open_lease(OWNER, lease_ms=60_000)
        (claim,) = await queue.claim(OWNER, 1)
        intent = Intent(claim.job.id, claim.epoch, INSTANCE)
        await queue.intend(OWNER, TOKEN, "StartTask", [intent])
        await queue.settle(TOKEN, [Started(claim.job.id, TASK, INSTANCE)])
        if verdict is not None:
            await queue.finish(TASK, verdict)

    return launch


def test_jobs_are_listed_with_their_reason(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """One line a job; the totals go to standard error."""
    on_queue(launched("a"))
    cli("submit", "etl:2", "--id", "b", "--priority", "5")
    answer = cli("jobs")
    header, first, second = answer.out.splitlines()
    assert header.split() == [
        "ID",
        "STATE",
        "PRIORITY",
        "SUBMITTED",
        "TASK",
        "DEFINITION",
        "REASON",
    ]
    assert first.split()[:3] == ["a", "STARTING", "0"]
    assert second.split()[:3] == ["b", "RUNNABLE", "5"]
    assert second.endswith("etl:2            waiting for its turn")
    assert answer.err == "in all: 1 RUNNABLE, 1 STARTING\n"


def test_jobs_can_be_filtered_and_paged(cli: Callable[..., Any], queue_name: str) -> None:
    """--state, --limit and --offset choose; -o json prints one array."""
    for job_id in "abc":
        cli("submit", "etl", "--id", job_id)
    cli("cancel", "b")
    page = json.loads(cli("jobs", "--limit", "1", "--offset", "1", "-o", "json").out)
    assert [each["id"] for each in page] == ["c"]
    cancelled = json.loads(cli("jobs", "--state", "CANCELLED", "-o", "json").out)
    assert [(each["id"], each["state"]) for each in cancelled] == [("b", "CANCELLED")]


def test_one_job_shows_its_attempts(cli: Callable[..., Any], on_queue: Callable[..., Any]) -> None:
    """`job` tells the state, the reason, the exit code and each past attempt."""
    on_queue(launched("a", TaskFailed("container main exited with 3", exit_code=3)))
    text = cli("job", "a").out
    assert "state:                   FAILED\n" in text
    assert "reason:                  container main exited with 3\n" in text
    assert "exit code:               3\n" in text
    header, attempt = text.splitlines()[-2:]
    names = ["NO", "LAUNCHED", "STARTED", "ENDED", "EXIT", "INSTANCE", "TASK", "REASON"]
    assert header.split() == names
    number, launched_at, started_at, _, exit_code, instance, task, reason = attempt.split(None, 7)
    assert (number, started_at, exit_code) == ("1", "-", "3")
    assert launched_at.startswith("20")
    assert (instance, task, reason) == ("1", "arn:task/1", "container main exited with 3")
    record = json.loads(cli("job", "a", "-o", "json").out)
    assert (record["state"], record["exit_code"]) == ("FAILED", 3)
    assert record["attempts"][0]["task_arn"] == "arn:task/1"
    assert record["job"] == {"id": "a", "task_definition": "etl"}


def test_an_unknown_job_is_exit_code_one(cli: Callable[..., Any], queue_name: str) -> None:
    """There is no such job, and that is all that is said."""
    answer = cli("job", "nope")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("ecs-scheduler: no job 'nope' in this queue")


def test_cancelling_says_what_became_of_each(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """Waiting jobs end at once, launched ones when their task has stopped."""
    on_queue(launched("running"))
    cli("submit", "etl", "--id", "waiting")
    answer = cli("cancel", "running", "waiting")
    assert (answer.code, answer.out.splitlines()) == (
        0,
        ["running: cancellation requested; its task is being stopped", "waiting: cancelled"],
    )
    assert "cancel requested:        yes" in cli("job", "running").out


def test_what_cannot_be_cancelled_is_exit_code_one(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """A job that ended, or never was, is said to be so; the others are cancelled all the same."""
    on_queue(launched("done", Succeeded()))
    cli("submit", "etl", "--id", "waiting")
    answer = cli("cancel", "done", "nope", "waiting", "-o", "json")
    assert answer.code == 1
    assert json.loads(answer.out) == [
        {"id": "done", "outcome": "ended before, as SUCCEEDED"},
        {"id": "nope", "outcome": "no such job in this queue"},
        {"id": "waiting", "outcome": "cancelled"},
    ]


def test_waiting_for_success_is_exit_code_zero(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """A job that SUCCEEDED is what was waited for."""
    on_queue(launched("a", Succeeded()))
    answer = cli("wait", "a", "--timeout-s", "5")
    assert answer.code == 0
    assert answer.out.splitlines()[1].split()[:2] == ["a", "SUCCEEDED"]


def test_waiting_for_a_failed_job_is_exit_code_four(
    cli: Callable[..., Any], on_queue: Callable[..., Any]
) -> None:
    """The table says which one, and why."""
    on_queue(launched("a", TaskFailed("out of memory", exit_code=137)))
    answer = cli("wait", "a")
    assert answer.code == 4
    assert answer.out.splitlines()[1].split(maxsplit=2) == ["a", "FAILED", "out of memory"]


def test_waiting_can_give_up(cli: Callable[..., Any], queue_name: str) -> None:
    """After --timeout-s the jobs still under way are named, and the exit code is 1."""
    cli("submit", "etl", "--id", "a")
    answer = cli("wait", "a", "--timeout-s", "0.05")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "ecs-scheduler: not ended after 0.05 s: a is RUNNABLE\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jobs", "--state", "DONE"], 'Invalid value "DONE" for --state. Choose from: '),
        (["jobs", "--limit", "0"], "--limit"),
        (["jobs", "--offset", "-1"], "--offset"),
        (["jobs", "-o", "yaml"], 'Invalid value "yaml" for -o'),
        (["job"], "requires an argument"),
        (["cancel"], "cancel: name at least one job id"),
        (["wait"], "wait: name at least one job id"),
        (["events", "--limit", "many"], "--limit"),
    ],
)
def test_bad_usage_is_exit_code_two(
    cli: Callable[..., Any], queue_name: str, arguments: list[str], message: str
) -> None:
    """The flag is named, and how to get help."""
    answer = cli(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_payload_progress_and_result_are_shown(
    cli: Callable[..., Any], on_queue: Callable[..., Any], bare: Path
) -> None:
    """The payload only when it is asked for; from a file it goes in as --payload @FILE."""
    (bare / "payload.json").write_text('{"frame": 42, "to": []}')
    cli("submit", "etl", "--id", "a", "--payload", "@payload.json")

    async def report(queue: Queue) -> None:
        await launched("a")(queue)
        await queue.run(ask("progress", TASK, TOKEN, b"half"))
        await queue.run(ask("result", TASK, TOKEN, b'{"rows": 7}'))

    on_queue(report)
    out = cli("job", "a").out
    assert "\nprogress:                half (20" in out
    assert '\nresult:                  {"rows":7}\n' in out
    assert "payload" not in out
    assert '\npayload:                 {"frame":42,"to":[]}\n' in cli("job", "a", "--payload").out
    found = json.loads(cli("job", "a", "--payload", "-o", "json").out)
    assert found["payload"] == {"frame": 42, "to": []}
    assert (found["result"], found["progress"]["text"]) == ({"rows": 7}, "half")


@pytest.mark.parametrize("given", ["{", "@nowhere.json", '"' + "x" * 262_144 + '"'])
def test_a_payload_that_is_none(cli: Callable[..., Any], queue_name: str, given: str) -> None:
    """No JSON, no file, too large: said so, and nothing is submitted."""
    answer = cli("submit", "etl", "--payload", given)
    assert (answer.code, answer.out) == (2, "")
    assert "payload: " in answer.err


def test_jobs_are_looked_through(cli: Callable[..., Any], queue_name: str) -> None:
    """Everything that is given has to hold."""
    for job_id, family, *flags in (
        ("x-1", "etl:1", "--share", "team", "--tag", "film=7"),
        ("x-2", "etl:2", "--share", "team"),
        ("y-1", "etl:1", "--share", "team", "--tag", "film=7"),
        ("x-3", "render"),
    ):
        cli("submit", family, "--id", job_id, *flags)

    def listed(*flags: str) -> list[str]:
        return [each["id"] for each in json.loads(cli("jobs", "-o", "json", *flags).out)]

    assert listed() == ["x-1", "x-2", "y-1", "x-3"]
    assert listed("--family", "etl", "--prefix", "x-") == ["x-1", "x-2"]
    assert listed("--share", "team", "--tag", "film=7") == ["x-1", "y-1"]
    assert listed("--since", "1h", "--limit", "1", "--offset", "1") == ["x-2"]
    assert listed("--since", "2099-01-01T00:00:00Z") == []
    assert listed("--state", "FAILED") == []


@pytest.mark.parametrize("since", ["yesterday", "5x", "2026-11-26T00:00:00", "-1h"])
def test_a_time_that_is_none(cli: Callable[..., Any], queue_name: str, since: str) -> None:
    """The message shows how it is written."""
    answer = cli("jobs", f"--since={since}")
    assert (answer.code, answer.out) == (2, "")
    assert "30m, 2h or 7d" in answer.err


def test_a_child_shows_its_attempts_until_nobody_knows_them(
    cli: Callable[..., Any], on_queue: Callable[..., Any], queue_name: str, valkey: str
) -> None:
    """Like any job; then what is not known is said, or null, and never shown as zero."""
    cli("submit", "etl", "--id", "p", "--array-size", "2")
    on_queue(launched("p", TaskFailed("exit code 3", 3)))
    shown = cli("job", "p:0").out
    assert "launches:                1\n" in shown
    assert "past attempts:" in shown
    listed = cli("jobs", "--array", "p", "--state", "FAILED").out.splitlines()
    assert listed[0].split() == ["ID", "STATE", "LAUNCHES", "EXIT", "REASON"]
    assert listed[1].split() == ["p:0", "FAILED", "1", "3", "exit", "code", "3"]

    with redis.from_url(valkey) as server:
        server.delete(f"{{q:{queue_name}}}:past:p")
    shown = cli("job", "p:0").out
    assert "launches:                no longer known, nor its times and attempts" in shown
    assert json.loads(cli("job", "p:0", "-o", "json").out)["launches"] is None
    assert cli("jobs", "--array", "p").out.splitlines()[1].split()[:4] == [
        "p:0",
        "FAILED",
        "-",
        "3",
    ]
    logs = cli("logs", "p:0")
    assert (logs.code, logs.err) == (
        1,
        "ecs-scheduler: job p:0 FAILED; which tasks it had is no longer known\n",
    )


def test_wait_looks_once_however_short_the_time(cli: Callable[..., Any], queue_name: str) -> None:
    """What has ended has ended; what has not is named."""
    cli("submit", "etl", "--id", "a")
    answer = cli("wait", "a", "--timeout-s", "0")
    assert (answer.code, answer.err) == (1, "ecs-scheduler: not ended after 0 s: a is RUNNABLE\n")
    cli("cancel", "a")
    assert cli("wait", "a", "--timeout-s", "0").code == 4
    for odd in ("-5", "nan", "inf"):
        assert "--timeout-s" in cli("wait", "a", "--timeout-s", odd).err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["jobs", "--since", "9" * 5000], 2),
        (["submit", "etl", "--not-before", "9" * 5000], 2),
        (["submit", "etl", "--format", "batch"], 2),
        (["jobs", "--array", "p", "--offset", "9" * 30], 0),
        (["graph", "p", "--svg", "nowhere/p.svg"], 2),
        (["graph", "p" * 5000], 1),
        (["submit", "etl", "--id", ""], 2),
        (["job", "\udce9"], 2),
        (["cancel", "p", "\udce9"], 2),
    ],
)
def test_what_is_out_of_all_bounds(
    cli: Callable[..., Any], queue_name: str, arguments: list[str], code: int
) -> None:
    """They are answered in words; so are arguments that are no text."""
    cli("submit", "etl", "--id", "p", "--array-size", "3")
    answer = cli(*arguments)
    assert answer.code == code
    assert len(answer.err) < 6000
    assert "Traceback" not in answer.err
