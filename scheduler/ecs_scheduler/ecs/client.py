"""The seam to Amazon ECS: one method, one API operation, paid from the budget, with errors mapped.

The SDK makes a single attempt: a retried StartTask can start its tasks twice. Everything else may
be repeated, and is, by us: so each attempt has its token, and each throttle is learnt from.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NewType

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from ecs_queue.states import InstanceArn, LaunchToken, TaskArn
from ecs_scheduler.ecs import signing
from ecs_scheduler.ecs.budget import Bucket, Budget, ReadPurpose, TokenBucket
from ecs_scheduler.ecs.call_errors import mapped_error, understood
from ecs_scheduler.ecs.container_instances import ContainerInstance, parse_container_instance
from ecs_scheduler.ecs.event_queue import EventQueue, open_event_queue
from ecs_scheduler.ecs.launch_answer import LaunchAnswer, RunTarget, launch_answer
from ecs_scheduler.ecs.tasks import Task, parse_task
from ecs_scheduler.ecs.wire import PlainParsers
from ecs_scheduler.errors import (
    AwsRefused,
    AwsUnreachable,
    CallNotSent,
    CallRefused,
    CallUnknown,
    ClusterNotFound,
    TaskDefinitionNotFound,
    Throttled,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from types_aiobotocore_ecs.client import ECSClient
    from types_aiobotocore_ecs.type_defs import ContainerInstanceTypeDef, TaskDefinitionTypeDef

    from ecs_scheduler.clock import Clock
    from ecs_scheduler.config import Config
    from ecs_scheduler.launching.launch_signature import LaunchSignature

PAGE = 100
ATTEMPTS = 3
"""Of a call that may be made twice; what fails so often is tried again by whoever needs it."""

PAUSE_S = 0.1
"""Half the wait before the second attempt, a quarter of that before the third."""

IN_PROCESS = {"aws_access_key_id": "simulated", "aws_secret_access_key": "simulated"}
"""Requests are signed even when no AWS is there to check it."""

Call = Callable[..., Awaitable[Any]]
"""One operation of the SDK's client; its answer is a TypedDict of its own."""

ClusterArn = NewType("ClusterArn", str)


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, http_session_cls: type | None = None
) -> AsyncIterator[Ecs]:
    """Open the ECS clients for the configured Region, profile and endpoint.

    `http_session_cls` replaces the HTTP transport of aiobotocore (the simulated ECS offers one).
    Raises AwsRefused when no credentials or Region can be found.
    """
    transport: dict[str, Any] = {
        "connect_timeout": config.ecs_connect_timeout_s,
        "read_timeout": config.ecs_read_timeout_s,
        "max_pool_connections": 50,
        "parameter_validation": False,  # jobs were validated when they came in, and ECS validates
    }
    options = {"region_name": config.aws_region, "endpoint_url": config.endpoint_url}
    if http_session_cls is not None:
        transport["http_session_cls"] = http_session_cls
        options |= IN_PROCESS | {"region_name": config.aws_region or "us-east-1"}
    async with AsyncExitStack() as stack:
        try:
            session = AioSession(profile=config.profile)
            # One fixed text: the SDK's own is put together anew, twice for each call.
            transport["user_agent"] = f"ecs-scheduler {session.user_agent()}"
            signed = {"signature_version": signing.SIGNED_BY_KEPT_KEY}
            once = AioConfig(retries={"total_max_attempts": 1}, **signed, **transport)
            retrying = AioConfig(retries={"mode": "standard", "total_max_attempts": 3}, **transport)
            session.register_component("response_parser_factory", PlainParsers())
            if http_session_cls is None and await session.get_credentials() is None:
                raise AwsRefused(
                    "no AWS credentials found; set AWS_PROFILE (or --profile), "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a task role"
                )
            client = await stack.enter_async_context(
                session.create_client("ecs", config=once, **options)
            )
            # Nothing is retried, so nobody needs to be asked after each call.
            client.meta.events.unregister("needs-retry.ecs", unique_id="retry-config-ecs")
            events = None
            if config.events_queue_url is not None:
                queue = open_event_queue(session, config.events_queue_url, retrying, options)
                events = await stack.enter_async_context(queue)
        except (BotoCoreError, ValueError) as error:
            raise AwsRefused(
                f"cannot set up the AWS client: {error}; "
                "check --region, --profile and --endpoint-url"
            ) from error
        ecs = Ecs(client, config.cluster, budget_of(config, clock))
        ecs.events = events
        yield ecs


def budget_of(config: Config, clock: Clock) -> Budget:
    """What this service may spend of the account's API rates."""

    def bucket(category: str, rate_per_s: float, burst: int) -> TokenBucket:
        share = config.budget_share
        return TokenBucket(category, rate_per_s * share, int(burst * share), clock.monotonic_s)

    return Budget(
        modify=bucket("modify", config.modify_rate_per_s, config.modify_burst),
        read=bucket("read", config.read_rate_per_s, config.read_burst),
        task_definition_read=bucket("task definition read", 20, 50),
    )


