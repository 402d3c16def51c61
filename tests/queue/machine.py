"""What the state machines of the queue share: a server, a loop to wait in, how long to play."""

import asyncio
from typing import Any

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from ecs_queue.client import Queue
from ecs_queue.connection import connect
from ecs_queue.embedded import EmbeddedValkey
from ecs_queue.script import DEFAULT_SETTINGS, QueueSettings
from ecs_queue.states import (
    Claim,
    Intent,
    JobState,
    LaunchToken,
    OwnerId,
    Started,
    TaskArn,
)

OWNER = OwnerId("alice")
NOON = 1_800_000_000_000
TAG = "{q:default}:"
SETS = ("ready", "gathered", "delayed", "suspended", *(f"in:{state}" for state in JobState))


class TwiceFakeRedis(fakeredis.FakeAsyncRedis):
    """Every script runs twice, as after a lost reply."""

    async def evalsha(self, *args: Any, **options: Any) -> Any:
        await super().evalsha(*args, **options)
        return await super().evalsha(*args, **options)


class Machine(RuleBasedStateMachine):
    """A queue of its own, on a clock that only rules move; `url` None plays on fakeredis."""

    url: str | None = None
    fake: type[fakeredis.FakeAsyncRedis] = TwiceFakeRedis
    queue_settings: QueueSettings = DEFAULT_SETTINGS

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis: Any = self.connected()
        self.do(self.redis.flushall())
        self.now = NOON
        self.queue = Queue(self.redis, now_ms=lambda: self.now, settings=self.queue_settings)
        self.number = 0

    def connected(self) -> Any:
        """A client of the server that is played on."""
        return self.fake() if self.url is None else connect(self.url)

    def teardown(self) -> None:
        self.do(self.redis.aclose())
        self.runner.close()

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def fresh(self) -> int:
        self.number += 1
        return self.number

    def start(self, claim: Claim) -> TaskArn:
        """Launch a claimed job; ECS acknowledges at once."""
        number = self.fresh()
        token, task = LaunchToken(f"token-{number}"), TaskArn(f"arn:{number}")
        intent = Intent(claim.job.id, claim.epoch, None)
        self.do(self.queue.intend(OWNER, token, "RunTask", [intent]))
        self.do(self.queue.settle(token, [Started(claim.job.id, task, None)]))
        return task

    def members(self, *owners: OwnerId) -> list[str]:
        """Every job as often as it lies in a set of the queue."""
        found: list[bytes] = []
        for key in SETS:
            found += self.do(self.redis.zrange(TAG + key, 0, -1))
        for owner in owners:
            found += self.do(self.redis.hkeys(f"{TAG}claimed:{owner}"))
            for claim in self.do(self.redis.hvals(f"{TAG}claimed_lately:{owner}")):
                found += claim.split()
        return sorted(each.decode() for each in found)


def played(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def play(
    machine: type[Machine], *, examples: int, steps: int, on: EmbeddedValkey | None = None
) -> None:
    """Let Hypothesis try to break a machine, on fakeredis or on a real server."""
    if on is not None:
        machine = type(f"{machine.__name__}OnValkey", (machine,), {"url": on.url})
    run_state_machine_as_test(machine, settings=played(examples, steps))
