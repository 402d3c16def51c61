"""Gangs: jobs that start together or not at all, as their documents name them."""

from typing import Literal, NewType

from pydantic import Field

from ecs_queue.wire import OwnModel

GangId = NewType("GangId", str)

GANG_ID_PATTERN = r"^[A-Za-z0-9_.:/-]{1,128}$"
MAX_GANG_SIZE = 1000
"""As many as one claim hands out, and as placement looks at in one piece."""


class Gang(OwnModel):
    """What every member says of its gang, in the same words.

    `within_s`: from the first launch on, until ECS has acknowledged every member's; then what was
    started is stopped, and all wait again. `arrive_within_s`: from the first member's submission
    until the last one's. `on_failure` is what a member that ends otherwise than SUCCEEDED, after
    all were started, means to the others.
    """

    id: GangId = Field(pattern=GANG_ID_PATTERN)
    size: int = Field(ge=2, le=MAX_GANG_SIZE)
    within_s: int = Field(default=120, ge=1, le=3600)
    arrive_within_s: int = Field(default=3600, ge=1, le=30 * 86_400)
    on_failure: Literal["continue", "stop"] = "continue"
