"""The simulated ECS behind the service's own seam without botocore in between: requests and
answers are the same dictionaries, nothing is signed, serialised or parsed.
"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from ecs_simulator import SimulatedEcs
from ecs_simulator.errors import EcsError


class DirectClient:
    """The operations of an ECS client that `ecs_scheduler.ecs.client.Ecs` uses."""

    def __init__(self, ecs: SimulatedEcs) -> None:
        self._ecs = ecs

    async def list_container_instances(self, **request: Any) -> dict[str, Any]:
        """ListContainerInstances."""
        return await self.answered("ListContainerInstances", request)

    async def list_tasks(self, **request: Any) -> dict[str, Any]:
        """ListTasks."""
        return await self.answered("ListTasks", request)

    async def describe_clusters(self, **request: Any) -> dict[str, Any]:
        """DescribeClusters."""
        return await self.answered("DescribeClusters", request)

    async def describe_container_instances(self, **request: Any) -> dict[str, Any]:
        """DescribeContainerInstances."""
        return await self.answered("DescribeContainerInstances", request)

    async def describe_tasks(self, **request: Any) -> dict[str, Any]:
        """DescribeTasks."""
        return await self.answered("DescribeTasks", request)

    async def describe_task_definition(self, **request: Any) -> dict[str, Any]:
        """DescribeTaskDefinition."""
        return await self.answered("DescribeTaskDefinition", request)

    async def start_task(self, **request: Any) -> dict[str, Any]:
        """StartTask."""
        return await self.answered("StartTask", request)

    async def run_task(self, **request: Any) -> dict[str, Any]:
        """RunTask."""
        return await self.answered("RunTask", request)

    async def stop_task(self, **request: Any) -> dict[str, Any]:
        """StopTask."""
        return await self.answered("StopTask", request)

    async def answered(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One call; a way for faults to get in between."""
        return self.call(operation, request)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises ClientError, as botocore does."""
        try:
            return self._ecs.call(operation, request)
        except EcsError as error:
            raise client_error(operation, error) from error


def client_error(operation: str, error: EcsError) -> ClientError:
    """What botocore raises for a refusal."""
    return ClientError(
        {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.status},
        },
        operation,
    )
