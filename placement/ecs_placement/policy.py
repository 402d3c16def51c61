"""How to choose among the instances that could take a request: a Policy, in values only.

The default is best fit over all dimensions: the instance with the least weighted room left wins,
so that whole instances stay empty, and tasks without GPUs stay off instances whose GPUs are free.
"""

import math
from dataclasses import dataclass
from difflib import get_close_matches

from ecs_placement.errors import InvalidPolicy
from ecs_placement.request import DIMENSIONS

MOST_STRATEGIES = 5  # as in RunTask

_FIELDS = {"binpack": ("cpu", "memory"), "spread": ("instanceId", "host"), "random": ("",)}


@dataclass(frozen=True, slots=True)
class Strategy:
    """One of ECS's: binpack (cpu, memory), spread (instanceId, host, attribute:NAME), random."""

    type: str
    field: str = ""

    def __post_init__(self) -> None:
        if self.type not in _FIELDS:
            raise InvalidPolicy(_unknown("strategy type", self.type, tuple(_FIELDS)))
        attribute = self.type == "spread" and self.field.startswith("attribute:")
        if self.field not in _FIELDS[self.type] and not attribute:
            raise InvalidPolicy(_unknown(f"{self.type} field", self.field, _FIELDS[self.type]))


def _unknown(what: str, given: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    named = ", ".join(name or "none" for name in known)
    named += ", attribute:NAME" if what == "spread field" else ""
    return f"{what} {given!r} is unknown, expected one of {named}{hint}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights of the dimensions in the score; each weighs a share of the largest instance's
    total.

    `weights` are in the order of DIMENSIONS. Raising one makes free capacity in that dimension
    dearer: instances that have much of it are kept for requests that need it. ENI weighs little,
    since few instances run out of it.

    `strategies`, where given, choose instead of the weights: ECS's chain, each narrowing what the
    one before left. `seed` decides what `random` picks.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 4.0, 0.25)
    strategies: tuple[Strategy, ...] = ()
    seed: int = 0

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
        if len(self.strategies) > MOST_STRATEGIES:
            raise InvalidPolicy(
                f"strategies: {len(self.strategies)} given, at most {MOST_STRATEGIES} are allowed"
            )


DEFAULT_POLICY = Policy()
