"""Between the stages of a pass everything else goes on: questions, news of ECS, the lease."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ecs_scheduler.errors import LeadLost

if TYPE_CHECKING:
    from ecs_scheduler.clock import Clock
    from ecs_scheduler.passes.window import Window

SHORT_S = 0.005
"""A stage that took less has kept nobody waiting."""

LONGEST_S = 0.1
"""On a machine that does much else, stages take longer, and so do answers."""


class GivingWay:
    """For one pass: its window stays as it is, or is lost as a whole; all else that changes is met
    as news that come a little later.
    """

    def __init__(self, clock: Clock, window: Window) -> None:
        self._clock = clock
        self._window = window
        self._cleared = window.cleared
        self._since = clock.monotonic_s()

    async def give(self) -> None:
        """Leave the loop to others for as long as the stage has kept it from them; in virtual time
        it has not. Raises LeadLost.
        """
        took_s = self._clock.monotonic_s() - self._since
        if took_s >= SHORT_S:
            await asyncio.sleep(min(took_s, LONGEST_S))
        self.look()

    def look(self) -> None:
        """A stage ended that left the loop to others. Raises LeadLost where the window is not ours
        any more.
        """
        self._since = self._clock.monotonic_s()
        if self._window.cleared != self._cleared:
            raise LeadLost("the lead was lost in the middle of a pass, which launches nothing")
