"""Clusters: create, describe, list, delete, and the capacity providers associated with one."""

import re
from typing import Any

from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.fields import Request, included, page, structs, tags, text, texts
from ecs_simulator.names import last_segment
from ecs_simulator.records import STOPPED, Cluster
from ecs_simulator.region import Region, failure
from ecs_simulator.shapes import cluster_shape

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_ALL = ["SETTINGS", "TAGS"]
_INCLUDES = ("ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS")


def create_cluster(region: Region, request: Request) -> dict[str, Any]:
    """CreateCluster: creating an ACTIVE cluster again answers the one that exists."""
    name = text(request, "clusterName") or "default"
    if not _NAME.match(name):
        raise invalid_parameter("Invalid cluster name.")
    found = region.clusters.get(name)
    if found is None or found.status != "ACTIVE":
        found = Cluster(
            arn=region.names.cluster(name),
            container_arns=region.names.arn(f"container/{name}/"),
            name=name,
            number=region.next_number(),
            created_at=region.now,
            settings=structs(request, "settings")
            or [{"name": "containerInsights", "value": "disabled"}],
            tags=tags(request),
        )
        associate(region, found, request)
        region.clusters[name] = found
    return {"cluster": cluster_shape(found, _ALL)}


def associate(region: Region, cluster: Cluster, request: Request) -> None:
    """Set the cluster's capacity providers and default strategy from a request."""
    providers = [last_segment(one) for one in texts(request, "capacityProviders")]
    for name in providers:
        if name not in region.providers and name not in ("FARGATE", "FARGATE_SPOT"):
            raise invalid_parameter(
                f"The specified capacity provider '{name}' is not in an ACTIVE state. "
                "Specify a valid capacity provider and try again."
            )
    strategy = structs(request, "defaultCapacityProviderStrategy")
    for item in strategy:
        if last_segment(str(text(item, "capacityProvider"))) not in providers:
            raise invalid_parameter(
                "The specified capacity provider strategy contains a capacity provider that is not "
                "associated with the cluster."
            )
    cluster.providers, cluster.default_strategy = providers, strategy


def put_cluster_capacity_providers(region: Region, request: Request) -> dict[str, Any]:
    """PutClusterCapacityProviders: replaces the association."""
    cluster = region.cluster(request)
    associate(region, cluster, request)
    return {"cluster": cluster_shape(cluster, _ALL)}


def describe_clusters(region: Region, request: Request) -> dict[str, Any]:
    """DescribeClusters: up to 100, `default` when none is named."""
    names = texts(request, "clusters") or ["default"]
    if len(names) > 100:
        raise invalid_parameter("clusters can have at most 100 items")
    include = included(request, *_INCLUDES)
    found, failures = [], []
    for name in names:
        cluster = region.clusters.get(last_segment(name))
        if cluster is None:
            arn = name if name.startswith("arn:") else region.names.cluster(name)
            failures.append(failure(arn, "MISSING"))
        else:
            found.append(cluster_shape(cluster, include))
    return {"clusters": found, "failures": failures}


def list_clusters(region: Region, request: Request) -> dict[str, Any]:
    """ListClusters: ARNs of the ACTIVE clusters, in pages."""
    arns, token = page(
        request,
        region.options.page_size_max,
        lambda after: [
            (one.number, one.arn)
            for one in region.clusters.values()
            if one.number > after and one.status == "ACTIVE"
        ],
    )
    return {"clusterArns": arns, **({"nextToken": token} if token else {})}


def delete_cluster(region: Region, request: Request) -> dict[str, Any]:
    """DeleteCluster: only when nothing is registered or running in it."""
    cluster = region.cluster(request)
    if any(one.status != "INACTIVE" for one in cluster.instances.values()):
        raise EcsError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if any(one.status < STOPPED for one in cluster.tasks.values()):
        raise EcsError(
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        )
    cluster.status = "INACTIVE"
    return {"cluster": cluster_shape(cluster, _ALL)}
