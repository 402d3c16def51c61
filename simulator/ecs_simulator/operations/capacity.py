"""Capacity providers: create, describe, update, delete; shares of a strategy; tasks that wait for
capacity."""

import json
from collections.abc import Callable
from typing import Any

from ecs_simulator.errors import client_error, invalid_parameter
from ecs_simulator.fields import (
    Request,
    included,
    integer,
    page,
    required_text,
    struct,
    tags,
    text,
    texts,
)
from ecs_simulator.names import last_segment
from ecs_simulator.operations.launching import new_task, settle_on, zones_of
from ecs_simulator.records import (
    PROVISIONING,
    CapacityProvider,
    Cluster,
    Instance,
    Launch,
    Task,
    Unplaced,
)
from ecs_simulator.region import Region, failure
from ecs_simulator.resources import refusal

FARGATE = ("FARGATE", "FARGATE_SPOT")


def create_capacity_provider(region: Region, request: Request) -> dict[str, Any]:
    """CreateCapacityProvider for an Auto Scaling group."""
    name = required_text(request, "name", "Capacity provider name")
    if name.lower().startswith(("aws", "ecs", "fargate")):
        raise invalid_parameter("The name can not start with aws, ecs or fargate.")
    if name in region.providers:
        raise client_error("A capacity provider with this name already exists.")
    group = struct(request, "autoScalingGroupProvider")
    required_text(group, "autoScalingGroupArn", "autoScalingGroupArn")
    provider = CapacityProvider(
        arn=region.names.arn(f"capacity-provider/{name}"),
        name=name,
        document=json.loads(json.dumps(group)),
        tags=tags(request),
        number=region.next_number(),
    )
    region.providers[name] = provider
    return {"capacityProvider": _shape(provider, True)}


def _shape(provider: CapacityProvider, with_tags: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "capacityProviderArn": provider.arn,
        "name": provider.name,
        "status": provider.status,
        "tags": provider.tags if with_tags else [],
    }
    if provider.document:
        shape["autoScalingGroupProvider"] = provider.document
        shape["type"] = "EC2_AUTOSCALING"
    return shape


def _found(region: Region, name: str) -> CapacityProvider:
    provider = region.providers.get(last_segment(name))
    if provider is None:
        raise client_error("The specified capacity provider does not exist.")
    return provider


def describe_capacity_providers(region: Region, request: Request) -> dict[str, Any]:
    """DescribeCapacityProviders: named ones or all, ten to a page."""
    names = texts(request, "capacityProviders")
    if len(names) > 100:
        raise invalid_parameter("capacityProviders can have at most 100 items")
    if not 1 <= integer(request, "maxResults", 10) <= 10:
        raise invalid_parameter("maxResults must be between 1 and 10.")
    with_tags = "TAGS" in included(request, "TAGS")
    known = [*_fargate(region), *region.providers.values()]
    by_name = {one.name: one for one in known}
    failures = [failure(name, "MISSING") for name in names if last_segment(name) not in by_name]
    wanted = [by_name[last_segment(n)] for n in names if last_segment(n) in by_name]
    chosen = wanted if names else known
    found, token = page(
        request,
        10,
        lambda after: [(i, one) for i, one in enumerate(chosen, start=1) if i > after],
    )
    answer: dict[str, Any] = {
        "capacityProviders": [_shape(one, with_tags) for one in found],
        "failures": failures,
    }
    return {**answer, "nextToken": token} if token else answer


def _fargate(region: Region) -> list[CapacityProvider]:
    return [
        CapacityProvider(
            arn=region.names.arn(f"capacity-provider/{name}"),
            name=name,
            document={},
            tags=[],
            number=0,
        )
        for name in FARGATE
    ]


def update_capacity_provider(region: Region, request: Request) -> dict[str, Any]:
    """UpdateCapacityProvider: replaces parts of the Auto Scaling group's settings."""
    provider = _found(region, required_text(request, "name", "Capacity provider name"))
    provider.document = {**provider.document, **struct(request, "autoScalingGroupProvider")}
    return {"capacityProvider": _shape(provider, True)}


def delete_capacity_provider(region: Region, request: Request) -> dict[str, Any]:
    """DeleteCapacityProvider: not while a cluster uses it."""
    name = required_text(request, "capacityProvider", "Capacity provider")
    provider = _found(region, name)
    if any(provider.name in cluster.providers for cluster in region.clusters.values()):
        raise client_error("The capacity provider is in use by a cluster.")
    del region.providers[provider.name]
    provider.status = "INACTIVE"
    return {"capacityProvider": _shape(provider, True)}


