"""Workloads drawn from a Mix by one seed: the same seed, mix and number give the same arrivals."""

from bisect import bisect_left
from itertools import accumulate
from random import Random

from ecs_simulator.workloads.arrivals import Arrival, in_order
from ecs_simulator.workloads.batch import Run, job_document
from ecs_simulator.workloads.mixes import Kind, Mix, Quantiles

FAILING_EXIT_CODE = 3


def generate(seed: int, jobs: int, mix: Mix) -> tuple[Arrival, ...]:
    """So many jobs in order of arrival, the first at 0; ids are unique within one seed and mix."""
    rng = Random(seed)
    weights = list(accumulate(kind.weight for kind in mix.kinds))
    arrivals: list[Arrival] = []
    now_s = 0.0
    while len(arrivals) < jobs:
        (kind,) = rng.choices(mix.kinds, cum_weights=weights)
        batch = min(_geometric(rng, kind.batch_mean), jobs - len(arrivals))
        for _ in range(batch):
            arrivals.append(Arrival(round(now_s, 3), _job(rng, mix, kind, len(arrivals))))
        now_s += drawn(mix.gap_s, rng.random())
    return in_order(arrivals)


def drawn(quantiles: Quantiles, share: float) -> float:
    """The value below which `share` of a distribution lies, by linear interpolation."""
    row = max(1, bisect_left(quantiles, share, key=lambda pair: pair[0]))
    (share_below, below), (share_above, above) = quantiles[row - 1], quantiles[row]
    return below + (above - below) * (share - share_below) / (share_above - share_below)


def _job(rng: Random, mix: Mix, kind: Kind, number: int) -> dict[str, object]:
    run_s = rng.choice(kind.runs_s) if kind.runs_s else round(drawn(mix.run_s, rng.random()))
    exit_code = FAILING_EXIT_CODE if rng.random() < mix.failing else 0
    job_id = f"{mix.name}-{number:05d}-{kind.name}"
    return job_document(job_id, kind.size, Run(run_s, exit_code), priority=kind.priority)


def _geometric(rng: Random, mean: float) -> int:
    """1, 2, 3, ... with this mean, each next one less likely by the same factor."""
    number = 1
    while rng.random() > 1 / mean:
        number += 1
    return number
