"""`explain` and `plan` against a running service with its HTTP side, on a simulated ECS."""

import asyncio
import json
import re
import shlex
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from ecs_queue.job import Job, JobId
from ecs_scheduler.clock import SystemClock
from ecs_scheduler.config import Config
from ecs_scheduler.ecs import client as ecs
from ecs_scheduler.errors import NotReady, Throttled
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.queue_connection import open_queue
from ecs_scheduler.web.api import Backend, create_app
from ecs_scheduler.web.server import listen, serving
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options, SimulatedEcs, http_session_class

Server = Callable[["Future[str]", threading.Event], Coroutine[Any, Any, None]]

TRIES = 500
PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")


def sized(name: str, cpu: int) -> dict[str, Any]:
    container = {"name": "main", "cpu": cpu, "command": ["sleep", "600"]}
    return {
        "id": name,
        "task_definition": "batch",
        "overrides": {"containerOverrides": [container]},
    }


async def serve(config: Config, address: "Future[str]", stopping: threading.Event) -> None:
    """One instance; `first` runs on it and `second` finds no room."""
    clock = SystemClock()
    sim = SimulatedEcs(
        Options(agent_capabilities=FEW_CAPABILITIES), lambda: clock.now_ms() / 1000, seed=1
    )
    sim.add_instances("default", (InstanceGroup(count=1, instance_type="m5.xlarge"),))
    container = {"name": "main", "image": "busybox", "cpu": 256, "memory": 256}
    sim.call("RegisterTaskDefinition", {"family": "batch", "containerDefinitions": [container]})
    async with (
        open_queue(config) as queue,
        ecs.connect(config, clock, http_session_cls=http_session_class(sim)) as client,
    ):
        service = Service(config, queue, client, Metrics(), clock)
        backend = Backend(
            queue=queue,
            status=service.status,
            metrics=Metrics(),
            new_id=lambda: "unused",
            explainer=service.explainer,
        )
        documents = (sized("first", 3072) | {"priority": 9}, sized("second", 2048))
        await queue.submit([Job.model_validate(each) for each in documents])
        with listen("127.0.0.1", 0) as listener:
            async with serving(create_app(backend), listener) as url:
                running = asyncio.create_task(service.run())
                while not (service.status().ready or running.done()):  # noqa: ASYNC110  it tells nobody
                    await asyncio.sleep(0.01)  # whoever asks before the first look gets no answer
                address.set_result(url)
                await asyncio.to_thread(stopping.wait)
                service.stop()
                await running


@pytest.fixture
def url(queue_name: str, valkey: str) -> Iterator[str]:
    """The HTTP side of a service that runs in a thread of its own."""
    config = Config(redis_url=valkey, queue=queue_name)
    with in_a_thread(partial(serve, config)) as address:
        yield address


@contextmanager
def in_a_thread(server: Server) -> Iterator[str]:
    """The address of what `server` serves meanwhile."""
    address: Future[str] = Future()
    stopping = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server(address, stopping)))
    thread.start()
    try:
        yield address.result(timeout=30)
    finally:
        stopping.set()
        thread.join(timeout=30)


def until(cli: Callable[..., Any], text: str, *arguments: str) -> str:
    """What the command prints once `text` is in it."""
    for _ in range(TRIES):
        answer = cli(*arguments)
        if text in answer.out:
            return str(answer.out)
    raise AssertionError(answer)


def test_explain_and_plan_as_a_person_reads_them(
    cli: Callable[..., Any], url: str, bare: Path
) -> None:
    """A waiting job, the instance it waits for, and a job that is only planned."""
    told = until(cli, "short of CPU", "explain", "second", "--url", url)
    lines = told.splitlines()
    assert lines[0].startswith("second is RUNNABLE: no room on 1 instance: 1 short of CPU")
    assert "fails      on 1 instances: RESOURCE:CPU by 1024 CPU units" in lines
    assert "would help RESOURCE:CPU less by 1024 CPU units: then 1 instances fit" in lines
    assert "if empty   1 of 1 instances of type m5.xlarge would do" in lines
    as_json = json.loads(cli("explain", "second", "--url", url, "-o", "json").out)
    instance = as_json["placement"]["nearest"][0]["instance_id"]
    seen = cli("explain", "--instance", instance, "--url", url).out
    assert "CPU        1024 of 4096 free (25%)" in seen
    assert "1 waiting such as second (2048 CPU units, 256 MiB): 1024 CPU units too few" in seen

    (bare / "small.json").write_text(json.dumps(sized("small", 512)))
    (bare / "huge.json").write_text(json.dumps(sized("huge", 99_999)))
    assert cli("plan", "small.json", "--url", url).code == 0
    huge = cli("plan", "huge.json", "--url", url)
    assert huge.code == 1
    assert huge.out.startswith("needs 99999 CPU units; the largest registered instance has 4096")


