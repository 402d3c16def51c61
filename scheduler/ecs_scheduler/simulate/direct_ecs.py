"""The simulated ECS behind the service's own seam without botocore in between: requests and
answers are the same dictionaries, nothing is signed, serialised or parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from ecs_scheduler.ecs.client import Ecs
from ecs_simulator.errors import EcsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_aiobotocore_ecs.type_defs import ContainerInstanceTypeDef

    from ecs_scheduler.ecs.budget import Budget
    from ecs_scheduler.ecs.container_instances import ContainerInstance
    from ecs_simulator import SimulatedEcs


class DirectEcs(Ecs):
    """The service's seam to a simulated ECS; an instance that is described by the same dictionary
    as before is not parsed again, which spares a sweep of a large quiet cluster most of its time.
    """

    def __init__(self, ecs: SimulatedEcs, cluster: str, budget: Budget) -> None:
        client = cast("Any", DirectClient(ecs))
        super().__init__(client, cluster, budget)
        self._parsed: dict[str, tuple[ContainerInstanceTypeDef, ContainerInstance]] = {}

    def _instance(self, raw: ContainerInstanceTypeDef) -> ContainerInstance:
        known = self._parsed.get(raw["containerInstanceArn"])
        if known is None or known[0] is not raw:
            known = self._parsed[raw["containerInstanceArn"]] = raw, super()._instance(raw)
        return known[1]


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
