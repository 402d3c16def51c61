"""The kinds of value that settings take: their bounds and patterns, once."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

QUEUE = r"[A-Za-z0-9_.-]{1,64}"
CLUSTER = r"(arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:cluster/)?[A-Za-z0-9_-]{1,255}"
REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")

# Fractional, as tests and demos need them.
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


def _or_off(value: object) -> object:
    """TOML and the environment have no null: "off" and "none" stand for it."""
    if isinstance(value, str) and value.strip().lower() in ("off", "none"):
        return None
    return value


OrOff = BeforeValidator(_or_off)
Port = Annotated[Annotated[int, Field(ge=0, le=65535)] | None, OrOff]


class SettingsModel(BaseModel):
    """What all settings share: they don't change, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
