"""The walk-through of docs/ works as it is written, with the AWS CLI against a served simulator."""

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


def blocks() -> list[str]:
    """The shell blocks between starting the server and section 8."""
    text = (ROOT / "docs" / "walk-through.md").read_text("utf-8")
    return re.findall(r"```sh\n(.*?)```", text.partition("## 8.")[0], re.DOTALL)


def test_every_command_of_the_walk_through(tmp_path: Path) -> None:
    """One shell runs all of them in order; what the text promises is what they print."""
    if not (SCRIPTS / "aws").exists() or shutil.which("bash") is None:
        pytest.skip("the AWS CLI is not installed")
    server, *commands = blocks()
    options = server.split()[2:]
    assert options[:2] == ["--port", "8000"]
    with serving(*options[2:], "--speed", "20") as (_, lines):
        endpoint = re.search(r"http://\S+", lines[0])
        assert endpoint is not None
        script = "\n".join(["set -eu", *commands]).replace("http://127.0.0.1:8000", endpoint[0])
        ended = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            env={
                "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "AWS_PAGER": "",
            },
        )
    assert ended.stderr == ""
    assert ended.returncode == 0
    printed = ended.stdout.split("\n")
    assert "STOPPED\tEssentialContainerExited\t0" in printed
    assert "RESOURCE:CPU" in printed
    assert printed[-2] == "STOPPED"
    assert "CPU\t4096" in printed
