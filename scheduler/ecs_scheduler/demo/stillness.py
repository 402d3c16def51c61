"""Notices when a demo stands still: first to say so, then to give up.

Every job that runs ends within the longest run time of the last change, and makes room then; so
whatever still stands a minute after that is stuck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ecs_queue.states import JobState
from ecs_scheduler.demo.account import Told

SAY_AFTER_S = 20.0
GIVE_UP_AFTER_S = 60.0
JOBS_SHOWN = 3


@dataclass(slots=True)
class Stillness:
    """`last_due_s` is when the last job is submitted, `longest_run_s` the longest run time."""

    last_due_s: float
    longest_run_s: float
    _seen: tuple[Mapping[JobState, int], int] = field(default_factory=lambda: ({}, 0))
    _since_s: float = 0.0
    _said: bool = False

    def look(self, elapsed_s: float, counts: Mapping[JobState, int], launched: int) -> None:
        """Take note of the jobs by state and of the launches so far."""
        if (counts, launched) != self._seen:
            self._seen, self._since_s, self._said = (dict(counts), launched), elapsed_s, False

    def worth_saying(self, elapsed_s: float) -> bool:
        """Whether nothing has changed for SAY_AFTER_S; once for each time it stands still."""
        if self._said or elapsed_s < self._since_s + SAY_AFTER_S:
            return False
        self._said = True
        return True

    def hopeless(self, elapsed_s: float) -> bool:
        """Whether the last job should have ended GIVE_UP_AFTER_S ago."""
        expected_s = max(self._since_s, self.last_due_s) + self.longest_run_s
        return elapsed_s > expected_s + GIVE_UP_AFTER_S

    def told(self, elapsed_s: float, open_jobs: Sequence[Told]) -> str:
        """What stands still, and why."""
        shown = "; ".join(
            f"{each.job_id} is {each.state}: {each.reason or 'no reason given'}"
            for each in open_jobs[:JOBS_SHOWN]
        )
        more = f"; and {len(open_jobs) - JOBS_SHOWN} more" if len(open_jobs) > JOBS_SHOWN else ""
        return f"nothing has changed for {elapsed_s - self._since_s:.0f} s: {shown}{more}"
