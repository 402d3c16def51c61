"""Stories of programs that run as tasks, and of what they see of their job."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ecs_queue.connection import connect_sync
from ecs_queue.errors import NoAssignment, QueueError
from ecs_queue.job import Job, JobId
from ecs_queue.states import JobState, Succeeded, TaskFailed
from ecs_queue.worker import TRIES, URL_VARIABLE, Worker

if TYPE_CHECKING:
    from tests.worker.conftest import Site

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "worker"
A = JobId("a")


def no_sleep(seconds: float) -> None:
    """Waits are counted, not waited."""


async def in_thread(work: Any, *arguments: Any) -> Any:
    return await asyncio.to_thread(work, *arguments)


@pytest.mark.parametrize("way", ["service", "redis"])
async def test_a_program_reads_its_payload_and_reports(site: "Site", way: str) -> None:
    """Over the service, or straight to Redis: the same few lines."""
    token = await site.launch(id="a", payload={"frame": 42})
    service = way == "service"
    environ = await site.environment(token) if service else site.redis_environment(token)

    def program() -> None:
        with Worker.from_env(environ, sleep=no_sleep) as work:
            assert (work.assignment.job_id, work.assignment.attempt) == ("a", 1)
            assert work.payload == {"frame": 42}
            work.progress(0.5)
            work.result = {"pixels": [1, 2]}
            assert work.result == {"pixels": [1, 2]}

    await in_thread(program)
    record = await site.queue.job(A)
    assert record.progress is not None
    assert (record.progress.text, record.result) == ("0.5", {"pixels": [1, 2]})


async def test_a_damaged_record_is_an_error_of_the_queue(site: "Site") -> None:
    """Somebody else wrote to it; a program catches that as it does a Redis that is away."""
    token = await site.launch(id="a")

    def program() -> None:
        with connect_sync(site.redis_url) as redis:
            redis.hset(f"{{q:{site.name}}}:job:a", "f", "damaged")
        with pytest.raises(QueueError, match="something in the queue that task cannot read"):
            _ = Worker.from_env(site.redis_environment(token), sleep=no_sleep).assignment

    await in_thread(program)


@pytest.mark.parametrize("way", ["service", "redis"])
async def test_a_task_that_is_faster_than_its_launch_waits(site: "Site", way: str) -> None:
    """The container may ask before StartTask's answer is written down."""
    loop = asyncio.get_running_loop()
    await site.queue.submit([Job(id=A, task_definition="t", payload=7)])
    token = await site.intend("a")
    service = way == "service"
    environ = await site.environment(token) if service else site.redis_environment(token)
    waits: list[float] = []

    def settle_at_the_third_wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            asyncio.run_coroutine_threadsafe(site.acknowledge("a", token), loop).result(10)

    def program() -> Any:
        return Worker.from_env(environ, sleep=settle_at_the_third_wait).payload

    assert await in_thread(program) == 7
    assert waits == [0.25, 0.5, 1.0]


async def test_it_does_not_wait_for_ever(site: "Site") -> None:
    """A launch that is never settled, and a service that is not there, end in words."""
    await site.queue.submit([Job(id=A, task_definition="t")])
    token = await site.intend("a")
    environ = await site.environment(token)
    waits: list[float] = []

    def program() -> Any:
        return Worker.from_env(environ, sleep=waits.append).payload

    with pytest.raises(NoAssignment, match="no answer after 40 tries: the scheduler answers 503"):
        await in_thread(program)
    assert len(waits) == TRIES
    assert 170 < sum(waits) < 200
    environ["ECS_SCHEDULER_WORKER_URL"] = "http://127.0.0.1:1"
    with pytest.raises(NoAssignment, match="does not answer"):
        await in_thread(program)


