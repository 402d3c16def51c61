"""What one seed stands for: replicas, fleet, jobs, fault rates, and events at their times.

Drawing is pure: equal seeds and sizes give equal scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from ecs_queue.schedule import Schedule
from ecs_scheduler.fuzz.ecs_faults import EcsFaults
from ecs_scheduler.fuzz.jobs import (
    QUEUES,
    PlannedJob,
    draw_arrays,
    draw_dependents,
    draw_gangs,
    draw_jobs,
    draw_schedule,
)
from ecs_scheduler.fuzz.redis_faults import RedisFaults
from ecs_simulator import InstanceGroup
from ecs_simulator.faults import Fault, FaultOptions
from ecs_simulator.options import Undocumented

What = Literal[
    "kill",
    "freeze",
    "redis down",
    "redis read only",
    "redis fails over",
    "scripts lost",
    "disconnect",
    "drain",
    "lose",
    "spot storm",
    "pause",
    "suspend",
    "reprioritise",
    "reload",
]
REPLICAS = (1, 1, 2, 2, 3)
Kinds = tuple[tuple[What, int, tuple[float, float]], ...]
HAPPENINGS: Kinds = (
    ("kill", 4, (0.5, 60.0)),
    ("freeze", 2, (2.0, 120.0)),
    ("redis down", 2, (0.5, 40.0)),
    ("redis read only", 1, (0.5, 5.0)),
    ("scripts lost", 1, (0.0, 0.0)),
    ("disconnect", 3, (1.0, 240.0)),
    ("drain", 1, (20.0, 200.0)),
    ("lose", 1, (5.0, 100.0)),
)
MORE_HAPPENINGS: Kinds = (
    ("redis fails over", 2, (0.05, 3.0)),
    ("spot storm", 2, (20.0, 200.0)),
    ("pause", 1, (1.0, 60.0)),
    ("suspend", 4, (1.0, 120.0)),
    ("reprioritise", 4, (0.0, 0.0)),
    ("reload", 2, (0.0, 0.0)),
)
"""Of each at most so many in a run, and how long; a fail-over forgets what came last."""

OVER_HTTP = 0.1
"""Share of seeds whose calls go through the real SDK, which takes most of the time of a run."""

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
    events: FaultOptions | None = None
    """How EventBridge's events go wrong; None where there are none."""
    requeue_draining_after_s: float | None = None
    over_http: bool = False
    """Whether calls to AWS go through the SDK, or straight to the simulated ECS."""
    services: int = 1
    """Services that share the budget, with a queue each; the last replica serves the second."""
    clusters: int = 1
    """Where there are two, each replica serves both pairs of queue and cluster."""
    schedule: Schedule | None = None
    """Kept for two thirds of the time."""

    @property
    def fault_phase_s(self) -> float:
        """How long faults go on; the run goes on until everything has ended."""
        return self.minutes * 60

    def rng(self, *purpose: object) -> Random:
        """A stream of randomness of its own for each purpose."""
        return Random(":".join(map(str, (self.seed, *purpose))))


def draw(seed: int, minutes: float, replicas: int | None = None, jobs: int = 40) -> Scenario:
    """The scenario of a seed; `replicas` None draws their number too."""
    rng, more = Random(f"{seed}:scenario"), Random(f"{seed}:more")
    count = replicas or rng.choice(REPLICAS)
    services = more.choice((1, 2)) if count > 1 else 1
    within_s, others = minutes * 60 * 0.7, Random(f"{seed}:others")
    planned = tuple(
        replace(each, queue=more.choice(QUEUES[:services]))
        for each in draw_jobs(Random(f"{seed}:jobs"), jobs, within_s)
    )
    return Scenario(
        seed=seed,
        minutes=minutes,
        replicas=count,
        fleet=_fleet(rng, spot=more.random() < 0.5),
        undocumented=_undocumented(rng),
        ecs_faults=replace(_ecs_faults(rng), frozen=_share(others, 0.02)),
        redis_faults=RedisFaults(
            refused=_share(rng, 0.003),
            lost_reply=_share(rng, 0.003),
            repeated=_share(rng, 0.003),
            slow=_share(others, 0.003),
        ),
        deaths=rng.choice((0.0, 0.3, 0.9)),
        happenings=tuple(
            sorted(
                (
                    *_drawn(rng, HAPPENINGS, minutes * 60),
                    *_drawn(more, MORE_HAPPENINGS, minutes * 60),
                ),
                key=lambda each: each.at_s,
            )
        ),
        jobs=(
            *planned,
            *draw_gangs(Random(f"{seed}:gangs"), within_s),
            *draw_arrays(others, within_s),
            *draw_dependents(others, planned, within_s / 2),
        ),
        events=_events(more) if more.random() < 0.6 else None,
        requeue_draining_after_s=more.choice((None, 0.0, 15.0)),
        over_http=Random(f"{seed}:wire").random() < OVER_HTTP,
        services=services,
        clusters=others.choice((1, services)),
        schedule=draw_schedule(others) if others.random() < 0.4 else None,
    )


def _share(rng: Random, most: float) -> float:
    """Half of all seeds know nothing of a fault; the others see up to `most` of it."""
    return 0.0 if rng.random() < 0.5 else rng.uniform(0, most)


def _fleet(rng: Random, *, spot: bool) -> tuple[InstanceGroup, ...]:
    return (
        InstanceGroup(count=rng.randint(1, 4), instance_type="m5.xlarge", spot=spot),
        InstanceGroup(count=rng.randint(1, 2), instance_type="c5.2xlarge"),
    )


def _events(rng: Random) -> FaultOptions:
    return FaultOptions(
        event_lost=Fault(probability=_share(rng, 0.5)),
        event_duplicated=Fault(probability=_share(rng, 0.5)),
        event_late=Fault(probability=_share(rng, 0.5)),
        event_late_s=rng.uniform(1, 120),
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


def _drawn(rng: Random, kinds: Kinds, phase_s: float) -> list[Happening]:
    return [
        Happening(rng.uniform(0, phase_s), what, rng.randrange(1000), rng.uniform(*length))
        for what, most, length in kinds
        for _ in range(rng.randint(0, most))
    ]