class Ecs:
    """One ECS cluster behind its API. Every call but a launch waits for its token first."""

    def __init__(self, client: ECSClient, cluster: str, budget: Budget) -> None:
        self._client = client
        self._cluster = cluster
        self.budget = budget
        self.events: EventQueue | None = None
        self.cluster_arn = ClusterArn("")
        self.calls: Counter[tuple[str, str]] = Counter()

    async def verify_cluster(self) -> ClusterArn:
        """The cluster's ARN. Raises ClusterNotFound unless it exists and is ACTIVE; AwsUnreachable
        or AwsRefused if we can't tell.
        """
        try:
            answer = await self._repeated(
                "DescribeClusters", None, self._client.describe_clusters, clusters=[self._cluster]
            )
        except (CallNotSent, CallUnknown) as error:
            raise AwsUnreachable(
                f"ECS does not answer ({error.message}); "
                "check the network, --endpoint-url and --region"
            ) from error
        for cluster in understood("DescribeClusters", itemgetter("clusters"), answer):
            if cluster.get("status") == "ACTIVE":
                self.cluster_arn = ClusterArn(cluster.get("clusterArn", ""))
                return self.cluster_arn
        region = self._client.meta.region_name
        raise ClusterNotFound(
            f"there is no active ECS cluster {self._cluster!r} in {region}; "
            "set --cluster (ECS_SCHEDULER_CLUSTER) or --region, or create the cluster"
        )

    async def list_container_instances(self, purpose: ReadPurpose = "sweep") -> list[InstanceArn]:
        """Every container instance that is not INACTIVE, in pages of 100."""
        operation = "ListContainerInstances", self._client.list_container_instances
        pages = self._pages(operation, "containerInstanceArns", purpose)
        return [InstanceArn(arn) async for page in pages for arn in page]

    async def describe_container_instances(
        self, arns: Sequence[InstanceArn], purpose: ReadPurpose = "sweep"
    ) -> tuple[list[ContainerInstance], list[InstanceArn]]:
        """Up to 100 instances, and those of them that ECS does not know."""
        operation = "DescribeContainerInstances"
        call = self._client.describe_container_instances
        answer = await self._read(operation, purpose, call, containerInstances=list(arns))
        return understood(
            operation,
            lambda answer: (
                [self._instance(raw) for raw in answer["containerInstances"]],
                [InstanceArn(failure.get("arn", "")) for failure in answer["failures"]],
            ),
            answer,
        )

    def _instance(self, raw: ContainerInstanceTypeDef) -> ContainerInstance:
        """What an answer says of one instance."""
        return parse_container_instance(raw)

    async def describe_tasks(
        self, arns: Sequence[TaskArn], purpose: ReadPurpose = "track"
    ) -> tuple[list[Task], list[TaskArn]]:
        """Up to 100 tasks, and those of them that ECS does not know (or does not show yet)."""
        answer = await self._read(
            "DescribeTasks", purpose, self._client.describe_tasks, tasks=list(arns)
        )
        return understood(
            "DescribeTasks",
            lambda answer: (
                [parse_task(raw) for raw in answer["tasks"]],
                [TaskArn(failure.get("arn", "")) for failure in answer["failures"]],
            ),
            answer,
        )

    async def list_tasks_started_by(
        self, token: LaunchToken, purpose: ReadPurpose = "reconcile"
    ) -> list[TaskArn]:
        """Tasks of one launch; whether stopped ones are among them is not documented, so don't
        count on it.
        """
        return await self._list_tasks(purpose, startedBy=token)

    async def list_running_tasks(self) -> list[TaskArn]:
        """Every task of the cluster that is to run."""
        return await self._list_tasks("reconcile", desiredStatus="RUNNING")

    async def list_stopped_tasks(
        self, *, instance: InstanceArn | None = None, family: str | None = None
    ) -> list[TaskArn]:
        """Tasks whose desired status is STOPPED, on one instance or of one family; visible for
        about an hour.
        """
        where = {"containerInstance": instance} if instance else {"family": family or ""}
        return await self._list_tasks("reconcile", desiredStatus="STOPPED", **where)

    async def _list_tasks(self, purpose: ReadPurpose, **filters: Any) -> list[TaskArn]:
        pages = self._pages(("ListTasks", self._client.list_tasks), "taskArns", purpose, **filters)
        return [TaskArn(arn) async for page in pages for arn in page]

    async def describe_task_definition(self, name: str) -> TaskDefinitionTypeDef:
        """A task definition by family, family:revision or ARN. Raises TaskDefinitionNotFound."""
        try:
            answer = await self._repeated(
                "DescribeTaskDefinition",
                self.budget.task_definition_read.take,
                self._client.describe_task_definition,
                taskDefinition=name,
            )
        except CallRefused as error:
            raise TaskDefinitionNotFound(
                f"task definition {name!r} cannot be used ({error.message}); "
                "register it, or correct the job's task_definition, and submit the job again"
            ) from error
        return understood("DescribeTaskDefinition", _task_definition, answer)

    async def launch_allowed(self) -> None:
        """Wait for the token of one StartTask or RunTask, and spend it.

        Apart from the call itself, so that nothing is written down for a call that still waits.
        """
        await self.budget.modify.take(Budget.STOP_RESERVE)

    async def start_task(
        self, signature: LaunchSignature, instances: Sequence[InstanceArn], token: LaunchToken
    ) -> LaunchAnswer:
        """StartTask on up to ten different instances, one attempt, after `launch_allowed`.

        Raises Throttled, CallNotSent or CallRefused when nothing was started, CallUnknown when
        nobody knows.
        """
        with self._errors("StartTask"):
            answer = await self._client.start_task(
                cluster=self._cluster,
                containerInstances=list(instances),
                startedBy=token,
                **signature.parameters(),
            )
        return understood("StartTask", launch_answer, answer)

    async def run_task(
        self, signature: LaunchSignature, count: int, target: RunTarget, token: LaunchToken
    ) -> LaunchAnswer:
        """RunTask for `count` ≤ 10 tasks with the token as clientToken and startedBy, one
        attempt; raises like start_task.
        """
        with self._errors("RunTask"):
            answer = await self._client.run_task(
                cluster=self._cluster,
                count=count,
                clientToken=token,
                startedBy=token,
                **signature.parameters(),
                **signature.where(),
                **target.parameters(),
            )
        return understood("RunTask", launch_answer, answer)

    async def stop_task(self, arn: TaskArn, reason: str) -> None:
        """Ask ECS to stop a task; asking twice does no harm."""
        await self._repeated(
            "StopTask",
            self.budget.modify.take,
            self._client.stop_task,
            cluster=self._cluster,
            task=arn,
            reason=reason[:255],
        )

    async def _pages(
        self, operation: tuple[str, Call], member: str, purpose: ReadPurpose, **filters: Any
    ) -> AsyncIterator[list[str]]:
        """Every page of a list, a hundred entries each."""
        name, call = operation
        token: str | None = None
        while True:
            more = filters if token is None else filters | {"nextToken": token}
            page = await self._read(name, purpose, call, maxResults=PAGE, **more)
            yield understood(name, lambda page: [str(each) for each in page[member]], page)
            last, token = token, page.get("nextToken")
            if not token:
                return
            if token == last:
                raise CallUnknown(name, "nextToken", "ECS sends the same page again and again")

    async def _read(
        self, operation: str, purpose: ReadPurpose, call: Call, **request: Any
    ) -> dict[str, Any]:
        """A read of this cluster for this purpose."""
        pay = partial(self.budget.read_for, purpose)
        return await self._repeated(operation, pay, call, cluster=self._cluster, **request)

    async def _repeated(
        self, operation: str, pay: Callable[[], Awaitable[None]] | None, call: Call, **request: Any
    ) -> dict[str, Any]:
        """A call that may be made twice: up to ATTEMPTS times while ECS is busy or out of reach,
        each paid for by itself. After a throttle the bucket says when the next may follow.
        """
        for attempt in range(1, ATTEMPTS + 1):
            if pay is not None:
                await pay()
            try:
                with self._errors(operation):
                    answer: dict[str, Any] = await call(**request)
                    return answer
            except (Throttled, CallNotSent, CallUnknown) as error:
                if attempt == ATTEMPTS:
                    raise
                if pay is None or not isinstance(error, Throttled):
                    await asyncio.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            mapped = mapped_error(operation, error)
            self.calls[operation, type(mapped).__name__] += 1
            if isinstance(mapped, Throttled):
                self._bucket(operation).throttled()
            raise mapped from error
        self.calls[operation, "ok"] += 1

    def _bucket(self, operation: str) -> Bucket:
        if operation in ("StartTask", "RunTask", "StopTask"):
            return self.budget.modify
        if operation == "DescribeTaskDefinition":
            return self.budget.task_definition_read
        return self.budget.read


def _task_definition(answer: Any) -> TaskDefinitionTypeDef:
    """With the members that all of them have."""
    definition: TaskDefinitionTypeDef = answer["taskDefinition"]
    names = [each["name"] for each in definition.get("containerDefinitions", ())]
    if not (definition["taskDefinitionArn"] and definition["family"] and all(names)):
        raise ValueError("a task definition without a name")
    return definition
