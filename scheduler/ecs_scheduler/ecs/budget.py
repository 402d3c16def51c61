"""The API budget: one token bucket per ECS throttling category, kept below what ECS itself allows.

Rates and categories: "Request throttling for the Amazon ECS API". A bucket that meets a throttle
all the same halves its rate and wins it back slowly (additive increase, multiplicative decrease).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from ecs_scheduler.passes.status import BudgetStatus

RECOVERY_PER_S = 0.05
"""Share of the full rate that a slowed bucket wins back per second: 20 s from nothing to full."""

LOWEST_SHARE = 0.1
"""A bucket never slows below this share of its full rate, so that it keeps noticing when the
pressure ends.
"""


MOST_LEFT = 4
"""What less urgent calls leave is at most one in so many of the burst, so that a small budget, too,
is spent on something.
"""

BURST_MARGIN = 0.05
"""Share of the burst that is never spent: calls that the network pushes together find tokens left
in ECS's bucket even when ours is empty.
"""


def left_by(reserve: int, burst: int) -> int:
    """How many tokens a call leaves untouched that would leave `reserve`."""
    return min(reserve, burst // MOST_LEFT)


class Bucket(Protocol):
    """Calls of one category, whoever else draws on them."""

    @property
    def burst(self) -> int:
        """How many calls may come at once."""

    def available(self, reserve: int = 0) -> int:
        """How many calls could be made now while `reserve` tokens stay for more urgent ones."""

    async def take(self, reserve: int = 0) -> None:
        """Wait for a token and spend it, leaving `reserve` tokens untouched."""

    def throttled(self) -> None:
        """ECS refused a call although we had a token."""

    def status(self) -> BudgetStatus:
        """The bucket at this moment."""


class TokenBucket:
    """Calls of one category: `rate_per_s` sustained, somewhat less than `burst` at once."""

    def __init__(
        self, category: str, rate_per_s: float, burst: int, monotonic_s: Callable[[], float]
    ) -> None:
        self.category = category
        self._full_rate = rate_per_s
        self._rate = rate_per_s
        self._burst = max(1, burst - int(burst * BURST_MARGIN))
        self._tokens = float(self._burst)
        self._monotonic_s = monotonic_s
        self._refilled_at = monotonic_s()
        self._calls = 0
        self._throttled = 0

    @property
    def burst(self) -> int:
        """How many calls may come at once."""
        return self._burst

    @property
    def full_rate(self) -> float:
        """Calls per second as long as no throttle is met."""
        return self._full_rate

    def available(self, reserve: int = 0) -> int:
        """How many calls could be made now while `reserve` tokens stay for more urgent ones."""
        self._refill()
        return max(0, int(self._tokens) - left_by(reserve, self._burst))

    async def take(self, reserve: int = 0) -> None:
        """Wait for a token and spend it, leaving `reserve` tokens untouched."""
        while True:
            self._refill()
            missing = 1 + left_by(reserve, self._burst) - self._tokens
            if missing <= 0:
                self._tokens -= 1
                self._calls += 1
                return
            await asyncio.sleep(max(missing / self._rate, 0.001))

    def throttled(self) -> None:
        """ECS refused a call although we had a token: somebody else uses the account, or the
        limit is lower.
        """
        self._refill()
        self._throttled += 1
        self._rate = max(self._rate / 2, self._full_rate * LOWEST_SHARE)
        self._tokens = min(self._tokens, 0.0)

    def status(self) -> BudgetStatus:
        """The bucket at this moment."""
        self._refill()
        return BudgetStatus(
            category=self.category,
            rate_per_s=self._rate,
            burst=self._burst,
            tokens=self._tokens,
            calls=self._calls,
            throttled=self._throttled,
        )

    def _refill(self) -> None:
        now = self._monotonic_s()
        elapsed_s = now - self._refilled_at
        self._refilled_at = now
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate)
        recovered = self._rate + elapsed_s * RECOVERY_PER_S * self._full_rate
        self._rate = min(self._full_rate, recovered)


ReadPurpose = Literal["reconcile", "first sweep", "track", "sweep", "strays"]

READ_RESERVES: Mapping[ReadPurpose, int] = {
    "reconcile": 0,
    "first sweep": 5,
    "track": 10,
    "sweep": 20,
    "strays": 30,
}
"""Read tokens that each kind of work leaves to the more urgent ones: unknown outcomes come first,
then the instances as long as nothing can be placed without them, then the tasks that run, then the
instances again, then launches that very probably never happened.
"""


class Budget:
    """The buckets this service draws on. Launches leave `STOP_RESERVE` tokens (of a small burst a
    quarter), so that StopTask always finds one.
    """

    STOP_RESERVE = 5

    def __init__(
        self, modify: TokenBucket, read: TokenBucket, task_definition_read: TokenBucket
    ) -> None:
        self._own = (modify, read, task_definition_read)
        self.modify: Bucket = modify
        self.read: Bucket = read
        self.task_definition_read: Bucket = task_definition_read

    def share(self, shared: Callable[[TokenBucket], Bucket]) -> None:
        """From now on draw on buckets that others draw on too, each in place of one of ours."""
        self.modify, self.read, self.task_definition_read = map(shared, self._own)

    async def read_for(self, purpose: ReadPurpose) -> None:
        """Wait for a read token and spend it, leaving those that more urgent work may need."""
        await self.read.take(READ_RESERVES[purpose])

    def status(self) -> tuple[BudgetStatus, ...]:
        """All buckets at this moment."""
        return (self.modify.status(), self.read.status(), self.task_definition_read.status())
