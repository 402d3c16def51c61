"""The columns of a record that come from its workload."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecs_scheduler.simulate.record import Floats, Instances, Ints, Jobs
from ecs_scheduler.simulate.workload import Submission
from ecs_simulator.fleet import Fleet

T = TypeVar("T", bound=Hashable)


def jobs_of(
    submissions: Sequence[Submission],
    submitted_s: Floats,
    launched_s: Floats,
    ended_s: Floats,
    succeeded: NDArray[np.bool_],
) -> Jobs:
    """One row per submission, with what became of it."""
    shares, share_names = _numbered([each.share for each in submissions])
    shapes, kinds = _numbered([each.shape for each in submissions])
    return Jobs(
        ids=tuple(each.job_id for each in submissions),
        submitted_s=submitted_s,
        launched_s=launched_s,
        ended_s=ended_s,
        succeeded=succeeded,
        share=shares,
        share_names=tuple(share_names),
        shape=shapes,
        shapes=np.array(kinds, np.int64).reshape(-1, 3),
    )


def instances_of(fleet: Fleet) -> Instances:
    """One row per instance, in the order of the fleet."""
    sized = [group.sized() for group in fleet for _ in range(group.count)]
    return Instances(
        types=tuple(kind.name for kind in sized),
        capacity=np.array(
            [(kind.cpu_units, kind.memory_mib, kind.gpus) for kind in sized], np.int64
        ),
    )


def _numbered(values: Sequence[T]) -> tuple[Ints, list[T]]:
    """Each value as the number of its first appearance, and the values in that order."""
    numbers: dict[T, int] = {}
    column = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(column, np.int64), list(numbers)
