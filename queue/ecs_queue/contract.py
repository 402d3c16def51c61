"""The job contract as published: its version and its JSON Schema.

Within a version fields are only added, each with a default, so that old documents stay readable.
"""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel

from ecs_queue.job import Job

VERSION = 1
SCHEMA_ID = f"urn:ecs-scheduler:job:{VERSION}"


def job_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a document as it is sent; `id` may be left out there."""
    schema = Job.model_json_schema(by_alias=True)
    schema["required"] = [name for name in schema["required"] if name != "id"]
    definitions = schema.get("$defs", {})
    models: set[type[BaseModel]] = {Job, *_models(Job)}
    for model in models:
        described = schema if model is Job else definitions.get(model.__name__)
        if described is not None:
            _add_other_names(model, described)
    _drop_unportable_patterns(schema)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "ecs-scheduler job",
    }
    return {**head, **{key: value for key, value in schema.items() if key not in head}}


def _drop_unportable_patterns(node: Any) -> None:
    """Many validators know no Unicode classes; the characters of tags are left to the service."""
    if isinstance(node, dict):
        if "\\p{" in str(node.get("pattern", "")):
            del node["pattern"]
        for pattern in [each for each in node.get("patternProperties", ()) if "\\p{" in each]:
            node["additionalProperties"] = node.pop("patternProperties")[pattern]
        for value in node.values():
            _drop_unportable_patterns(value)
    elif isinstance(node, list):
        for value in node:
            _drop_unportable_patterns(value)


def _add_other_names(model: type[BaseModel], described: dict[str, Any]) -> None:
    """What AWS calls a field is taken too."""
    properties = described.get("properties", {})
    for field in model.model_fields.values():
        names = field.validation_alias
        if isinstance(names, AliasChoices):
            first, *others = (str(each) for each in names.choices)
            properties.update((other, properties[first]) for other in others)
            if first in described.get("required", ()):
                described["required"].remove(first)
                described["anyOf"] = [{"required": [each]} for each in (first, *others)]


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        yield from _models(annotation)
    for part in get_args(annotation):
        yield from _models_in(part)
