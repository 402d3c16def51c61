"""What the tracker knows of one task that it follows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ecs_queue.job import JobId
    from ecs_queue.states import InstanceArn

STARTING_TOO_LONG_S = 180.0
"""A large image takes minutes to pull; an agent that hangs takes for ever."""

STOPPING_TOO_LONG_S = 150.0
"""Longer than any stopTimeout that makes sense (120 s). ECS counts the room as free meanwhile, and
the agent has new tasks wait in PENDING for it.
"""

STOPPING_COUNTS = 3.0
"""One task that does not stop weighs as much as three that do not start."""


@dataclass(slots=True)
class Followed:
    """One task; `running` once it was seen so, `reported` once the queue knows it too."""

    job_id: JobId
    definition_arn: str
    running: bool = False
    reported: bool = False
    missing_since: float | None = None
    stop_asked_at: float | None = None
    version: int = -1
    instance_arn: InstanceArn | None = None
    phase: tuple[str, str] = ("", "")
    phase_since: float = 0.0

    @property
    def unplaced(self) -> bool:
        """Whether it waits in PROVISIONING, or was not seen yet and may."""
        return self.instance_arn is None and self.phase[0] in ("", "PROVISIONING")

    def lingers(self, now: float) -> float:
        """How heavily it weighs on its instance that this task does not get on."""
        for_s, (last, desired) = now - self.phase_since, self.phase
        if desired == "STOPPED" and last != "STOPPED":
            return STOPPING_COUNTS if for_s >= STOPPING_TOO_LONG_S else 0.0
        starting = last in ("PROVISIONING", "PENDING", "ACTIVATING")
        return 1.0 if starting and for_s >= STARTING_TOO_LONG_S else 0.0


def lingering(tasks: Iterable[Followed], now: float) -> Mapping[InstanceArn, float]:
    """The weight on each instance of tasks that do not get on."""
    sums: defaultdict[InstanceArn, float] = defaultdict(float)
    for followed in tasks:
        if followed.instance_arn is not None and (weight := followed.lingers(now)):
            sums[followed.instance_arn] += weight
    return sums
