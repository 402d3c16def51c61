"""One handler for each operation: (region, request) → answer; EcsError is an answer too."""

from collections.abc import Callable, Mapping
from typing import Any

from ecs_simulator.fields import Request
from ecs_simulator.operations import (
    attributes,
    capacity,
    clusters,
    instances,
    launching,
    run_task,
    task_definitions,
    tasks,
)
from ecs_simulator.region import Region
from ecs_simulator.service_model import checked

Handler = Callable[[Region, Request], dict[str, Any]]

_HANDLERS: Mapping[str, Handler] = {
    "CreateCapacityProvider": capacity.create_capacity_provider,
    "CreateCluster": clusters.create_cluster,
    "DeleteAttributes": attributes.delete_attributes,
    "DeleteCapacityProvider": capacity.delete_capacity_provider,
    "DeleteCluster": clusters.delete_cluster,
    "DeregisterContainerInstance": instances.deregister_container_instance,
    "DeregisterTaskDefinition": task_definitions.deregister_task_definition,
    "DescribeCapacityProviders": capacity.describe_capacity_providers,
    "DescribeClusters": clusters.describe_clusters,
    "DescribeContainerInstances": instances.describe_container_instances,
    "DescribeTaskDefinition": task_definitions.describe_task_definition,
    "DescribeTasks": tasks.describe_tasks,
    "ListAttributes": attributes.list_attributes,
    "ListClusters": clusters.list_clusters,
    "ListContainerInstances": instances.list_container_instances,
    "ListTagsForResource": attributes.list_tags_for_resource,
    "ListTaskDefinitionFamilies": task_definitions.list_task_definition_families,
    "ListTaskDefinitions": task_definitions.list_task_definitions,
    "ListTasks": tasks.list_tasks,
    "PutAttributes": attributes.put_attributes,
    "PutClusterCapacityProviders": clusters.put_cluster_capacity_providers,
    "RegisterContainerInstance": instances.register_container_instance,
    "RegisterTaskDefinition": task_definitions.register_task_definition,
    "RunTask": run_task.run_task,
    "StartTask": launching.start_task,
    "StopTask": tasks.stop_task,
    "TagResource": attributes.tag_resource,
    "UntagResource": attributes.untag_resource,
    "UpdateCapacityProvider": capacity.update_capacity_provider,
    "UpdateContainerInstancesState": instances.update_container_instances_state,
}

_KEEPING = frozenset(
    {
        "CreateCapacityProvider",
        "CreateCluster",
        "PutClusterCapacityProviders",
        "RegisterContainerInstance",
        "RegisterTaskDefinition",
        "UpdateCapacityProvider",
    }
)
"""Operations that keep whole parts of their requests."""

OPERATIONS: Mapping[str, Handler] = {
    name: checked(name, handler) if name in _KEEPING else handler
    for name, handler in _HANDLERS.items()
}
"""Operation name → handler."""

ENCODED: Mapping[str, Callable[[Region, Request], bytes]] = {
    "DescribeContainerInstances": instances.encoded_container_instances,
}
"""Operations whose answer is quicker to encode than to build first."""