@pytest.mark.parametrize("sent", [b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"job"', b"H"])
async def test_an_answer_that_breaks_off_is_asked_for_again(site: "Site", sent: bytes) -> None:
    """The service is restarted while it answers: that costs the user no attempt."""
    token = await site.launch(id="a", payload={"frame": 42})
    environ = await site.environment(token)

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    dying = await asyncio.start_server(break_off, "127.0.0.1", 0)
    port = dying.sockets[0].getsockname()[1]
    work = await in_thread(
        lambda: Worker.from_env(
            environ | {URL_VARIABLE: f"http://127.0.0.1:{port}"}, sleep=no_sleep
        )
    )
    with pytest.raises(NoAssignment, match="no answer after 40 tries: the scheduler does not"):
        await in_thread(lambda: work.payload)
    dying.close()


async def test_what_a_program_is_told_that_is_not_wanted_any_more(site: "Site") -> None:
    """Its job ended or was retried, its secret is another's, its task is nobody's."""
    retry = {"attempts": 2, "backoff_s": 0}
    token = await site.launch(id="a", payload=1, retry=retry)
    environ = await site.environment(token)
    with_stranger = environ | {"ECS_SCHEDULER_LAUNCH_SECRET": "guessed.0123"}
    lost = environ | {"ECS_CONTAINER_METADATA_URI_V4": site.metadata.url_for("arn:of/nobody")}

    def program(environ: dict[str, str]) -> None:
        with Worker.from_env(environ, sleep=no_sleep) as work:
            work.result = 1

    with pytest.raises(NoAssignment, match="the launch secret is not the one"):
        await in_thread(program, with_stranger)
    with pytest.raises(NoAssignment, match="was not launched by this queue"):
        await in_thread(program, lost)
    await site.queue.finish(site.arn(token), TaskFailed("exit code 1", 1))
    with pytest.raises(NoAssignment, match="its job went to RUNNABLE"):
        await in_thread(program, environ)
    second = await site.intend("a")
    await site.acknowledge("a", second)
    with pytest.raises(NoAssignment, match="its job went to RUNNABLE"):
        await in_thread(program, environ)
    assert (await site.queue.job(A)).result is None
    await in_thread(program, await site.environment(second))
    await site.queue.finish(site.arn(second), Succeeded())
    record = await site.queue.job(A)
    assert (record.state, record.result) == (JobState.SUCCEEDED, 1)


async def test_a_result_that_cannot_be_one_is_refused_at_once(site: "Site") -> None:
    """Where it is set, so that the program's own line is in the traceback."""
    work = Worker.from_env(await site.environment(await site.launch(id="a")), sleep=no_sleep)
    for result, complaint in (
        ("x" * 70_000, "70002 bytes"),
        (float("nan"), "JSON"),
        ({1, 2}, "JSON"),
    ):
        with pytest.raises(ValueError, match=complaint):
            work.result = result


async def test_a_result_is_reported_even_if_the_program_fails(site: "Site") -> None:
    """What it found out is worth keeping; the error goes on its way."""
    environ = await site.environment(await site.launch(id="a"))

    def program() -> None:
        with Worker.from_env(environ, sleep=no_sleep) as work:
            work.result = "as far as line 7"
            raise KeyError("line 8")

    with pytest.raises(KeyError, match="line 8"):
        await in_thread(program)
    assert (await site.queue.job(A)).result == "as far as line 7"


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({}, "ECS_CONTAINER_METADATA_URI_V4 is not set"),
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1/v4/x"}, "is no use"),
    ],
)
def test_what_is_no_task(environ: dict[str, str], complaint: str) -> None:
    """The message says what is missing."""
    with pytest.raises(NoAssignment, match=complaint):
        Worker.from_env(environ, sleep=no_sleep)


async def test_a_task_that_was_not_told_of_its_queue(site: "Site") -> None:
    """The remedy is in the message."""
    token = await site.launch(id="a")
    environ = {"ECS_CONTAINER_METADATA_URI_V4": site.metadata.url_for(site.arn(token))}
    with pytest.raises(NoAssignment, match="set worker_url where the scheduler runs"):
        await in_thread(Worker.from_env, environ)


def test_the_helper_needs_nothing_but_redis() -> None:
    """It runs in images that hold no pydantic."""
    script = (
        "import sys; import ecs_queue.worker as w, ecs_queue.connection, ecs_queue.script;"
        "w.RedisLink('redis://127.0.0.1:1', 'arn', 'default');"
        "print({m.partition('.')[0] for m in sys.modules} & {'pydantic', 'networkx', 'numpy'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


async def test_the_example_image_works(site: "Site", tmp_path: Path) -> None:
    """What its Dockerfile copies, run by its CMD, in a Python that has no packages at all."""
    lines = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for source, target in (line.split()[1:] for line in lines if line.startswith("COPY ")):
        place = tmp_path / target.lstrip("/")
        whole = (ROOT / source).is_dir()
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if whole else shutil.copyfile)(ROOT / source, place)
    (command,) = (json.loads(line[4:]) for line in lines if line.startswith("CMD "))
    (folder,) = (line.split()[1] for line in lines if line.startswith("WORKDIR "))
    assert command[0] == "python"
    token = await site.launch(id="a", payload={"frame": 42})
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        *command[1:],
        cwd=tmp_path / folder.lstrip("/"),
        env=await site.environment(token),
    )
    assert await done.wait() == 0
    assert (await site.queue.job(A)).result == {"frame": 42, "pixels": 4200}


@pytest.mark.parametrize("program", ["render.py", "render.sh"])
async def test_the_examples_of_the_documentation_work(site: "Site", program: str) -> None:
    """As they stand in docs/worker, run as a container would run them."""
    token = await site.launch(id="a", payload={"film": 7, "frame": 42})
    environ = {**os.environ, **await site.environment(token), "PYTHONPATH": str(ROOT / "queue")}
    words = [sys.executable] if program.endswith(".py") else ["sh"]
    done = await asyncio.create_subprocess_exec(
        *words, str(EXAMPLES / program), env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await done.communicate()
    assert (done.returncode, errors) == (0, b"")
    record = await site.queue.job(A)
    assert record.progress is not None
    assert record.progress.text == "rendering frame 42"
    assert record.result == {"frame": 42, "pixels": 4200}


def test_the_page_shows_the_examples_that_work() -> None:
    """What section 15 of docs/jobs.md says is what the programs above do."""
    page = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    program = (EXAMPLES / "render.py").read_text(encoding="utf-8").partition("\n\n")[2]
    assert f"```python\n{program}```" in page
    script = (EXAMPLES / "render.sh").read_text(encoding="utf-8")
    (finding_out,) = (line for line in script.splitlines() if line.startswith("arn="))
    assert finding_out in page
    assert '-H "Authorization: Bearer $ECS_SCHEDULER_LAUNCH_SECRET"' in script
