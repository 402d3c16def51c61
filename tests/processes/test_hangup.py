"""A real scheduler process reads its policies again at SIGHUP, and is asked about a trial."""

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.processes.conftest import BIN, ENVIRONMENT, registered

from ecs_queue.connection import connect_sync
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.job import Job
from ecs_queue.sync import SyncQueue
from ecs_scheduler.policies.reading import book_of

DEADLINE_S = 60.0
FIRST = "[policies.default]\nseed = 1\n"
BAD = "[policies.default]\nseed = 2\nobjektive = 'open'\n"
THIRD = """
[policies.default]
seed = 3
[policies.new]
score = { consolidate = 1 }
[trial]
candidate = "new"
percent = 100
"""


def until(found: Callable[[], Any]) -> Any:
    """What `found` gives once it is something; these processes live in real time."""
    deadline = time.monotonic() + DEADLINE_S
    while not (what := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return what


def asked(*arguments: str) -> tuple[int, str]:
    """Exit code and output of one command."""
    done = subprocess.run(
        [BIN / "ecs-scheduler", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def status(url: str) -> Any:
    """What the process says of itself."""
    with urllib.request.urlopen(f"{url}/v1/status", timeout=5) as answer:
        return json.load(answer)


def policies(url: str) -> Any:
    """What the process says of its policies."""
    return status(url)["policies"]


def label(text: str, policy: str = "default") -> str:
    """Name and version, as decisions record them."""
    return book_of(text, "p").named(policy).label


def placed(queue: SyncQueue, url: str, name: str) -> str:
    """Submit one job; what is told of its placement."""
    command = {"containerOverrides": [{"name": "main", "command": ["true"]}]}
    document = {"id": name, "task_definition": "batch", "overrides": command}
    queue.submit([Job.model_validate(document)])
    latest = until(lambda: [e for e in status(url)["latest"] if e["job_id"] == name])
    return str(latest[0]["detail"])


@pytest.mark.slow
def test_hangup_takes_over_a_whole_file_or_nothing(endpoint: str, tmp_path: Path) -> None:
    """A bad file keeps the old policy and says file, line and field; decisions after a good one
    carry the new version; `policy trial` asks the process over HTTP.
    """
    registered(endpoint)
    program = [str(BIN / "ecs-scheduler"), "run", "--endpoint-url", endpoint, "--cluster", "demo"]
    file, log = tmp_path / "p.toml", tmp_path / "log"
    file.write_text(FIRST)
    flags = ["--policy-file", str(file), "--http-port", "0", "--track-interval-s", "0.2"]
    with EmbeddedValkey() as valkey, log.open("w") as written:
        command = [*program, *flags, "--redis-url", valkey.url, "--log-format", "json"]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=written, stderr=written)
        try:
            address = re.compile(r'http side listens", "url": "([^"]+)"')
            url = until(lambda: address.search(log.read_text()))[1]
            queue = SyncQueue(connect_sync(valkey.url))
            assert label(FIRST) in placed(queue, url, "a")

            file.write_text(BAD)
            process.send_signal(signal.SIGHUP)
            error = until(lambda: policies(url)["error"])
            assert error.startswith(f"{file}:3: policies.default.objektive: is no field here")
            assert "did you mean objective?" in error
            assert label(FIRST) in placed(queue, url, "b")
            assert asked("policy", "trial", "--url", url) == (0, "no policy is on trial\n")

            file.write_text(THIRD)
            process.send_signal(signal.SIGHUP)
            until(lambda: policies(url)["version"] == book_of(THIRD, "p").version)
            assert policies(url)["error"] == ""
            until(lambda: label(THIRD, "new") in placed(queue, url, f"c{time.monotonic_ns()}"))
            code, told = asked("policy", "trial", "--url", url)
            assert (code, told.splitlines()[:2]) == (
                0,
                ["new, tried on the jobs of default", "  takes 100 % of them"],
            )
            queue.close()
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0
    assert "Traceback" not in log.read_text()
