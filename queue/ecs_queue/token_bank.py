"""Token buckets in Redis that several processes draw on: whoever needs tokens takes a batch.

What a batch is for, and how long it may be kept, is the drawer's affair; the bank sees to it that
all batches together never exceed rate and burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from redis.exceptions import RedisClusterException, RedisError

from ecs_queue.connection import explained
from ecs_queue.script import text

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis.asyncio
    from redis.asyncio.cluster import RedisCluster


@dataclass(frozen=True, slots=True)
class Want:
    """So many tokens, if as many as `leave` stay for what is more urgent."""

    leave: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Draw:
    """One request to a bucket of `rate_per_s` and `burst`.

    `wants` begins with the most urgent. `given_back` are tokens of earlier batches that will not be
    used any more; `throttled` says that a call was refused although it had its token.
    """

    who: str
    rate_per_s: float
    burst: int
    wants: tuple[Want, ...] = ()
    given_back: int = 0
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What was granted of each want, and the bucket afterwards.

    `rate_per_s` is what throttles have left of the rate; `drawing` counts those who draw at the
    moment, the asker included, `present` also those that are only there.
    """

    granted: tuple[int, ...]
    left: float
    rate_per_s: float
    drawing: int
    present: int


class TokenBank:
    """The buckets of one owner, such as one account in one Region; they share a hash tag."""

    def __init__(
        self,
        redis: redis.asyncio.Redis | RedisCluster,
        owner: str,
        new_word: Callable[[], str],
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._redis = redis
        self._owner = owner
        self._new_word = new_word
        self._now_ms = now_ms
        self._script = redis.register_script(_source())

    async def draw(self, bucket: str, draw: Draw) -> Batch:
        """Take a batch out of a bucket, which is full when it is new.

        Raises:
            QueueUnreachable: Redis does not answer; whether tokens were taken is not known.
        """
        key = f"{{budget:{self._owner}}}:{bucket}"
        args: list[str | int | float] = [
            "" if self._now_ms is None else self._now_ms(),
            draw.who,
            self._new_word(),
            draw.rate_per_s,
            draw.burst,
            draw.given_back,
            int(draw.throttled),
        ]
        for want in draw.wants:
            args += [want.leave, want.tokens]
        try:
            reply = await self._script(keys=[key, f"{key}:who"], args=args)
        except (RedisError, RedisClusterException) as error:
            raise explained(self._redis, error) from error
        *granted, left, rate, drawing, present = text(reply).split()
        return Batch(tuple(map(int, granted)), float(left), float(rate), int(drawing), int(present))


@cache
def _source() -> str:
    return (resources.files("ecs_queue") / "token_bank.lua").read_text(encoding="utf-8")
