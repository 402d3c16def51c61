"""How to choose among the instances that could take a request: a Policy, in values only.

The default is best fit over all dimensions: the instance with the least weighted room left wins,
so that whole instances stay empty, and tasks without GPUs stay off instances whose GPUs are free.
"""

import math
from dataclasses import dataclass

from ecs_placement.errors import InvalidPolicy
from ecs_placement.request import DIMENSIONS


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights of the dimensions in the score; each weighs a share of the largest instance's
    total.

    `weights` are in the order of DIMENSIONS. Raising one makes free capacity in that dimension
    dearer: instances that have much of it are kept for requests that need it. ENI weighs little,
    since few instances run out of it.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 4.0, 0.25)

    def __post_init__(self) -> None:
        if len(self.weights) != len(DIMENSIONS):
            raise InvalidPolicy(
                f"weights: {len(self.weights)} given, expected {len(DIMENSIONS)} "
                f"({', '.join(DIMENSIONS)})"
            )
        for dimension, weight in zip(DIMENSIONS, self.weights, strict=True):
            if not math.isfinite(weight) or weight < 0:
                raise InvalidPolicy(
                    f"weights: {dimension} = {weight} must be a finite number, 0 or more"
                )
        if not any(self.weights):
            raise InvalidPolicy("weights: at least one must be greater than 0")


DEFAULT_POLICY = Policy()
