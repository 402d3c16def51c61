"""The budget of the thorough gear: work is counted, not timed, so that a seed decides the plan."""

import numpy as np

# One vector operation on one pair of row and candidate takes about this long on a 2 GHz core,
# and one round of several dozen numpy calls about this much besides.
_SECONDS_PER_PAIR = 1.6e-9
_SECONDS_PER_ROUND = 1.5e-4


class Steps:
    """What may still be spent, in estimated seconds, and the only source of chance."""

    def __init__(self, budget_s: float, seed: int) -> None:
        self.budget_s = budget_s
        self.spent_s = 0.0
        self.chance = np.random.default_rng(seed)

    def spend(self, pairs: int, dimensions: int) -> None:
        """Account for one round over `pairs` of row and candidate."""
        self.spent_s += _SECONDS_PER_ROUND + pairs * dimensions * _SECONDS_PER_PAIR

    def affordable(self, until_s: float) -> float:
        """How many numbers may be looked at until so much is spent."""
        return max(0.0, until_s - self.spent_s) / _SECONDS_PER_PAIR

    def past(self, share: float) -> bool:
        """Whether more than `share` of the budget is used up."""
        return self.spent_s >= share * self.budget_s
