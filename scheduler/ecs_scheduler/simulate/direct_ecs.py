"""The simulated ECS behind the service's own seam without botocore in between: requests and
answers are the same dictionaries, nothing is signed, serialised or parsed.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ecs_simulator import SimulatedEcs
from ecs_simulator.errors import EcsError

_PAGE = 100


class DirectClient:
    """The operations of an ECS client that `ecs_scheduler.ecs.client.Ecs` uses."""

    def __init__(self, ecs: SimulatedEcs) -> None:
        self._ecs = ecs

    def get_paginator(self, operation: str) -> "_Paginator":
        """A paginator of list_container_instances or list_tasks."""
        return _Paginator(self, "".join(word.title() for word in operation.split("_")))

    async def describe_clusters(self, **request: Any) -> dict[str, Any]:
        """DescribeClusters."""
        return self.call("DescribeClusters", request)

    async def describe_container_instances(self, **request: Any) -> dict[str, Any]:
        """DescribeContainerInstances."""
        return self.call("DescribeContainerInstances", request)

    async def describe_tasks(self, **request: Any) -> dict[str, Any]:
        """DescribeTasks."""
        return self.call("DescribeTasks", request)

    async def describe_task_definition(self, **request: Any) -> dict[str, Any]:
        """DescribeTaskDefinition."""
        return self.call("DescribeTaskDefinition", request)

    async def start_task(self, **request: Any) -> dict[str, Any]:
        """StartTask."""
        return self.call("StartTask", request)

    async def run_task(self, **request: Any) -> dict[str, Any]:
        """RunTask."""
        return self.call("RunTask", request)

    async def stop_task(self, **request: Any) -> dict[str, Any]:
        """StopTask."""
        return self.call("StopTask", request)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises ClientError, as botocore does."""
        try:
            return self._ecs.call(operation, request)
        except EcsError as error:
            raise ClientError(
                {
                    "Error": {"Code": error.code, "Message": error.message},
                    "ResponseMetadata": {"HTTPStatusCode": error.status},
                },
                operation,
            ) from error


class _Paginator:
    """Pages of one list operation."""

    def __init__(self, client: DirectClient, operation: str) -> None:
        self._client = client
        self._operation = operation

    async def paginate(self, **request: Any) -> AsyncIterator[dict[str, Any]]:
        """Every page, a hundred entries each."""
        del request["PaginationConfig"]
        request["maxResults"] = _PAGE
        while True:
            page = self._client.call(self._operation, request)
            yield page
            if not page.get("nextToken"):
                return
            request["nextToken"] = page["nextToken"]
