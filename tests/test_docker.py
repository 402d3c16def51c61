"""What docker/ promises, checked without Docker: files, settings, ports, the examples inside."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from ecs_queue.document import parse_job
from ecs_scheduler.config import Settings
from ecs_scheduler.config_sources import unknown_variables
from ecs_simulator import Options, SimulatedEcs

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return parsed


@pytest.fixture(scope="module")
def comment() -> str:
    """The instructions at the head of the compose file, as shell text."""
    lines = (DOCKER / "compose.yaml").read_text().split("\nname:")[0].splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines)


def instructions() -> list[tuple[str, list[str]]]:
    """The Dockerfile's instructions with their words."""
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split()[1:]) for line in lines]


def values(instruction: str) -> list[str]:
    return [" ".join(words) for name, words in instructions() if name == instruction]


def test_everything_that_is_copied_exists_and_is_let_through() -> None:
    """The ignore file is a list of what the build copies, no more and no less."""
    copied = {
        source
        for name, words in instructions()
        if name == "COPY" and not words[0].startswith("--")
        for source in words[:-1]
    }
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_image_runs_as_nobody_in_particular() -> None:
    """A numeric user (which can be told from root), the safe path, a health check."""
    assert values("USER") == ["10001"]
    assert any("PYTHONSAFEPATH=1" in value for value in values("ENV"))
    assert any('CMD ["ecs-scheduler", "health"]' in value for value in values("HEALTHCHECK"))


def test_only_what_is_locked_is_installed() -> None:
    """Every pip install either checks hashes or takes nothing but ourselves."""
    installs = [
        " ".join(words)
        for name, words in instructions()
        if name == "RUN" and "pip install" in " ".join(words)
    ]
    assert len(installs) == 2
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)


def test_the_entry_points_exist(compose: dict[str, Any]) -> None:
    """Image and services start commands that the distribution installs."""
    started = [json.loads(value)[0] for value in values("ENTRYPOINT")]
    started += [
        each["entrypoint"][0] for each in compose["services"].values() if "entrypoint" in each
    ]
    assert started == ["ecs-scheduler", "ecs-simulator"]
    assert set(started) <= set(SCRIPTS)


def test_the_services_find_each_other(compose: dict[str, Any]) -> None:
    """Settings exist, point at services of this file, and wait for them to be healthy."""
    services = compose["services"]
    environment = services["scheduler"]["environment"]
    assert list(unknown_variables(environment)) == []
    given = {
        name.removeprefix("ECS_SCHEDULER_").lower(): value
        for name, value in environment.items()
        if name.startswith("ECS_SCHEDULER_")
    }
    settings = Settings.model_validate(given)
    assert (settings.redis_url, settings.endpoint_url) == ("redis://valkey:6379", "http://ecs:8000")
    assert services["scheduler"]["depends_on"].keys() == {"valkey", "ecs"}
    for name in services["scheduler"]["depends_on"]:
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    command = services["ecs"]["command"]
    assert command[command.index("--cluster") + 1] == settings.cluster
    assert command[command.index("--port") + 1] == "8000"


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    """Neither side has authentication."""
    published = [port for each in compose["services"].values() for port in each.get("ports", ())]
    assert sorted(published) == ["127.0.0.1:8000:8000", "127.0.0.1:8080:8080"]


def test_what_runs_our_code_is_confined(compose: dict[str, Any]) -> None:
    """No capabilities, no new privileges, nothing to write to."""
    for name in ("ecs", "scheduler"):
        service = compose["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_examples_work(comment: str) -> None:
    """The task definition registers in a simulated ECS, and every job example is a valid job."""
    example = re.search(
        r"curl (\S+8000/) -H 'X-Amz-Target: \w+\.(\w+)' \\\n-d '(.*?)'", comment, re.S
    )
    assert example is not None
    ecs = SimulatedEcs(Options(), now=lambda: 0.0)
    registered = ecs.call(example[2], json.loads(example[3]))["taskDefinition"]
    jobs = [
        word
        for line in comment.replace("\\\n", " ").splitlines()
        if "task_definition" in line and line.startswith(("curl", "docker"))
        for word in shlex.split(line)
        if "task_definition" in word
    ]
    assert len(jobs) == 2
    assert {parse_job(job).task_definition for job in jobs} == {registered["family"]}
