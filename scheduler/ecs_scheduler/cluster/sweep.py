"""The sweep keeps the cluster model fresh: all instances every so often, and sooner those that
we know have changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecs_queue.states import InstanceArn
    from ecs_scheduler.ecs.budget import ReadPurpose
    from ecs_scheduler.passes.around import Around

DESCRIBED_AT_ONCE = 100
REFRESHED_AT_ONCE = 500


class Sweep:
    """Reads container instances into the model."""

    def __init__(self, around: Around) -> None:
        self._around = around

    async def all(self) -> None:
        """List and describe every instance; the model is complete afterwards."""
        complete = self._around.model.complete_at is not None
        purpose: ReadPurpose = "sweep" if complete else "first sweep"
        before = self._around.model.known
        listed = await self._around.ecs.list_container_instances(purpose)
        await self._describe(listed, purpose)
        self._around.model.complete(before.difference(listed), self._around.clock.monotonic_s())

    async def changed(self) -> None:
        """Describe the instances where something ended or was refused since ECS last spoke of
        them.
        """
        stale = sorted(self._around.model.stale)[:REFRESHED_AT_ONCE]
        await self._describe(stale)

    async def _describe(self, arns: Sequence[InstanceArn], purpose: ReadPurpose = "sweep") -> None:
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            model, asked = self._around.model, arns[start : start + DESCRIBED_AT_ONCE]
            asked_at = self._around.clock.monotonic_s()
            stale = model.stale.intersection(asked)
            model.stale -= stale  # what changes from here on may not be in the answer
            try:
                found, missing = await self._around.ecs.describe_container_instances(asked, purpose)
            except SchedulerError:
                model.stale |= stale
                raise
            model.observe(found, asked_at)
            for arn in missing:
                model.forget(arn)
