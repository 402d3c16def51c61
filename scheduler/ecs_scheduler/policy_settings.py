"""The settings of placement's score, with their bounds."""

from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ecs_placement.policy import DEFAULT_POLICY, Policy

Weight = Annotated[float, Field(ge=0, le=1000)]


class PolicySettings(BaseModel):
    """What each dimension counts for in the choice of an instance; 0 leaves it out of the score.

    Weights never decide whether a task fits, only which of the fitting instances is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    w_cpu: Weight = Field(default=DEFAULT_POLICY.weights[0], description="Weight of CPU units.")
    w_memory: Weight = Field(default=DEFAULT_POLICY.weights[1], description="Weight of memory.")
    w_gpu: Weight = Field(default=DEFAULT_POLICY.weights[2], description="Weight of GPUs.")
    w_eni: Weight = Field(
        default=DEFAULT_POLICY.weights[3], description="Weight of task network interfaces."
    )

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """The weights in the order of ecs_placement's DIMENSIONS."""
        return (self.w_cpu, self.w_memory, self.w_gpu, self.w_eni)

    def to_policy(self) -> Policy:
        """The same as placement's own value."""
        return replace(DEFAULT_POLICY, weights=self.weights)
