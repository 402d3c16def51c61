"""The columns of a record that come from its workload."""

import numpy as np
from numpy.typing import NDArray

from ecs_scheduler.simulate.record import Floats, Instances, Jobs
from ecs_scheduler.simulate.submissions import Submissions
from ecs_simulator.fleet import Fleet


def jobs_of(
    submissions: Submissions,
    submitted_s: Floats,
    launched_s: Floats,
    ended_s: Floats,
    succeeded: NDArray[np.bool_],
) -> Jobs:
    """One row per submission, with what became of it."""
    return Jobs(
        ids=tuple(submissions.ids),
        submitted_s=submitted_s,
        launched_s=launched_s,
        ended_s=ended_s,
        succeeded=succeeded,
        share=np.array(submissions.shares.numbers, np.int64),
        share_names=tuple(submissions.shares.in_order),
        shape=np.array(submissions.shapes.numbers, np.int64),
        shapes=np.array(submissions.shapes.in_order, np.int64).reshape(-1, 3),
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
