"""The command line as a whole: help, exit codes, pipes, and what is not reachable."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs_queue import errors as queue_errors
from ecs_scheduler import errors as scheduler_errors
from ecs_scheduler.cli import main
from ecs_scheduler.cli.failures import exit_code_of

HEAVY = ("pydantic", "redis", "fastapi", "aiobotocore", "botocore", "numpy", "uvicorn", "structlog")


def test_help_names_every_command(cli: Callable[..., Any]) -> None:
    """--help lists the commands, and how settings and exit codes work."""
    answer = cli("--help")
    assert answer.code == 0
    for command in ("run", "submit", "jobs", "job", "cancel", "wait", "dead", "events", "health"):
        assert f"│ {command} " in answer.out
    assert "Exit codes: 0 ok, 1 failed, 2 usage" in answer.out


def test_help_imports_nothing_heavy(bare: Path) -> None:
    """Help is quick because the commands' libraries stay out of it."""
    code = "import sys; from ecs_scheduler.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "cyclopts" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", [["jobs"], ["job", "a"], ["submit", "etl:1"]])
def test_commands_on_the_queue_import_nothing_heavy(
    bare: Path, queue_name: str, command: list[str]
) -> None:
    """Placement, AWS, graphs and the settings of a service are for those who use them."""
    code = (
        "import sys; from ecs_scheduler.cli import main\n"
        f"main({command!r}); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    heavy = {"numpy", "botocore", "aiobotocore", "networkx", "pydantic_settings", "structlog"}
    assert loaded & heavy == set()


def test_version_is_the_distributions(cli: Callable[..., Any]) -> None:
    """--version prints the version alone."""
    assert cli("--version").out.strip() == "0.1.0"


@pytest.mark.parametrize(
    "command", ["run", "submit", "jobs", "job", "cancel", "wait", "dead", "events", "health"]
)
def test_each_command_has_help(cli: Callable[..., Any], command: str) -> None:
    """Each command's help says how it is called and explains every flag."""
    answer = cli(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: ecs-scheduler {command}")


def test_an_unknown_command_is_usage(cli: Callable[..., Any]) -> None:
    """Exit code 2, the word that was wrong, and where help is."""
    answer = cli("sumbit")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "ecs-scheduler: there is no command 'sumbit'\nTry: ecs-scheduler --help\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["submit", "etl"], ["jobs"], ["job", "a"], ["cancel", "a"], ["wait", "a"], ["dead"], ["run"]],
    ids=lambda arguments: arguments[0],
)
def test_an_unreachable_redis_is_exit_code_three(
    cli: Callable[..., Any], arguments: list[str]
) -> None:
    """The message names the server, without the password, and the setting to look at."""
    url = "redis://me:hunter2@127.0.0.1:1/0"
    http = ["--no-http"] if arguments == ["run"] else []
    answer = cli(*arguments, *http, "--redis-url", url)
    assert (answer.code, answer.out) == (3, "")
    assert "Redis at redis://me:***@127.0.0.1:1/0 does not answer" in answer.err
    assert "--redis-url" in answer.err
    assert "hunter2" not in answer.err


def test_a_redis_that_refuses_us_is_exit_code_three(cli: Callable[..., Any], valkey: str) -> None:
    """A wrong password is said to be one."""
    answer = cli("jobs", "--redis-url", valkey.replace("unix://", "unix://me:wrong@"))
    assert answer.code == 3
    assert "invalid username-password pair" in answer.err
    assert "wrong@" not in answer.err


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://", "127.0.0.1:6379", "unix://"])
def test_a_bad_redis_url_is_usage(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Wherever the URL comes from, the message says where that was."""
    expected = "should be redis://host:port/db, rediss://host:port/db or unix:///path"
    by_flag = cli("jobs", "--redis-url", url)
    assert by_flag.code == 2
    assert f"redis_url (--redis-url): {expected}; it is {url!r}" in by_flag.err
    monkeypatch.setenv("REDIS_URL", url)
    by_variable = cli("jobs")
    assert by_variable.code == 2
    assert f"redis_url (REDIS_URL): {expected}" in by_variable.err


def test_commands_read_the_settings_file(cli: Callable[..., Any], valkey: str, bare: Path) -> None:
    """The Redis and the queue of ecs-scheduler.toml hold for every command; flags come first."""
    (bare / "ecs-scheduler.toml").write_text(f'redis_url = "{valkey}"\nqueue = "from-toml"\n')
    assert cli("submit", "etl", "--id", "a").code == 0
    assert cli("job", "a").code == 0
    assert cli("job", "a", "--queue", "from-flag").code == 1


def test_a_reader_that_leaves_is_no_error(
    program: Callable[..., Any], queue_name: str, bare: Path
) -> None:
    """`ecs-scheduler jobs | head -1` prints one line and no complaint."""
    jobs = [{"id": f"job-{n}", "task_definition": "x" * 500} for n in range(1000)]
    (bare / "jobs.json").write_text(json.dumps(jobs))
    assert program("submit", "--file", "jobs.json").code == 0
    done = subprocess.run(
        f"{Path(sys.executable).parent}/ecs-scheduler jobs --limit 1000 | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("ID")
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_every_error_of_ours_has_an_exit_code() -> None:
    """No error that we raise on purpose can end in a traceback."""

    def tree(base: type[Exception]) -> list[type[Exception]]:
        return [base, *(each for child in base.__subclasses__() for each in tree(child))]

    codes = {
        kind.__name__: exit_code_of(kind.__new__(kind))
        for base in (queue_errors.QueueError, scheduler_errors.SchedulerError)
        for kind in tree(base)
    }
    assert None not in codes.values()
    assert codes["QueueUnreachable"] == codes["AwsRefused"] == codes["ClusterNotFound"] == 3
    assert codes["AwsUnreachable"] == codes["CallUnknown"] == 3
    assert codes["InvalidJob"] == codes["InvalidRedisUrl"] == codes["ConfigurationError"] == 2
    assert codes["UnknownJob"] == codes["HttpSideUnavailable"] == 1
    assert exit_code_of(ZeroDivisionError()) is None


def test_a_scheduler_that_is_not_there_is_said_in_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1 from `health`, without the system's numbers."""
    assert main(["health", "--url", "http://127.0.0.1:1"]) == 1
    told = capsys.readouterr().err
    assert told.endswith("http://127.0.0.1:1/healthz does not answer: Connection refused\n")
