"""CloudWatch Logs and ECS as moto's server plays them, for `ecs-scheduler logs`."""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.cli.cluster import Cluster

NOW = time.time_ns() // 1_000_000 // 1000 * 1000
"""CloudWatch refuses lines from another day."""


@dataclass
class Cloud:
    """What the command finds there; `name` is a family and a log group of this test."""

    ecs: Any
    logs: Any
    name: str
    followed: set[str] = field(default_factory=set)

    def define(self, *containers: dict[str, Any]) -> None:
        """A task definition whose containers log to the group of this test."""
        self.ecs.register_task_definition(
            family=self.name,
            containerDefinitions=[
                {"image": "busybox", "memory": 64, **each} for each in containers
            ],
        )

    def awslogs(self, **options: str) -> dict[str, Any]:
        given = {"awslogs-group": self.name, "awslogs-region": "us-east-1", **options}
        return {"logDriver": "awslogs", "options": given}

    def write(self, stream: str, *messages: str, at_ms: int = NOW) -> None:
        """Lines of one stream, a millisecond apart."""
        self.logs.create_log_stream(logGroupName=self.name, logStreamName=stream)
        events = [{"timestamp": at_ms + i, "message": each} for i, each in enumerate(messages)]
        self.logs.put_log_events(logGroupName=self.name, logStreamName=stream, logEvents=events)

    def follow(self, cluster: Cluster) -> None:
        """Know the cluster's task definitions, and the logs of its tasks."""
        containers = [{"name": "main", "image": "busybox", "memory": 64}]
        for task in cluster.echoed():
            if task.task_id in self.followed:
                continue
            self.followed.add(task.task_id)
            options = self.awslogs(**{"awslogs-stream-prefix": task.family})
            containers[0]["logConfiguration"] = options
            revision = 0
            while revision < task.revision:
                definition = self.ecs.register_task_definition(
                    family=task.family, containerDefinitions=containers
                )["taskDefinition"]
                revision = definition["revision"]
            self.write(f"{task.family}/main/{task.task_id}", *task.lines)
