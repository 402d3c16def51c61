"""A scheduler at work on a simulated cluster, for pages: its time passes while somebody sleeps. Its
settings are those of the folder's ecs-scheduler.toml, if the page shows one.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ecs_queue.client import Queue
from ecs_queue.states import QueueName
from ecs_scheduler.clock import LoopClock
from ecs_scheduler.config_sources import load_config
from ecs_scheduler.ecs.client import Ecs, budget_of
from ecs_scheduler.metrics import Metrics
from ecs_scheduler.passes.service import Service
from ecs_scheduler.simulate.blocking_redis import connect_blocking
from ecs_scheduler.simulate.direct_ecs import DirectClient
from ecs_simulator import FEW_CAPABILITIES, InstanceGroup, Options, SimulatedEcs, VirtualClock
from ecs_simulator.virtual_time import VirtualLoop

CLUSTER = "batch"


@dataclass(frozen=True)
class Echoed:
    """What one task wrote."""

    family: str
    revision: int
    task_id: str
    lines: list[str]


class Cluster:
    """Two instances, and a task definition for whatever a job of the queue names."""

    def __init__(self, socket_path: str, queue: str, folder: Path) -> None:
        self._socket_path, self._queue, self._folder = socket_path, QueueName(queue), folder
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        loop = cast("VirtualLoop", self._runner.get_loop())
        self._clock = VirtualClock(loop, time.time())
        self.sim = SimulatedEcs(
            Options(agent_capabilities=FEW_CAPABILITIES), self._clock.now, seed=1
        )
        self.sim.add_instances(CLUSTER, (InstanceGroup(count=2, instance_type="m5.xlarge"),))

    def close(self) -> None:
        """End the loop."""
        self._runner.close()

    def sleep(self, seconds: float) -> None:
        """Let the scheduler work for so long."""
        self._runner.run(self._work(seconds))

    def put_attributes(self, written: str) -> None:
        """Those of `aws ecs put-attributes`, whatever target they name, for the first instance."""
        given = dict(each.split("=", 1) for each in written.split(","))
        (first, *_) = self.sim.call("ListContainerInstances", {"cluster": CLUSTER})[
            "containerInstanceArns"
        ]
        attribute = {"targetType": "container-instance", **given, "targetId": first}
        self.sim.call("PutAttributes", {"cluster": CLUSTER, "attributes": [attribute]})

    def echoed(self) -> Iterator[Echoed]:
        """What the containers of every task echoed."""
        for task in self.sim.tasks():
            (described,) = self.sim.call(
                "DescribeTasks", {"cluster": CLUSTER, "tasks": [task.arn]}
            )["tasks"]
            overrides = described["overrides"].get("containerOverrides", [])
            words = " ".join(word for each in overrides for word in each.get("command", ()))
            family, _, revision = described["taskDefinitionArn"].rpartition("/")[2].partition(":")
            lines = re.findall(r"echo ([^;]+)", words)
            yield Echoed(family, int(revision), task.arn.rpartition("/")[2], lines)

    async def _work(self, seconds: float) -> None:
        clock = LoopClock(round(self._clock.start * 1000))
        flags = {"cluster": CLUSTER, "queue": self._queue, "pass_interval_s": 1.0}
        config = load_config({**flags, "http_port": None}, {}, directory=self._folder)
        redis = connect_blocking(self._socket_path)
        queue = Queue(redis, self._queue, now_ms=lambda: round(self._clock.now() * 1000))
        for job in await queue.jobs(limit=1000):
            self._define(job.job.task_definition)
        client: Any = DirectClient(self.sim)
        ecs = Ecs(client, CLUSTER, budget_of(config, clock))
        service = Service(config, queue, ecs, Metrics(), clock)
        running = asyncio.create_task(service.run())
        await asyncio.sleep(seconds)
        service.stop()
        await running
        await redis.aclose()

    def _define(self, name: str) -> None:
        """Register revisions of a family up to the one that is named."""
        family, _, revision = name.partition(":")
        container = {"name": "main", "image": "busybox", "cpu": 512, "memory": 512}
        definition = {"family": family, "containerDefinitions": [container]}
        registered = self.sim.call("ListTaskDefinitions", {"familyPrefix": family})
        for _ in range(len(registered["taskDefinitionArns"]), int(revision or 1)):
            self.sim.call("RegisterTaskDefinition", definition)
