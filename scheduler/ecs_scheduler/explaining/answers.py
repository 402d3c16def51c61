"""The answers as plain values; the HTTP side writes them as JSON, the command line as text."""

from dataclasses import dataclass
from typing import Literal

from ecs_placement.explanation import Explanation
from ecs_scheduler.explaining.forecast import Eta, TrackRecord

Verdict = Literal["now", "in part", "later", "never"]


@dataclass(frozen=True, slots=True)
class InQueue:
    """Where a waiting job stands among the jobs this scheduler holds: `ahead` of it in all, those
    of them that are equal to it, and jobs in Redis that wait beyond the window.
    """

    ahead: int
    ahead_equal: int
    equal: int
    beyond_window: int


@dataclass(frozen=True, slots=True)
class ShareStanding:
    """One share: what it runs and uses of the cluster's scarcest resource, and its bounds."""

    share: str
    weight: float
    running: int
    dominant_share: float
    waiting: int
    max_running: int | None


@dataclass(frozen=True, slots=True)
class Launching:
    """The API budget of launches: calls that may start at once, and how many follow a second."""

    calls_now: int
    calls_per_s: float


@dataclass(frozen=True, slots=True)
class DependsOn:
    """One job that has to end first, and its state; `unknown` if the queue does not know it."""

    job_id: str
    type: str
    state: str


@dataclass(frozen=True, slots=True)
class JobExplained:
    """Why a job is where it is. `summary` is the answer in a sentence; what does not apply to its
    state is None or empty. `placement` is the job against the cluster as it is now.
    """

    job_id: str
    state: str
    summary: str
    reason: str
    policy: str
    queue: InQueue | None = None
    shares: tuple[ShareStanding, ...] = ()
    launching: Launching | None = None
    depends_on: tuple[DependsOn, ...] = ()
    placement: Explanation | None = None
    eta: Eta | None = None
    track_record: TrackRecord | None = None


@dataclass(frozen=True, slots=True)
class WaitingThere:
    """Equal waiting jobs seen from one instance: what they lack there, empty if they fit."""

    jobs: int
    example: str
    needs: str
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstanceExplained:
    """Why an instance holds what it holds: units by resource, and each kind of waiting job."""

    instance_id: str
    summary: str
    instance_type: str
    availability: str
    running_tasks: int
    total: dict[str, int]
    free: dict[str, int]
    waiting: tuple[WaitingThere, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What would happen to a job if it were submitted now. `fit_now` of its `tasks` have room;
    `ahead` jobs of the same or a higher priority come first. `held_back` says what keeps it from
    starting even where there is room.
    """

    verdict: Verdict
    summary: str
    tasks: int
    fit_now: int
    ahead: int
    policy: str
    placement: Explanation
    eta: Eta | None
    held_back: tuple[str, ...] = ()
