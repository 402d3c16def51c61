"""The times of a job: moments given as ISO 8601 or epoch seconds, and the bound on its waiting."""

import math
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ecs_queue.wire import OwnModel

LATEST_S = 4_102_444_800
"""2100-01-01: whatever number lies beyond was given in milliseconds."""


def _epoch_s(value: object) -> object:
    """ISO 8601 with an offset becomes epoch seconds, rounded up."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f'"{value[:60]}" is no moment: use ISO 8601 such as 2026-11-23T18:00:00Z, '
            "or epoch seconds"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f'"{value}" names no offset from UTC: append Z or such as +01:00')
    return math.ceil(moment.timestamp())


def _within_the_century(moment_s: int) -> int:
    if not 0 <= moment_s < LATEST_S:
        raise ValueError(
            "must lie from 1970 to before 2100-01-01T00:00:00Z; a number counts seconds"
        )
    return moment_s


Moment = Annotated[
    int,
    BeforeValidator(_epoch_s),
    AfterValidator(_within_the_century),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "exclusiveMaximum": LATEST_S},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
"""Seconds since the epoch; also taken as ISO 8601 with an offset."""


class MaxWait(OwnModel):
    """What to do with a job that has been RUNNABLE for `after_s` seconds and not launched.

    `priority` is for raise_priority only.
    """

    after_s: int = Field(ge=1, le=30 * 86_400)
    action: Literal["cancel", "fallback", "raise_priority"]
    priority: int = Field(default=1000, ge=0, le=1000)

    @model_validator(mode="after")
    def _priority_is_used(self) -> Self:
        if "priority" in self.model_fields_set and self.action != "raise_priority":
            raise ValueError(f"priority: belongs to action raise_priority, not to {self.action}")
        return self


def shown(epoch_s: int) -> str:
    """A moment for people, in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