def _check_item(item: Request) -> None:
    """Weight and base have their ranges (API model, CapacityProviderStrategyItem)."""
    for member, most in (("weight", 1000), ("base", 100_000)):
        if not 0 <= integer(item, member, 0) <= most:
            raise invalid_parameter(f"{member} must be between 0 and {most}.")


def provider_shares(
    region: Region, cluster: Cluster, strategy: list[dict[str, Any]], count: int
) -> list[tuple[str, int]]:
    """How many of `count` tasks go to each provider: bases first, then by weight.

    Weights are honoured over the tasks of the call; the remainder goes to the providers in the
    order of the strategy.
    """
    if len(strategy) > 20:
        raise invalid_parameter("capacityProviderStrategy can have at most 20 items")
    items = [(last_segment(str(text(one, "capacityProvider"))), one) for one in strategy]
    for name, item in items:
        if name not in cluster.providers and name not in FARGATE:
            raise invalid_parameter(
                "The specified capacity provider strategy contains a capacity provider that is not "
                "associated with the cluster."
            )
        _check_item(item)
    if sum(integer(item, "base", 0) > 0 for _, item in items) > 1:
        raise invalid_parameter("Only one capacity provider in a strategy can have a base defined.")
    shares = dict.fromkeys((name for name, _ in items), 0)
    left = count
    for name, item in items:
        taken = min(left, integer(item, "base", 0))
        shares[name] += taken
        left -= taken
    weights = {name: integer(item, "weight", 1 if len(items) == 1 else 0) for name, item in items}
    total = sum(weights.values())
    if left and not total:
        raise invalid_parameter("At least one capacity provider must have a weight above 0.")
    spread = left
    for name, weight in weights.items():
        part = spread * weight // total if total else 0
        shares[name] += part
        left -= part
    for name in [name for name, weight in weights.items() if weight][:left]:
        shares[name] += 1
    return [(name, share) for name, share in shares.items() if share]


def start_provisioning(
    region: Region,
    cluster: Cluster,
    launch: Launch,
    provider: str,
    suits: Callable[[Instance], bool],
) -> Task:
    """A task in PROVISIONING that waits until its provider has room for it."""
    cluster.unplaced = [one for one in cluster.unplaced if one.task.wanted]
    if len(cluster.unplaced) >= region.options.provisioning_quota:
        raise client_error(
            "You've reached the limit on the number of tasks you can launch in a "
            "PROVISIONING state."
        )
    task = new_task(region, cluster, launch, provider)
    task.status = PROVISIONING
    cluster.unplaced.append(Unplaced(task, suits))
    region.agents.history.note(region.now, "PROVISIONING", task)
    if len(cluster.unplaced) == 1:
        schedule_retry(region, cluster)
    return task


def schedule_retry(region: Region, cluster: Cluster) -> None:
    """Try to place the waiting tasks of the cluster again in a while."""
    at = region.now + region.options.lifecycle.placement_retry_s
    region.agenda.schedule(at, lambda _, now: retry(region, cluster, now), (cluster,))


def retry(region: Region, cluster: Cluster, at: float) -> None:
    """Place whichever waiting tasks have room now, oldest first; give up on those that waited too
    long."""
    still: list[Unplaced] = []
    limit = region.options.lifecycle.provisioning_timeout_s
    for one in cluster.unplaced:
        task = one.task
        if not task.wanted:
            continue
        instance = _room(region, cluster, one)
        if instance is not None:
            settle_on(region, task, instance)
            region.agents.placed(task, at)
        elif at - task.created_at >= limit:
            reason = f"TaskFailedToStart: {one.last_refusal}"
            region.agents.lose(task, at, "TaskFailedToStart", reason)
        else:
            still.append(one)
    cluster.unplaced = still
    if still:
        schedule_retry(region, cluster)


def _room(region: Region, cluster: Cluster, one: Unplaced) -> Instance | None:
    launch, zones = one.task.launch, zones_of(region, one.task.launch)
    for instance in cluster.instances.values():
        if instance.status != "ACTIVE" or instance.capacity_provider != one.task.provider:
            continue
        refused = refusal(instance, launch, zones)
        if refused is None and one.suits(instance):
            return instance
        one.last_refusal = refused or "MemberOf placement constraint unsatisfied"
    return None
