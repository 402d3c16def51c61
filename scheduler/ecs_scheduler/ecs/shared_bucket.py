"""A token bucket that all schedulers of an account draw on, through Redis.

Tokens are leased in batches, so that most calls cost no round trip. A leased token must be spent
soon: what all schedulers may hold at once is taken off the burst, so that together they never
exceed what ECS allows. While Redis is away each goes on at a trickle that is kept aside for this.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ecs_queue.errors import QueueError
from ecs_queue.token_bank import Draw, Want
from ecs_scheduler.ecs.budget import TokenBucket, left_by
from ecs_scheduler.passes.status import BudgetStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_queue.token_bank import Batch, TokenBank
    from ecs_scheduler.ecs.client import ClusterArn
    from ecs_scheduler.passes.around import Around

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LEASED_FOR_S = 0.25
"""A token is spent this soon after it was asked for, or never."""

GRACE_S = 0.05
"""The least time to spend a token whose grant was long under way, so that a slow Redis slows calls
but does not end them.
"""

ASK_EVERY_S = 0.1
"""Pause between two requests of one scheduler while the bucket is empty, times those who draw on
it; what refills meanwhile is one batch.
"""

SHORTEST_WAIT_S = 0.001
ANSWER_WITHIN_S = 1.0
APART_SHARE = 0.02
"""Of the rate; never leased, so that it is there for schedulers that cannot reach Redis."""

APART_FOR_S = 2.0
"""How long a scheduler goes on by itself before it asks Redis again."""


@dataclass(slots=True)
class _Hand:
    """Leased tokens of one urgency: what takers who leave at most `leave` tokens may spend."""

    tokens: int
    until: float


class SharedBucket:
    """Calls of one category, as `TokenBucket`, but out of a bucket of the whole account."""

    def __init__(
        self, own: TokenBucket, bank: TokenBank, who: str, monotonic_s: Callable[[], float]
    ) -> None:
        self.category = own.category
        self._full_rate = own.full_rate
        self._bank = bank
        self._who = who
        self._monotonic_s = monotonic_s
        self._rate = self._full_rate * (1 - APART_SHARE)
        self._burst = max(1, own.burst - round(self._full_rate * LEASED_FOR_S))
        self._hands: dict[int, _Hand] = {}
        self._waiting: Counter[int] = Counter()
        self._spent: dict[int, deque[float]] = {}
        self._ask_again_at: dict[int, float] = {}
        self._asking = asyncio.Lock()
        self._given_back = 0
        self._throttle_untold = False
        self._last: Batch | None = None
        self._last_at = 0.0
        self._calls = own.status().calls
        self._throttled = own.status().throttled
        self._apart = self._trickle(1)
        self._apart_until = float("-inf")

    @property
    def burst(self) -> int:
        """How many calls may come at once."""
        return self._burst

    def available(self, reserve: int = 0) -> int:
        """About how many calls could be made now while `reserve` tokens stay for more urgent
        ones: those in hand, and this scheduler's part of what the bucket should hold by now.
        """
        now = self._monotonic_s()
        if now < self._apart_until:
            return self._apart.available(reserve)
        self._expire(now)
        reserve = left_by(reserve, self._burst)
        held = sum(hand.tokens for leave, hand in self._hands.items() if leave >= reserve)
        free = self._level(now) - reserve
        return held + max(int(free / self._drawing), int(free >= 1))

    async def take(self, reserve: int = 0) -> None:
        """Wait for a token and spend it, leaving `reserve` tokens untouched."""
        reserve = left_by(reserve, self._burst)
        self._waiting[reserve] += 1
        try:
            if not self._hands:
                await asyncio.sleep(0)  # all who come in this turn are asked for together
            while not self._spend(reserve):
                await self._more(reserve)
        finally:
            self._waiting[reserve] -= 1

    def throttled(self) -> None:
        """ECS refused a call although we had a token; the others learn it with our next request."""
        self._throttled += 1
        self._throttle_untold = True
        self._given_back += sum(hand.tokens for hand in self._hands.values())
        self._hands.clear()
        self._apart.throttled()

    def status(self) -> BudgetStatus:
        """The bucket at this moment, as far as this scheduler knows it."""
        now = self._monotonic_s()
        apart = now < self._apart_until
        return BudgetStatus(
            category=self.category,
            rate_per_s=self._apart.status().rate_per_s if apart else self._learned_rate,
            burst=self._burst,
            tokens=float(self.available()),
            calls=self._calls,
            throttled=self._throttled,
            sharing=0 if apart else (self._last.present if self._last else 1),
        )

    @property
    def _learned_rate(self) -> float:
        return self._last.rate_per_s if self._last else self._rate

    @property
    def _drawing(self) -> int:
        return self._last.drawing if self._last else 1

    def _level(self, now: float) -> float:
        """What the bucket should hold by now, were we alone since its last answer."""
        if self._last is None:
            return float(self._burst)
        refilled = (now - self._last_at) * self._last.rate_per_s
        return min(float(self._burst), self._last.left + refilled)

    def _spend(self, reserve: int) -> bool:
        """Take a token out of the hand, the least urgent one that will do."""
        now = self._monotonic_s()
        self._expire(now)
        if self._must_tell(now):
            return False
        usable = [leave for leave in self._hands if leave >= reserve]
        if not usable:
            return False
        leave = max(usable)
        self._hands[leave].tokens -= 1
        if not self._hands[leave].tokens:
            del self._hands[leave]
        self._calls += 1
        self._spent.setdefault(reserve, deque()).append(now)
        return True

    def _expire(self, now: float) -> None:
        """What was not spent in time is lost: the bucket may have been full since, and others have
        spent what filled it. It goes back where it is still in hand when more is asked for.
        """
        self._hands = {leave: hand for leave, hand in self._hands.items() if hand.until > now}

    async def _more(self, reserve: int) -> None:
        """Ask for more, once for all who wait; or wait until asking makes sense again."""
        async with self._asking:
            now = self._monotonic_s()
            if self._usable(reserve, now):
                return
            wait_s = self._ask_again_at.get(reserve, now) - now
            if wait_s < SHORTEST_WAIT_S and now >= self._apart_until:
                await self._ask(now)
        if self._monotonic_s() < self._apart_until:
            await self._go_on_apart(reserve)
        elif wait_s >= SHORTEST_WAIT_S:
            await asyncio.sleep(wait_s)

    def _usable(self, reserve: int, now: float) -> bool:
        self._expire(now)
        return not self._must_tell(now) and any(leave >= reserve for leave in self._hands)

    def _must_tell(self, now: float) -> bool:
        """Whether the others hear of a throttle before anything is spent; if they can be told."""
        return self._throttle_untold and now >= self._apart_until

    async def _ask(self, now: float) -> None:
        wanted = {leave: number for leave, number in sorted(self._waiting.items()) if number}
        draw = Draw(
            self._who,
            self._rate,
            self._burst,
            tuple(Want(leave, number + self._ahead(leave)) for leave, number in wanted.items()),
            given_back=self._given_back + sum(hand.tokens for hand in self._hands.values()),
            throttled=self._throttle_untold,
        )
        self._hands.clear()
        self._given_back, self._throttle_untold = 0, False
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                batch = await self._bank.draw(self.category, draw)
        except (QueueError, TimeoutError) as error:
            # Tokens that were granted unheard are lost, which is on the safe side.
            self._throttle_untold |= draw.throttled
            self._stand_apart(repr(error))
            return
        self._last, self._last_at = batch, self._monotonic_s()
        for (leave, number), granted in zip(wanted.items(), batch.granted, strict=True):
            if granted:
                until = max(now + LEASED_FOR_S, self._last_at + GRACE_S)
                self._hands[leave] = _Hand(granted, until)
            short = granted < number
            self._ask_again_at[leave] = self._last_at + self._pause_s(leave) if short else now

    def _ahead(self, leave: int) -> int:
        """What will probably be spent before the lease ends: as much as in the same time before."""
        spent = self._spent.setdefault(leave, deque())
        while spent and spent[0] < self._monotonic_s() - LEASED_FOR_S:
            spent.popleft()
        return len(spent)

    def _pause_s(self, leave: int) -> float:
        missing = leave + self._drawing - self._level(self._last_at)
        return min(1.0, max(ASK_EVERY_S * self._drawing, missing / self._learned_rate))

    def _stand_apart(self, why: str) -> None:
        present = self._last.present if self._last else 1
        log.warning("shared budget out of reach; calls trickle", bucket=self.category, why=why)
        self._apart = self._trickle(present)
        self._apart_until = self._monotonic_s() + APART_FOR_S

    def _trickle(self, present: int) -> TokenBucket:
        rate = self._full_rate * APART_SHARE / present
        return TokenBucket(self.category, rate, 1, self._monotonic_s)

    async def _go_on_apart(self, reserve: int) -> None:
        """The next token of the trickle, for the most urgent of those who wait."""
        first = min(leave for leave, number in self._waiting.items() if number)
        if reserve == first and self._apart.available():
            await self._apart.take()
            self._hands[reserve] = _Hand(1, self._monotonic_s() + LEASED_FOR_S)
        else:
            await asyncio.sleep(ASK_EVERY_S)


def share_budget(around: Around, cluster: ClusterArn) -> None:
    """Draw on the budget of the cluster's account and Region from now on."""
    region, account = cluster.split(":")[3:5]
    bank = around.queue.token_bank(f"{account}:{region}")
    monotonic_s = around.clock.monotonic_s
    around.ecs.budget.share(lambda own: SharedBucket(own, bank, around.owner, monotonic_s))
