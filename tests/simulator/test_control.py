"""Stories of the control endpoint: what is done to a served simulator from outside."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .conftest import Calls, Refusal, boto3_calls
from .test_serve import run, serving

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Ask, Calls]]:
    """One server; a way to ask its control endpoint, and boto3."""
    with serving("--instances", "2", "--no-throttle", "--events", "events") as (_, lines):
        found = re.search(r"http://\S+", lines[0])
        assert found is not None
        endpoint = found[0]

        def ask(path: str, document: object = None, raw: bytes | None = None) -> dict[str, Any]:
            body = raw if raw is not None else json.dumps(document).encode()
            given = None if document is None and raw is None else body
            request = urllib.request.Request(f"{endpoint}/_simulator/{path}", data=given)
            try:
                with urllib.request.urlopen(request) as response:
                    return dict(json.load(response))
            except urllib.error.HTTPError as error:
                with error:
                    return {"status": error.code, **json.load(error)}

        with ExitStack() as stack:
            yield ask, boto3_calls(endpoint, stack)[0]


def started(served: tuple[Ask, Calls], cluster: str) -> tuple[str, str]:
    """An instance of this cluster, added from outside, and a long task on it."""
    ask, send = served
    group = {"cluster": cluster, "cpu_units": 1024, "memory_mib": 1024, "spot": True}
    (arn,) = ask("instances", group)["instances"]
    container = {"name": "main", "image": "i", "memory": 64, "command": ["sleep", "9000"]}
    send("RegisterTaskDefinition", {"family": "long", "containerDefinitions": [container]})
    request = {"cluster": cluster, "taskDefinition": "long", "containerInstances": [arn]}
    return arn, send("StartTask", request)["tasks"][0]["taskArn"]


def status(send: Calls, cluster: str, task: str) -> str:
    answer = send("DescribeTasks", {"cluster": cluster, "tasks": [task]})
    return str(answer["tasks"][0]["lastStatus"])


def test_time_jumps(served: tuple[Ask, Calls]) -> None:
    """A task of two and a half hours is over after a jump of three."""
    ask, send = served
    _, task = started(served, "jump")
    ask("advance", {"seconds": 60})
    assert status(send, "jump", task) == "RUNNING"
    ask("advance", {"seconds": 3 * 3600 - 1000})
    assert status(send, "jump", task) == "STOPPED"
    assert ask("verify", {}) == {"status": "ok"}


def test_hosts_die_and_spot_is_reclaimed(served: tuple[Ask, Calls]) -> None:
    """Both end the task; a disconnected agent refuses new ones."""
    ask, send = served
    for action, wait in (("kill", 61), ("interrupt", 121)):
        arn, task = started(served, action)
        ask("advance", {"seconds": 10})
        assert ask(f"instances/{action}", {"cluster": action, "instance": arn}) == {}
        ask("advance", {"seconds": wait})
        assert status(send, action, task) == "STOPPED"
    arn, _ = started(served, "flap")
    ask("instances/agent", {"cluster": "flap", "instance": arn, "connected": False})
    request = {"cluster": "flap", "taskDefinition": "long", "containerInstances": [arn]}
    assert send("StartTask", request)["failures"] == [{"arn": arn, "reason": "AGENT"}]


def test_faults_come_and_go(served: tuple[Ask, Calls]) -> None:
    """Set as JSON, ended by an empty object."""
    ask, send = served
    ask("faults", {"error_before": {"probability": 1, "operations": ["ListClusters"]}})
    with pytest.raises(Refusal, match="ServerException"):
        send("ListClusters", {})
    ask("faults", {})
    assert send("ListClusters", {})["clusterArns"]


def test_state_and_tasks(served: tuple[Ask, Calls]) -> None:
    """Figures of clusters, calls and tasks."""
    ask, _ = served
    _, task = started(served, "state")
    state = ask("state")
    assert state["clusters"]["state"]["instances"] == {"ACTIVE": 1}
    assert state["clusters"]["state"]["utilisation"]["MEMORY"] == {
        "reserved": 64,
        "registered": 1024,
    }
    assert state["statistics"]["calls"]["StartTask"] >= 1
    assert task in [record["arn"] for record in ask("tasks")["tasks"]]


@pytest.mark.parametrize(
    ("path", "document", "code", "words"),
    [
        ("instances", {"count": 1}, 400, "cluster: expected a string"),
        ("instances", {"cluster": "demo", "count": 0}, 400, "count: 0 is less than 1"),
        ("instances", {"cluster": "demo", "cuont": 1}, 400, "cuont: unknown field"),
        ("instances/kill", {"cluster": "none", "instance": "i"}, 404, "Cluster not found."),
        ("instances/kill", {"cluster": "demo", "instance": "i"}, 400, "there is no 'i'"),
        ("instances/kill", {"cluster": "demo", "noticed_s": 3}, 400, "noticed_s: unknown field"),
        ("advance", {"second": 3}, 400, "second: unknown field; known are seconds"),
        ("instances/agent", {"cluster": "demo", "instance": "i"}, 400, "connected: expected"),
        ("faults", {"slow": 7}, 400, "slow.probability"),
        ("faults", {"slow": {"during": [[9, 3]]}}, 400, "slow.during: expected [from, until]"),
        ("faults", {"slow": {"during": 3}}, 400, "slow.during: expected a list of seconds"),
        ("faults", {"agent_flap": {"at_s": 3}}, 400, "agent_flap.at_s: expected a list of seconds"),
        ("faults", {"spot_storm": {"share": 2}}, 400, "spot_storm.share: not between 0 and 1"),
        ("faults", {"spot_storm": {"at_s": [-1]}}, 400, "spot_storm.at_s: expected a number"),
        ("advance", {"seconds": -1}, 400, "seconds: expected seconds from 0 to"),
        ("advance", {"seconds": 1e308}, 400, "seconds: expected seconds from 0 to"),
        ("advance", {"seconds": float("nan")}, 400, "seconds: expected seconds from 0 to"),
        ("advance", {"seconds": True}, 400, "seconds: expected a number"),
        ("instances", {"cluster": "demo", "count": 10**8}, 400, "count: 100000000 is more than"),
        ("advance", {}, 400, "seconds: expected a number"),
        ("verify", [1], 400, "expected a JSON object"),
    ],
)
def test_what_makes_no_sense_is_said(
    served: tuple[Ask, Calls], path: str, document: object, code: int, words: str
) -> None:
    """The field, and what was expected."""
    answer = served[0](path, document)
    assert answer["status"] == code
    assert words in answer["error"]


def test_a_body_that_is_no_json(served: tuple[Ask, Calls]) -> None:
    """400, not a traceback."""
    for raw, words in ((b"{", "not JSON"), (b"[" * 100_000, "nested too deeply")):
        answer = served[0]("faults", raw=raw)
        assert (answer["status"], words in answer["error"]) == (400, True)


def test_faults_from_a_file(tmp_path: Path) -> None:
    """`--faults` reads TOML; a wrong file is a usage error that names the field."""
    file = tmp_path / "faults.toml"
    file.write_text("lost_reply = 0.1\n[slow]\nprobability = 2\n")
    ended = run("serve", "--faults", str(file))
    assert (ended.returncode, "faults.toml:3: slow.probability" in ended.stderr) == (2, True)
    file.write_text("lost_reply")
    assert "faults.toml: not TOML" in run("serve", "--faults", str(file)).stderr


def test_auto_scaling_from_a_fleet_file(tmp_path: Path) -> None:
    """A group alone in the file: a capacity provider names it, waiting tasks bring instances."""
    file = tmp_path / "fleet.toml"
    sizes = "max_size = 9\ncpu_units = 2048\nmemory_mib = 2048\n"
    file.write_text(f'[[auto_scaling_groups]]\nname = "burst"\n{sizes}')
    with serving("--fleet", str(file)) as (process, lines), ExitStack() as stack:
        assert "0 container instances" in lines[0]
        assert process.stdout is not None
        assert process.stdout.readline().endswith("for capacity providers to name: burst\n")
        endpoint = lines[0].split()[3]
        send, _ = boto3_calls(endpoint, stack)
        group = {"autoScalingGroupArn": "burst", "managedScaling": {"status": "ENABLED"}}
        send("CreateCapacityProvider", {"name": "cp", "autoScalingGroupProvider": group})
        strategy = [{"capacityProvider": "cp"}]
        request: dict[str, Any] = {"cluster": "demo", "capacityProviders": ["cp"]}
        request["defaultCapacityProviderStrategy"] = strategy
        send("PutClusterCapacityProviders", request)
        container: dict[str, Any] = {"name": "main", "image": "i", "cpu": 1024, "memory": 64}
        container["command"] = ["sleep", "9000"]
        send("RegisterTaskDefinition", {"family": "long", "containerDefinitions": [container]})
        launch = {"cluster": "demo", "taskDefinition": "long", "count": 5}
        tasks = send("RunTask", launch)["tasks"]
        assert {task["lastStatus"] for task in tasks} == {"PROVISIONING"}
        body = json.dumps({"seconds": 300}).encode()
        urllib.request.urlopen(f"{endpoint}/_simulator/advance", body).close()
        request = {"cluster": "demo", "tasks": [task["taskArn"] for task in tasks]}
        shapes = send("DescribeTasks", request)["tasks"]
        assert {task["lastStatus"] for task in shapes} == {"RUNNING"}
        assert len({task["containerInstanceArn"] for task in shapes}) == 3
