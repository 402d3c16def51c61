"""Custom attributes of container instances, and tags of resources."""

import re
from typing import Any

from ecs_simulator.errors import EcsError, invalid_parameter
from ecs_simulator.fields import Request, choice, page, required_text, structs, tags, text, texts
from ecs_simulator.records import Cluster, Instance, Task, TaskDefinition
from ecs_simulator.region import Region, find_instance, find_task

MAX_ATTRIBUTES = 10
_NAME = re.compile(r"[A-Za-z0-9_./\\-]{1,128}\Z")


def _target(cluster: Cluster, item: Request) -> Instance:
    target = required_text(item, "targetId", "targetId")
    choice(item, "targetType", ("container-instance",))
    instance = find_instance(cluster, target)
    if instance is None or instance.status == "INACTIVE":
        raise EcsError("TargetNotFoundException", f"Could not find {target}")
    return instance


def put_attributes(region: Region, request: Request) -> dict[str, Any]:
    """PutAttributes: creates or replaces up to ten custom attributes."""
    cluster = region.cluster(request)
    items = structs(request, "attributes")
    if not items:
        raise invalid_parameter("attributes can not be empty")
    if len(items) > MAX_ATTRIBUTES:
        raise invalid_parameter("attributes can have at most 10 items")
    targets = [(item, _target(cluster, item)) for item in items]
    for item, instance in targets:
        name, value = text(item, "name") or "", text(item, "value")
        bad_value = value is not None and (value != value.strip() or not 1 <= len(value) <= 128)
        if not _NAME.match(name) or bad_value:
            raise invalid_parameter(f"Invalid attribute name or value: {name}")
        if len(instance.custom_attributes | {name}) > MAX_ATTRIBUTES:
            raise EcsError("AttributeLimitExceededException", "At most 10 custom attributes.")
        instance.custom_attributes.add(name)
        instance.attributes[name] = value
        instance.encoded_fixed = None
        instance.version += 1
    return {"attributes": [_shape(i, str(text(one, "name"))) for one, i in targets]}


def _shape(instance: Instance, name: str) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": name,
        "targetType": "container-instance",
        "targetId": instance.arn,
    }
    value = instance.attributes.get(name)
    return shape if value is None else {**shape, "value": value}


def delete_attributes(region: Region, request: Request) -> dict[str, Any]:
    """DeleteAttributes: only custom ones; what is not there is left out of the answer."""
    cluster = region.cluster(request)
    deleted = []
    for item in structs(request, "attributes"):
        instance, name = _target(cluster, item), text(item, "name") or ""
        if name in instance.custom_attributes:
            deleted.append(_shape(instance, name))
            instance.custom_attributes.discard(name)
            instance.attributes.pop(name, None)
            instance.encoded_fixed = None
            instance.version += 1
    return {"attributes": deleted}


def list_attributes(region: Region, request: Request) -> dict[str, Any]:
    """ListAttributes: by name and value, in pages."""
    cluster = region.cluster(request)
    if choice(request, "targetType", ("container-instance",)) is None:
        raise invalid_parameter("targetType can not be blank.")
    wanted, value = text(request, "attributeName"), text(request, "attributeValue")
    found = [
        _shape(instance, name)
        for instance in cluster.instances.values()
        if instance.status != "INACTIVE"
        for name, held in instance.attributes.items()
        if (wanted is None or name == wanted) and (value is None or held == value)
    ]
    items, token = page(
        request,
        region.options.page_size_max,
        lambda after: [entry for entry in enumerate(found, start=1) if entry[0] > after],
    )
    return {"attributes": items, **({"nextToken": token} if token else {})}


Tagged = Cluster | Instance | Task | TaskDefinition


def _tagged(region: Region, request: Request) -> Tagged:
    """The resource that `resourceArn` names."""
    arn = required_text(request, "resourceArn", "resourceArn")
    kind, _, name = arn.rpartition(":")[2].partition("/")
    found: Tagged | None = None
    if ":task-definition/" in arn:
        found = region.task_definition(arn)
    cluster = region.clusters.get(name.partition("/")[0])
    if cluster is not None:
        if kind == "cluster":
            found = cluster
        elif kind == "task":
            found = find_task(cluster, arn)
        elif kind == "container-instance":
            found = find_instance(cluster, arn)
    if found is None:
        raise invalid_parameter("The specified resource is not found.")
    return found


def tag_resource(region: Region, request: Request) -> dict[str, Any]:
    """TagResource: adds tags, replacing those with the same key."""
    resource, new = _tagged(region, request), tags(request)
    keys = {tag["key"] for tag in new}
    resource.tags = [tag for tag in resource.tags if tag["key"] not in keys] + new
    _drop_kept(resource)
    return {}


def untag_resource(region: Region, request: Request) -> dict[str, Any]:
    """UntagResource: removes tags by key."""
    resource, keys = _tagged(region, request), set(texts(request, "tagKeys"))
    resource.tags = [tag for tag in resource.tags if tag["key"] not in keys]
    _drop_kept(resource)
    return {}


def _drop_kept(resource: Tagged) -> None:
    if isinstance(resource, Instance):
        resource.encoded = resource.plain = None


def list_tags_for_resource(region: Region, request: Request) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"tags": _tagged(region, request).tags}
