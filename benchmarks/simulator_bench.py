"""The simulated ECS's figures, beside moto's server in the same run.

`run` returns rows of name, value, unit and note; `python -m benchmarks.simulator_bench [--json]`.
Both servers are processes of their own and get the same bytes from the same plain HTTP client.
"""

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Row, main
from benchmarks.virtual_hour import Hour, virtual_hour

from ecs_simulator import (
    FEW_CAPABILITIES,
    InstanceGroup,
    Options,
    SimulatedEcs,
    without_collections,
)

SCRIPTS = Path(sys.executable).parent
TARGET = "AmazonEC2ContainerServiceV20141113."
DEFINITION = {
    "family": "bench",
    "containerDefinitions": [
        {"name": "main", "image": "i", "cpu": 1, "memory": 6, "command": ["sleep", "60"]}
    ],
}
MEMORY_PROBE = """
import os
from ecs_simulator import InstanceGroup, Options, SimulatedEcs
def used():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = used()
clock = [0.0]
ecs = SimulatedEcs(Options(throttled=False), lambda: clock[0])
arns = ecs.add_instances("demo", (InstanceGroup(count={instances}),))
ecs.call("RegisterTaskDefinition", {definition!r})
for start in range(0, {tasks} // 10):
    first = start * 10 % len(arns)
    ecs.call("StartTask", {{"cluster": "demo", "taskDefinition": "bench",
        "containerInstances": list(arns[first:first + 10]), "startedBy": "job-%d" % start}})
clock[0] = 30.0
ecs.advance()
print(used() - before)
"""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    seconds: float
    life_cycles: int
    instances: int
    tasks: int


FULL = Sizes(seconds=3.0, life_cycles=200_000, instances=5000, tasks=100_000)
QUICK = Sizes(seconds=0.3, life_cycles=5_000, instances=200, tasks=2_000)


