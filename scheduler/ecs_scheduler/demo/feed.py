"""The producers of a demo: half of them write to the inbox, half use the Python client."""

import asyncio
from itertools import groupby

from ecs_scheduler.demo.stage import Stage
from ecs_scheduler.demo.workload import Due, Workload

TOGETHER_S = 0.05
AT_ONCE = 500


class Feed:
    """Submits a workload at its times; `submitted` tells how far it is."""

    def __init__(self, stage: Stage, workload: Workload) -> None:
        self._stage = stage
        self._dues = workload.dues
        self.total = len(workload.dues)
        self.submitted = 0

    async def run(self) -> None:
        """Submit everything, each job when it is due."""
        clock = self._stage.clock
        start_s = clock.monotonic_s()
        for number, (_, group) in enumerate(
            groupby(self._dues, lambda due: due.at_s // TOGETHER_S)
        ):
            dues = list(group)
            await asyncio.sleep(max(start_s + dues[0].at_s - clock.monotonic_s(), 0))
            for first in range(0, len(dues), AT_ONCE):
                await self._submit(dues[first : first + AT_ONCE], by_xadd=number % 2 == 0)

    async def _submit(self, dues: list[Due], *, by_xadd: bool) -> None:
        if by_xadd:
            await self._stage.add_to_inbox([due.document for due in dues])
        else:
            await self._stage.queue.submit([due.job for due in dues])
        self.submitted += len(dues)
