"""The names of things: ARNs and ids as types of their own, and the one place that builds them."""

from dataclasses import dataclass
from random import Random
from typing import NewType

ClusterArn = NewType("ClusterArn", str)
InstanceArn = NewType("InstanceArn", str)
TaskArn = NewType("TaskArn", str)
TaskDefinitionArn = NewType("TaskDefinitionArn", str)


def last_segment(name_or_arn: str) -> str:
    """The id or name at the end of an ARN; a bare id or name stays as it is."""
    return name_or_arn.rpartition("/")[2]


def random_id(rng: Random) -> str:
    """A 32-digit hexadecimal id, as tasks and container instances have."""
    return rng.getrandbits(128).to_bytes(16).hex()


@dataclass(frozen=True, slots=True)
class Names:
    """Builds the ARNs of one account in one Region."""

    account: str
    region: str

    def arn(self, resource: str) -> str:
        """The ARN of an ECS resource such as `cluster/demo`."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"

    def cluster(self, name: str) -> ClusterArn:
        """The ARN of a cluster."""
        return ClusterArn(self.arn(f"cluster/{name}"))

    def task(self, cluster: str, identity: str) -> TaskArn:
        """The ARN of a task."""
        return TaskArn(f"arn:aws:ecs:{self.region}:{self.account}:task/{cluster}/{identity}")

    def task_definition(self, family: str, revision: int) -> TaskDefinitionArn:
        """The ARN of one revision of a task definition."""
        return TaskDefinitionArn(self.arn(f"task-definition/{family}:{revision}"))
