"""README's section on the simulator is enough for a stranger: its commands and test file run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_serve import serving

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
HEADING = "## A local ECS for your own scheduler or operator tests\n"
SECTION = (ROOT / "README.md").read_text("utf-8").partition(HEADING)[2].partition("\n## ")[0]
ENVIRONMENT = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "AWS_PAGER": ""}


def blocks(language: str) -> list[str]:
    """The section's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def test_the_commands_work_in_order(tmp_path: Path) -> None:
    """A server, the AWS CLI against it, the control endpoint; the last shows what came of it."""
    if not (SCRIPTS / "aws").exists() or not shutil.which("bash") or not shutil.which("curl"):
        pytest.skip("the AWS CLI, bash or curl is not installed")
    server, *commands = blocks("sh")
    program, verb, port, number, *options = server.split()
    assert (program, verb) == (".venv/bin/ecs-simulator", "serve")
    assert (port, number) == ("--port", "8000")
    with serving(*options) as (_, lines):
        endpoint = re.search(r"http://\S+", lines[0])
        assert endpoint is not None
        script = "\n".join(["set -eu", *commands]).replace("http://127.0.0.1:8000", endpoint[0])
        ended = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**ENVIRONMENT, "HOME": str(tmp_path)},
        )
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert '"PENDING"' in ended.stdout
    assert '"ACTIVE": 204' in ended.stdout
    assert '"STOPPED": 1' in ended.stdout


def test_the_test_file_passes(tmp_path: Path) -> None:
    """Saved as it stands and run by pytest, all of its tests pass."""
    (code,) = blocks("python")
    (tmp_path / "test_mine.py").write_text(code)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTEST_ADDOPTS": ""},
    )
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout
