"""Workloads drawn from a Mix by one seed: the same seed, mix, number and shape give the same
arrivals."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import Run, job_document
from ecs_simulator.workloads.mixes import Kind, Mix, Together
from ecs_simulator.workloads.processes import Arriving, Gaps, HeavyTail, drawn

FAILING_EXIT_CODE = 3
MOST_IN_A_GANG = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """What is not taken from the mix: when submissions come, how long jobs run, how they belong
    together.

    Of the submissions that bring several jobs, the share `arrays` comes as one array and the share
    `gangs` as one gang; kinds that always come as one or the other do so anyway.
    """

    arriving: Arriving | None = None
    runs: HeavyTail | None = None
    arrays: float = 0.0
    gangs: float = 0.0


AS_MIXED = Shape()


def generate(seed: int, jobs: int, mix: Mix, shape: Shape = AS_MIXED) -> tuple[Arrival, ...]:
    """The same as `drawn_jobs`, all of them."""
    return in_order(drawn_jobs(seed, jobs, mix, shape))


def drawn_jobs(seed: int, jobs: int, mix: Mix, shape: Shape = AS_MIXED) -> Iterator[Arrival]:
    """So many jobs in order of arrival, the first at 0; ids are unique within one seed and mix.

    An array counts as many jobs as it has children, and is one arrival.
    """
    rng = Random(seed)
    weights = list(accumulate(kind.weight for kind in mix.kinds))
    times = (shape.arriving or Gaps(mix.gap_s)).times(rng)
    draw = _Draw(rng, mix, shape)
    number = 0
    while number < jobs:
        at_s = round(next(times), 3)
        (kind,) = rng.choices(mix.kinds, cum_weights=weights)
        batch = min(_geometric(rng, kind.batch_mean), jobs - number)
        for job in draw.submission(kind, number, batch):
            yield Arrival(at_s, job)
        number += batch


@dataclass(frozen=True, slots=True)
class _Draw:
    rng: Random
    mix: Mix
    shape: Shape

    def submission(self, kind: Kind, number: int, batch: int) -> Iterator[dict[str, object]]:
        """The job documents of one submission of `batch` jobs; `number` is the first one's."""
        together = self._together(kind, batch)
        if together == "array":
            yield self._job(kind, number, array_size=batch)
            return
        gang: dict[str, object] = {}
        if together == "gang":
            gang = {"gang": {"id": f"{self.mix.name}-gang-{number:05d}", "size": batch}}
        for offset in range(batch):
            yield self._job(kind, number + offset, **gang)

    def _together(self, kind: Kind, batch: int) -> Together:
        if batch < 2:
            return "jobs"
        together = kind.together
        if together == "jobs" and (self.shape.arrays or self.shape.gangs):
            share = self.rng.random()
            if share < self.shape.arrays:
                together = "array"
            elif share < self.shape.arrays + self.shape.gangs:
                together = "gang"
        return "jobs" if together == "gang" and batch > MOST_IN_A_GANG else together

    def _job(self, kind: Kind, number: int, **fields: object) -> dict[str, object]:
        rng, mix = self.rng, self.mix
        if self.shape.runs is not None:
            run_s: float = round(self.shape.runs.value(rng.random()))
        else:
            run_s = (
                rng.choice(kind.runs_s) if kind.runs_s else round(drawn(mix.run_s, rng.random()))
            )
        exit_code = FAILING_EXIT_CODE if rng.random() < mix.failing else 0
        job_id = f"{mix.name}-{number:05d}-{kind.name}"
        run = Run(run_s, exit_code)
        return job_document(job_id, kind.size, run, priority=kind.priority, **fields)


def _geometric(rng: Random, mean: float) -> int:
    """1, 2, 3, ... with this mean, each next one less likely by the same factor."""
    number = 1
    while rng.random() > 1 / mean:
        number += 1
    return number
