"""Whose job comes next, by which policy it is placed, and whether decisions are kept."""

from pydantic import Field, field_validator

from ecs_scheduler.policy_settings import PolicySettings
from ecs_scheduler.settings.kinds import AtLeastOne, SettingsModel, Text
from ecs_scheduler.sharing.settings import (
    FairSharePolicy,
    FamilySettings,
    ShareSettings,
    share_name,
)


class Choices(SettingsModel):
    """Shares, policies, and the log of what was decided."""

    shares: dict[str, ShareSettings] = Field(
        default={},
        description="By share: weight (more is more), max_running, max_cpu_units, max_memory_mib, "
        "max_gpus. A name may end in *.",
    )
    families: dict[str, FamilySettings] = Field(
        default={}, description="By task definition family: max_running tasks at once."
    )
    fair_share: FairSharePolicy = Field(
        default=FairSharePolicy(),
        description="AWS Batch's fair-share policy: shareDecaySeconds, computeReservation, "
        "shareDistribution.",
    )
    policy_file: Text | None = Field(
        default=None,
        description="TOML file of named policies; [policy] is not used then. Read again on SIGHUP.",
    )
    decision_log: Text | None = Field(
        default=None, description="Directory to keep decisions in, for `replay`."
    )
    decision_log_mib: AtLeastOne = Field(default=256, description="Most MiB of decisions kept.")
    policy: PolicySettings = Field(
        default=PolicySettings(), description="Weights of the dimensions in the best-fit score."
    )

    # Not a type of the keys: the flags of `run` take plain ones only.
    @field_validator("shares")
    @classmethod
    def _names_of_shares(cls, shares: dict[str, ShareSettings]) -> dict[str, ShareSettings]:
        return {share_name(name): each for name, each in shares.items()}
