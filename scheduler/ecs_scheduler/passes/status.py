"""What the service shows of itself, to the HTTP side, the live view and the tests: plain values,
taken at one moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs_queue.job import JobId
from ecs_queue.states import JobState


@dataclass(frozen=True, slots=True)
class Placement:
    """One launch that ECS acknowledged; `instance` is empty where ECS chose (RunTask)."""

    job_id: JobId
    instance: str
    api: str
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One category of the API budget: calls per second allowed, tokens left, calls made and
    throttles met so far. `sharing` counts the schedulers that draw on it, 0 while the shared budget
    is out of reach.
    """

    category: str
    rate_per_s: float
    burst: int
    tokens: float
    calls: int
    throttled: int
    sharing: int = 1


@dataclass(frozen=True, slots=True)
class TrialStatus:
    """A candidate policy beside the one it is tried against; pairs are (live, candidate).

    `passes` were decided by both, without the candidate acting: so many tasks each started,
    empty instances each opened, and tasks `moved` to another place or none. `jobs`, `wait_s` and
    `refused` are of the roll-out, lately; `rolled_back` is why it ended.
    """

    candidate: str
    of: str
    percent: float
    rolled_back: str
    passes: int
    started: tuple[int, int]
    opened: tuple[int, int]
    moved: int
    latest: tuple[str, ...]
    jobs: tuple[int, int]
    wait_s: tuple[float, float]
    refused: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """The policies in force: the version of all, name@version of each, and how reloads went.

    `error` is why the file as it is now was not taken over; empty while it was.
    """

    version: str = ""
    labels: tuple[str, ...] = ()
    error: str = ""
    trial: TrialStatus | None = None
    reloads: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service at one moment.

    `used` and `total` map each dimension (CPU units, MEMORY MiB, GPU devices) to the sum over
    placeable instances; `model_age_s` is None before the first complete sweep; `waiting` maps a
    reason to the number of held jobs it holds back. `avoided` maps the id of each instance that
    kept refusing or failing tasks to its blame. `events` counts by kind and what became of them.
    """

    at_ms: int
    ready: bool
    jobs: Mapping[JobState, int]
    instances: int
    used: Mapping[str, int]
    total: Mapping[str, int]
    launched: int
    launch_calls: int
    launches_per_s: float
    budgets: tuple[BudgetStatus, ...]
    latest: tuple[Placement, ...]
    waiting: Mapping[str, int]
    held: int
    unsettled: int
    model_age_s: float | None
    passes: int
    last_pass_s: float
    dead_letters: int = 0
    avoided: Mapping[str, float] = field(default_factory=dict)
    leading: bool = True
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    policies: PolicyStatus = PolicyStatus()
