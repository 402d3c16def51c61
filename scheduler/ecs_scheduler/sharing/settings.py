"""Settings of shares and families: `[shares.NAME]`, `[families.NAME]` and `[fair_share]`, the last
in AWS Batch's own spelling (FairsharePolicy of a scheduling policy).
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ecs_queue.job import SHARE_PATTERN
from ecs_queue.wire import EcsModel
from ecs_scheduler.sharing.rules import Rules, ShareRule

SHARE_CHARACTERS = 255


def share_name(name: str) -> str:
    """Of one share, or the beginning of several and a star. Raises ValueError."""
    whole = name == "*" or re.fullmatch(SHARE_PATTERN, name.removesuffix("*"))
    if not whole or len(name) > SHARE_CHARACTERS:
        raise ValueError(
            f"{name!r} should be the name of a share: up to 255 letters, digits, _ . or -, and "
            "perhaps a * at its end"
        )
    return name


class ShareSettings(BaseModel):
    """A share's weight, more is more, and what its running tasks may use together."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    weight: float = Field(default=1.0, gt=0, le=10_000, allow_inf_nan=False)
    max_running: int | None = Field(default=None, ge=0)
    max_cpu_units: int | None = Field(default=None, ge=0)
    max_memory_mib: int | None = Field(default=None, ge=0)
    max_gpus: int | None = Field(default=None, ge=0)
    max_launches_per_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    def rule(self) -> ShareRule:
        """The same as fairness's own value."""
        used = (self.max_cpu_units, self.max_memory_mib, self.max_gpus)
        return ShareRule(self.weight, self.max_running, used, self.max_launches_per_s)


class FamilySettings(BaseModel):
    """How many tasks of a task definition family may run at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max_running: int = Field(ge=0)


class ShareAttributes(EcsModel):
    """Batch's weight of a share: less is more. The name may end in `*`."""

    share_identifier: Annotated[str, AfterValidator(share_name)]
    weight_factor: float = Field(default=1.0, ge=0.0001, le=999.9999)


class FairSharePolicy(EcsModel):
    """Batch's fairsharePolicy."""

    share_decay_seconds: int = Field(default=0, ge=0, le=604_800)
    compute_reservation: int = Field(default=0, ge=0, le=99)
    share_distribution: tuple[ShareAttributes, ...] = Field(default=(), max_length=500)

    def rules(self, shares: dict[str, ShareSettings], families: dict[str, FamilySettings]) -> Rules:
        """Everything together; a share's own table comes before the distribution."""
        weights = {
            each.share_identifier: ShareRule(1 / each.weight_factor)
            for each in self.share_distribution
        }
        return Rules(
            shares={**weights, **{name: each.rule() for name, each in shares.items()}},
            families={name: each.max_running for name, each in families.items()},
            reservation=self.compute_reservation / 100,
        )
