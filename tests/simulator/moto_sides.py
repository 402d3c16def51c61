"""Two servers to tell the same stories to: ours and moto's, each with a cluster for every story."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.server import ThreadedMotoServer

from ecs_simulator import InstanceGroup, Options, SimulatedEcs

from .conftest import SESSION, Calls, ManualClock, Refusal, boto3_calls, serve_in_thread

Story = Callable[["Side"], Any]
Row = tuple[Story, Any, Any]
"""A story, our answer, moto's answer."""

MOTO_SIZED = InstanceGroup(cpu_units=4096, memory_mib=7482)
NUMBERS = itertools.count()
SIGNED = "SignedHeaders=host, Signature=0"
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ecs/aws4_request, {SIGNED}"


@dataclass
class Side:
    """One server, and a cluster of its own for each story."""

    send: Calls
    register: Callable[..., str]
    endpoint: str
    cluster: str = field(default_factory=lambda: f"c{next(NUMBERS)}")

    def call(self, operation: str, **request: Any) -> Any:
        """The answer, or the exception's name."""
        try:
            return self.send(operation, request)
        except Refusal as refusal:
            return refusal.code

    def add(self, count: int = 1) -> list[str]:
        self.call("CreateCluster", clusterName=self.cluster)
        return [self.register(self.cluster) for _ in range(count)]

    def raw(self, target: str, body: bytes) -> tuple[int, Any]:
        """HTTP status and the error's type of a request that no SDK would send."""
        headers = {"X-Amz-Target": target, "Authorization": AUTHORIZATION}
        request = urllib.request.Request(self.endpoint, body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, None
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            return error.code, json.loads(text).get("__type") if text[:1] == b"{" else None

    def define(self, mode: str | None = None, **container: Any) -> str:
        base = {"name": "main", "image": "busybox", "cpu": 1000, "memory": 100}
        more = {"networkMode": mode} if mode else {}
        answer = self.call(
            "RegisterTaskDefinition",
            family=self.cluster,
            containerDefinitions=[{**base, **container}],
            **more,
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def start(self, instances: list[str], **more: Any) -> Any:
        return self.call(
            "StartTask",
            cluster=self.cluster,
            taskDefinition=self.cluster,
            containerInstances=instances,
            **more,
        )

    def run(self, **more: Any) -> Any:
        return self.call("RunTask", cluster=self.cluster, taskDefinition=self.cluster, **more)

    def cpu(self, instance: str) -> int:
        answer = self.call(
            "DescribeContainerInstances", cluster=self.cluster, containerInstances=[instance]
        )
        resources = answer["containerInstances"][0]["remainingResources"]
        return int(next(item["integerValue"] for item in resources if item["name"] == "CPU"))


@contextmanager
def both_sides() -> Iterator[dict[str, Callable[[], Side]]]:
    """Makes a Side of either server."""
    with ExitStack() as stack:
        ecs = SimulatedEcs(Options(throttled=False), ManualClock())
        own = serve_in_thread(ecs, stack)
        ours, _ = boto3_calls(own, stack)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        stack.callback(server.stop)
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        theirs, _ = boto3_calls(endpoint, stack)
        ec2 = SESSION.client("ec2", endpoint_url=endpoint)
        stack.callback(ec2.close)

        def register_ours(cluster: str, **more: Any) -> str:
            if not more:
                return str(ecs.add_instances(cluster, (MOTO_SIZED,))[0])
            answer = ours("RegisterContainerInstance", {"cluster": cluster, **more})
            return str(answer["containerInstance"]["containerInstanceArn"])

        def register_theirs(cluster: str, **more: Any) -> str:
            reservation = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
            identity = reservation["Instances"][0]["InstanceId"]
            document = json.dumps({"instanceId": identity})  # all that moto reads of it
            request = {"cluster": cluster, "instanceIdentityDocument": document, **more}
            answer = theirs("RegisterContainerInstance", request)
            return str(answer["containerInstance"]["containerInstanceArn"])

        yield {
            "ours": lambda: Side(ours, register_ours, own),
            "moto": lambda: Side(theirs, register_theirs, endpoint),
        }
