"""What a simulation leaves behind, taken down while it runs: columns of numbers, so that a million
jobs take some hundred megabytes and neither the queue nor the simulated ECS has to keep them.
"""

from array import array
from collections.abc import Iterable, Mapping
from math import isnan

import numpy as np

from ecs_queue import producing
from ecs_queue.client import Queue
from ecs_queue.job import JobId
from ecs_queue.records import Times
from ecs_queue.states import JobRecord, JobState
from ecs_scheduler.simulate.columns import jobs_of
from ecs_scheduler.simulate.record import Jobs, Tasks
from ecs_scheduler.simulate.submissions import Submissions
from ecs_simulator.evidence import TaskRecord

ENDED = tuple(state for state in JobState if state.terminal)
LEAST_PAGE, LARGEST_PAGE = 20, 1000


class JobColumns:
    """The columns of Jobs; each ended job is read from the queue once."""

    def __init__(self, submissions: Submissions, start_s: float) -> None:
        self._submissions = submissions
        self._start_ms = start_s * 1000
        self._rows = {each: row for row, each in enumerate(submissions.ids)}
        self._submitted = np.array(submissions.at_s, float)
        self._launched = np.full(len(submissions), np.nan)
        self._ended = np.full(len(submissions), np.nan)
        self._succeeded = np.zeros(len(submissions), dtype=bool)
        self._pages = dict.fromkeys(ENDED, LEAST_PAGE)

    async def look(self, queue: Queue) -> None:
        """Take down what has ended since the last look, which the queue has to keep until then;
        what goes beyond the settings of `queue` is forgotten thereafter.
        """
        for state in ENDED:
            taken: set[int] = set()
            known, page = False, self._pages[state]
            while not known:
                found = await queue.run(producing.times(state, page, len(taken)))
                for times in found:
                    row = self._rows[times.job_id]
                    if isnan(self._ended[row]):
                        taken.add(row)
                        self._fill(row, times, state)
                    else:
                        known = row not in taken
                known = known or len(found) < page
            self._pages[state] = min(max(LEAST_PAGE, len(taken) * 5 // 4), LARGEST_PAGE)
            while await queue.run(producing.forget(state)):
                pass

    async def finish(self, queue: Queue) -> Jobs:
        """The jobs, those included that have not ended."""
        await self.look(queue)
        for row in np.flatnonzero(np.isnan(self._ended)).tolist():
            record = await queue.job(JobId(self._submissions.ids[row]))
            self._fill(row, record, record.state)
        return jobs_of(
            self._submissions, self._submitted, self._launched, self._ended, self._succeeded
        )

    def _fill(self, row: int, times: Times | JobRecord, state: JobState) -> None:
        self._submitted[row] = (times.submitted_at_ms - self._start_ms) / 1000
        if times.starting_at_ms is not None:
            self._launched[row] = (times.starting_at_ms - self._start_ms) / 1000
        if times.ended_at_ms is not None:
            self._ended[row] = (times.ended_at_ms - self._start_ms) / 1000
        self._succeeded[row] = state is JobState.SUCCEEDED


class TaskColumns:
    """The columns of Tasks, in the order of starting; `saw` is a witness for SimulatedEcs."""

    def __init__(self, start_s: float) -> None:
        self.instances: Mapping[str, int] = {}
        self._start_s = start_s
        self._whole = array("q")  # number, instance, and the demand: five for each task
        self._times = array("d")  # start and stop

    def saw(self, task: TaskRecord) -> None:
        """Take down a task that has ended."""
        assert task.stopped_at is not None
        self._add(task, task.stopped_at)

    def _add(self, task: TaskRecord, stopped_at: float) -> None:
        row = self.instances.get(task.instance_arn or "")
        if row is not None:
            self._whole.extend((task.number, row, task.cpu_units, task.memory_mib, task.gpus))
            self._times.extend((task.created_at - self._start_s, stopped_at - self._start_s))

    def finish(self, known: Iterable[TaskRecord], now: float) -> Tasks:
        """All tasks; those among the `known` that have not ended are cut off."""
        for task in known:
            if task.stopped_at is None:
                self._add(task, now)
        whole = np.array(self._whole, np.int64).reshape(-1, 5)
        order = np.argsort(whole[:, 0])
        whole, times = whole[order], np.array(self._times, float).reshape(-1, 2)[order]
        return Tasks(whole[:, 1], times[:, 0], times[:, 1], whole[:, 2:])