@dataclass(frozen=True)
class Server:
    """A served endpoint with the container instances that are registered there."""

    port: int
    instances: list[str]

    def ask(self, connection: http.client.HTTPConnection, operation: str, body: bytes) -> bytes:
        """One request over a connection that is kept when the server lets us."""
        connection.request(
            "POST",
            "/",
            body,
            {
                "X-Amz-Target": TARGET + operation,
                "Content-Type": "application/x-amz-json-1.1",
                "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ecs/aws4_request"
                ", SignedHeaders=host, Signature=0",
            },
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{operation}: {response.status} {answer[:200]!r}")
        return answer

    def one(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request, parsed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        answer = self.ask(connection, operation, json.dumps(request).encode())
        connection.close()
        return dict(json.loads(answer))

    def rate(self, operation: str, request: dict[str, Any], seconds: float) -> float:
        """Requests per second, one after the other."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        body = json.dumps(request).encode()
        self.ask(connection, operation, body)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.ask(connection, operation, body)
            count += 1
        elapsed = time.perf_counter() - began
        connection.close()
        return count / elapsed


@contextmanager
def ours() -> Iterator[Server]:
    """`ecs-simulator serve` with 200 instances, unthrottled; big ones, so that no StartTask is
    refused."""
    command = [str(SCRIPTS / "ecs-simulator"), "serve", "--port", "0", "--instances", "200"]
    command += ["--instance-type", "m6i.32xlarge", "--no-throttle", "--cluster", "bench"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None
            server = Server(int(found[1]), [])
            yield Server(server.port, _instances(server))
        finally:
            process.terminate()


@contextmanager
def moto() -> Iterator[Server]:
    """moto's server with 200 instances."""
    code = (
        "import time\nfrom moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)\nserver.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\ntime.sleep(3600)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            server = Server(int(process.stdout.readline()), [])
            _register_in_moto(server, 200)
            yield Server(server.port, _instances(server))
        finally:
            process.terminate()


def _register_in_moto(server: Server, count: int) -> None:
    import boto3

    ec2 = boto3.client(
        "ec2",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
    server.one("CreateCluster", {"clusterName": "bench"})
    reservation = ec2.run_instances(ImageId="ami-12c6146b", MinCount=count, MaxCount=count)
    for instance in reservation["Instances"]:
        document = json.dumps({"instanceId": instance["InstanceId"]})
        request = {"cluster": "bench", "instanceIdentityDocument": document}
        server.one("RegisterContainerInstance", request)


def _instances(server: Server) -> list[str]:
    arns: list[str] = []
    request: dict[str, Any] = {"cluster": "bench"}
    while True:
        answer = server.one("ListContainerInstances", request)
        arns += answer["containerInstanceArns"]
        if "nextToken" not in answer:
            server.one("RegisterTaskDefinition", DEFINITION)
            return arns
        request["nextToken"] = answer["nextToken"]


def over_http(sizes: Sizes) -> list[Row]:
    """Requests per second of both servers and how they compare."""
    rows: list[Row] = []
    with ours() as mine, moto() as theirs:
        calls: list[tuple[str, str, Callable[[Server], dict[str, Any]]]] = [
            (
                "DescribeContainerInstances(100)",
                "DescribeContainerInstances",
                lambda server: {"cluster": "bench", "containerInstances": server.instances[:100]},
            ),
            (
                "StartTask(10)",
                "StartTask",
                lambda server: {
                    "cluster": "bench",
                    "taskDefinition": "bench",
                    "containerInstances": server.instances[:10],
                },
            ),
        ]
        for name, operation, request in calls:
            fast = mine.rate(operation, request(mine), sizes.seconds)
            slow = theirs.rate(operation, request(theirs), sizes.seconds)
            rows += [
                Row(name=f"{name} over HTTP", value=fast, unit="calls/s", note="one connection"),
                Row(name=f"{name} over HTTP, moto", value=slow, unit="calls/s", note="same client"),
                Row(name=f"{name}, ours to moto's", value=fast / slow, unit="times", note=""),
            ]
    return rows


def undisturbed_direct_path(sizes: Sizes) -> list[Row]:
    """The same as large simulations do it, without the collector."""
    with without_collections():
        return direct_path(sizes, 10, ", collector off")


def direct_path(sizes: Sizes, width: int, told: str = "") -> list[Row]:
    """Task life cycles through `SimulatedEcs.call`, StartTask(width) to STOPPED: per second of wall
    time and of CPU time, on one core, with the invariants on."""
    clock = [0.0]
    options = Options(throttled=False, agent_capabilities=FEW_CAPABILITIES)
    ecs = SimulatedEcs(options, lambda: clock[0])
    arns = ecs.add_instances("bench", (InstanceGroup(count=1000),))
    ecs.call("RegisterTaskDefinition", DEFINITION)
    began, worked = time.perf_counter(), time.process_time()
    for number in range(sizes.life_cycles // width):
        first = number * width % 1000
        request = {
            "cluster": "bench",
            "taskDefinition": "bench",
            "containerInstances": list(arns[first : first + width]),
            "startedBy": f"job-{number}",
        }
        ecs.call("StartTask", request)
        clock[0] += 0.01 * width
    clock[0] += 100
    ecs.advance()
    elapsed, work = time.perf_counter() - began, time.process_time() - worked
    ecs.verify()
    done = sizes.life_cycles // width * width
    name = f"task life cycles, direct path, StartTask({width}){told}"
    return [
        Row(
            name=name,
            value=done / elapsed,
            unit="tasks/s",
            note=f"{done:,} tasks on 1,000 instances to STOPPED, one core",
        ),
        Row(name=name, value=done / work, unit="tasks/CPU s", note="the same run"),
    ]


def memory(sizes: Sizes) -> Row:
    """Resident memory that the cluster and its running tasks take."""
    code = MEMORY_PROBE.format(instances=sizes.instances, tasks=sizes.tasks, definition=DEFINITION)
    probe = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return Row(
        name="memory of instances and running tasks",
        value=int(probe.stdout) / 2**20,
        unit="MiB",
        note=f"{sizes.instances:,} instances, {sizes.tasks:,} tasks RUNNING",
    )


def run(quick: bool = False) -> list[Row]:
    """All figures; quick ones take a few seconds."""
    sizes = QUICK if quick else FULL
    rows = [
        *over_http(sizes),
        *undisturbed_direct_path(sizes),
        *direct_path(sizes, 10),
        *direct_path(sizes, 1),
        memory(sizes),
    ]
    return (
        rows if quick else [*rows, virtual_hour(Hour(jobs=100_000, instances=1_000, seconds=3_600))]
    )


if __name__ == "__main__":
    main(run)
