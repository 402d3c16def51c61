"""A candidate policy that is tried beside the live one: in the shadow, or on a share of the jobs.

`percent` 0 only compares. Above it, that share of the jobs (by a hash of their id) is placed by the
candidate, until a condition of `Limits` holds long enough to roll it back.
"""

import hashlib
from dataclasses import dataclass

_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """When the candidate is rolled back: its jobs wait or are refused so much more than others'.

    `wait_ratio` compares mean waiting times, `refused_ratio` the shares of launches that ECS
    refused; `for_s` is how long a condition has to hold without a break, looking at the jobs of
    that time and at the last `least_jobs` of each side, without which it means nothing.
    """

    wait_ratio: float = 2.0
    wait_s: float = 30.0
    refused_ratio: float = 2.0
    refused_share: float = 0.05
    for_s: float = 120.0
    least_jobs: int = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """`candidate` is tried on the jobs of the policy `of`."""

    candidate: str
    of: str
    percent: float = 0.0
    limits: Limits = Limits()

    def takes(self, job_id: str) -> bool:
        """Whether this job is placed by the candidate: the same answer for the same job, and a
        larger percentage takes all that a smaller one took.
        """
        digest = hashlib.sha256(f"{self.candidate}:{job_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % _BUCKETS < self.percent * _BUCKETS / 100
