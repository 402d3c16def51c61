"""The two manners of JSON in a job document: ECS's own camelCase, and our snake_case."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class EcsModel(BaseModel):
    """A piece of AWS's own JSON: camelCase on the wire, unknown members refused."""

    model_config = ConfigDict(
        extra="forbid",
        defer_build=True,
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )


class OwnModel(BaseModel):
    """A piece of our own JSON: snake_case, unknown members refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
