"""What one seed stands for: replicas, fleet, jobs, fault rates, and events at their times.

Drawing is pure: equal seeds and sizes give equal scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from ecs_scheduler.fuzz.ecs_faults import EcsFaults
from ecs_scheduler.fuzz.jobs import PlannedJob, draw_jobs
from ecs_scheduler.fuzz.redis_faults import RedisFaults
from ecs_simulator import InstanceGroup
from ecs_simulator.options import Undocumented

What = Literal[
    "kill", "freeze", "redis down", "redis read only", "scripts lost", "disconnect", "drain", "lose"
]
REPLICAS = (1, 1, 2, 2, 3)
LONGEST_HIDDEN_S = 25.0
"""Tasks that stay invisible longer than this may count as absent; see `beyond_bounds`."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: `which` picks its victim, `for_s` says how long it lasts."""

    at_s: float
    what: What
    which: int
    for_s: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is drawn before the run; what is drawn per call follows from `seed`."""

    seed: int
    minutes: float
    replicas: int
    fleet: tuple[InstanceGroup, ...]
    undocumented: Undocumented
    ecs_faults: EcsFaults
    redis_faults: RedisFaults
    deaths: float
    """Chance that a life of a replica ends at a drawn crossing of its gate."""
    happenings: tuple[Happening, ...]
    jobs: tuple[PlannedJob, ...]

    @property
    def fault_phase_s(self) -> float:
        """How long faults go on; the run goes on until everything has ended."""
        return self.minutes * 60

    def rng(self, *purpose: object) -> Random:
        """A stream of randomness of its own for each purpose."""
        return Random(":".join(map(str, (self.seed, *purpose))))


def draw(seed: int, minutes: float, replicas: int | None = None, jobs: int = 100) -> Scenario:
    """The scenario of a seed; `replicas` None draws their number too."""
    rng = Random(f"{seed}:scenario")
    count = replicas or rng.choice(REPLICAS)
    return Scenario(
        seed=seed,
        minutes=minutes,
        replicas=count,
        fleet=_fleet(rng),
        undocumented=_undocumented(rng),
        ecs_faults=_ecs_faults(rng),
        redis_faults=RedisFaults(
            refused=_share(rng, 0.003), lost_reply=_share(rng, 0.003), repeated=_share(rng, 0.003)
        ),
        deaths=rng.choice((0.0, 0.3, 0.9)),
        happenings=_happenings(rng, minutes * 60),
        jobs=draw_jobs(Random(f"{seed}:jobs"), jobs, minutes * 60 * 0.7),
    )


def _share(rng: Random, most: float) -> float:
    """Half of all seeds know nothing of a fault; the others see up to `most` of it."""
    return 0.0 if rng.random() < 0.5 else rng.uniform(0, most)


def _fleet(rng: Random) -> tuple[InstanceGroup, ...]:
    return (
        InstanceGroup(count=rng.randint(1, 4), instance_type="m5.xlarge"),
        InstanceGroup(count=rng.randint(1, 2), instance_type="c5.2xlarge"),
    )


def _undocumented(rng: Random) -> Undocumented:
    hidden_s = rng.choice((0.0, 0.0, rng.uniform(0.5, LONGEST_HIDDEN_S)))
    return Undocumented(
        duplicate_instances=rng.choice(("two tasks", "refused")),
        start_on_draining=rng.choice(("accepted", "refused")),
        start_checks_member_of=rng.random() < 0.5,
        started_by_lists_stopped=rng.random() < 0.5,
        remaining_gpus=rng.choice(("free ids", "all ids")),
        missing_after_launch_s=hidden_s,
    )


def _ecs_faults(rng: Random) -> EcsFaults:
    return EcsFaults(
        lost_reply=_share(rng, 0.1),
        timed_out=_share(rng, 0.03),
        not_sent=_share(rng, 0.05),
        error_before=_share(rng, 0.05),
        error_after=_share(rng, 0.05),
        throttled=_share(rng, 0.1),
        slow=_share(rng, 0.05),
        incomplete=_share(rng, 0.1),
        late=_share(rng, 0.05),
        very_late=rng.uniform(0, 0.05) if rng.random() < 0.15 else 0.0,
    )


def _happenings(rng: Random, phase_s: float) -> tuple[Happening, ...]:
    kinds: tuple[tuple[What, int, tuple[float, float]], ...] = (
        ("kill", 4, (0.5, 60.0)),
        ("freeze", 2, (2.0, 120.0)),
        ("redis down", 2, (0.5, 40.0)),
        ("redis read only", 1, (0.5, 5.0)),
        ("scripts lost", 1, (0.0, 0.0)),
        ("disconnect", 3, (1.0, 90.0)),
        ("drain", 1, (20.0, 200.0)),
        ("lose", 1, (5.0, 100.0)),
    )
    drawn = [
        Happening(rng.uniform(0, phase_s), what, rng.randrange(1000), rng.uniform(*length))
        for what, most, length in kinds
        for _ in range(rng.randint(0, most))
    ]
    return tuple(sorted(drawn, key=lambda each: each.at_s))