def test_the_pages_examples_print_what_they_show(cli: Callable[..., Any], url: str) -> None:
    """Every line of an example is printed; `…` stands for anything, INSTANCE for the instance."""
    until(cli, "short of CPU", "explain", "second", "--url", url)
    told = json.loads(cli("explain", "second", "--url", url, "-o", "json").out)
    instance = told["placement"]["nearest"][0]["instance_id"]
    played = 0
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = example.partition("\n")
            words = shlex.split(command.replace("INSTANCE", instance))
            if words[0] == "cat":
                Path(words[1]).write_text(expected)
                continue
            printed = cli(*words[1:], "--url", url).out
            for line in expected.splitlines():
                pattern = ".*".join(re.escape(part) for part in line.split("…"))
                assert re.search(f"^{pattern}$", printed, re.MULTILINE), (line, printed)
            played += 1
    assert played == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "nobody"], "no job 'nobody'"),
        (["explain", "--instance", "i-0"], "no container instance 'i-0' among the"),
        (["explain", ""], "no job ''"),
        (["explain", "../a"], "no job '../a'"),
        (["explain"], "name a job, or an instance with --instance; one of the two"),
        (["plan", "bad.json"], "task_definition"),
        (["plan", "unknown.json"], "task definition 'nobody:1' cannot be used"),
        (["plan", "missing.json"], "missing.json: No such file or directory"),
        (["plan", "."], ".: Is a directory"),
        (["plan", "empty.json"], "JSON"),
        (["plan", "list.json"], "JSON object"),
        (["plan", "large.json"], "large.json: one job takes at most"),
    ],
)
def test_mistakes_are_explained_too(
    cli: Callable[..., Any], url: str, arguments: list[str], message: str
) -> None:
    """The message is the service's own, the exit code that of usage."""
    Path("empty.json").touch()
    Path("list.json").write_text("[]")
    Path("large.json").write_text(" " * 10_000_000)
    Path("bad.json").write_text('{"id": "a"}')
    Path("unknown.json").write_text('{"id": "a", "task_definition": "nobody:1"}')
    answer = cli(*arguments, "--url", url)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


class Overloaded:
    """An explainer whose ECS calls fail, and that stands by."""

    async def job(self, job_id: JobId) -> NoReturn:
        raise NotReady(f"this scheduler stands by ({job_id})")

    def instance(self, name: str) -> NoReturn:
        raise RuntimeError(f"a bug ({name})")

    async def plan(self, job: Job) -> NoReturn:
        raise Throttled(
            "DescribeTaskDefinition", "ThrottlingException", f"Rate exceeded ({job.id})"
        )


async def serve_nothing(address: "Future[str]", stopping: threading.Event) -> None:
    backend: Any = SimpleNamespace(explainer=Overloaded(), body_timeout_s=9)
    with listen("127.0.0.1", 0) as listener:
        async with serving(create_app(backend), listener) as url:
            address.set_result(url)
            await asyncio.to_thread(stopping.wait)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "a"], "cannot answer: this scheduler stands by (a)"),
        (["explain", "--instance", "i-0"], "cannot answer: "),
        (["plan", "job.json"], "cannot answer: DescribeTaskDefinition: ThrottlingException"),
    ],
)
def test_a_scheduler_that_cannot_answer_now_is_no_answer(
    cli: Callable[..., Any], bare: Path, arguments: list[str], message: str
) -> None:
    """Exit code 1 of `plan` is a "no", so whatever goes wrong over there has the code 3."""
    (bare / "job.json").write_text(json.dumps(sized("new", 1)))
    with in_a_thread(serve_nothing) as url:
        answer = cli(*arguments, "--url", url)
    assert (answer.code, answer.out) == (3, "")
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_nobody_to_ask_is_exit_code_three(cli: Callable[..., Any]) -> None:
    """The message says what to look at."""
    answer = cli("explain", "a", "--url", "http://127.0.0.1:1")
    assert answer.code == 3
    assert "the scheduler at http://127.0.0.1:1 does not answer" in answer.err


@pytest.mark.parametrize("arguments", [["explain", "a"], ["health"]])
def test_who_answers_something_else_than_http_is_told(
    cli: Callable[..., Any], arguments: list[str]
) -> None:
    """Some other service listens at the port: no traceback, and never `plan`'s "no"."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-other\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        answer = cli(*arguments, "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(timeout=10)
    assert answer.code == (1 if arguments == ["health"] else 3)
    assert "does not answer: SSH-2.0-other" in answer.err
