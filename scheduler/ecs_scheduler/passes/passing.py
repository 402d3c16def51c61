"""One pass after the other: gather (admit, claim, resolve), order, decide (place, pure), act
(launch, in the background), and write down why the rest waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecs_scheduler.explaining.forecast import Forecast
from ecs_scheduler.passes.deciding import Deciding
from ecs_scheduler.passes.giving_way import GivingWay
from ecs_scheduler.passes.intake import Intake
from ecs_scheduler.passes.ordering import Ordering
from ecs_scheduler.passes.planning import affordable, fallback_launches, postpone, within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecs_scheduler.launching.launch import Launch
    from ecs_scheduler.launching.launcher import Launcher
    from ecs_scheduler.launching.provisioning import Provisioning
    from ecs_scheduler.launching.tracker import Tracker
    from ecs_scheduler.passes.around import Around
    from ecs_scheduler.passes.planning import Decided
    from ecs_scheduler.passes.window import Window

SAVE_UP_S = 5.0
"""How long calls are saved up for the gang whose turn it is."""


class Passing:
    """The passes of one service, with how many were `done`, how long the last one took, and whether
    it made `progress`: launched anything.
    """

    def __init__(
        self,
        around: Around,
        window: Window,
        launcher: Launcher,
        tracker: Tracker,
        provisioning: Provisioning,
    ) -> None:
        self.ordering = Ordering(around, window)
        self.forecast = Forecast(0.0)
        self.done = 0
        self.last_s = 0.0
        self.progress = False
        self._around = around
        self._window = window
        self._launcher = launcher
        self._tracker = tracker
        self._provisioning = provisioning
        self._intake = Intake(around, window, lambda: launcher.jobs_in_flight)
        self._deciding = Deciding(
            around, window, self.ordering.within_quotas, lambda: tracker.knows_groups
        )
        self._saving_for = "", 0.0

    async def once(self, may_launch: Callable[[], bool]) -> None:
        """One pass; it only gathers if we may not launch by then. Raises LeadLost."""
        self.progress = False
        clock = self._around.clock
        started_at, way = clock.monotonic_s(), GivingWay(clock, self._window)
        await self._intake.gather()
        way.look()
        if not may_launch():
            return
        launching = self._launcher.jobs_in_flight | self._launcher.jobs_in_doubt
        await self.ordering.look_at_usage({*self._tracker.jobs, *launching})
        way.look()
        self._provisioning.release()
        decided = await self._decide(way)
        launched = self._act(decided)
        await self._intake.give_up_on_unplaceable()
        await self._intake.write_notes()
        self.progress = launched > 0
        self.done += 1
        self.last_s = clock.monotonic_s() - started_at
        self._around.metrics.pass_done(
            self.last_s, start=decided.start, wait=decided.wait, reject=decided.reject
        )

    def close(self) -> None:
        """There are no more passes."""
        self._deciding.close()

    async def _decide(self, way: GivingWay) -> Decided:
        calls, now = self._launcher.capacity, self._around.clock.monotonic_s()
        requests = await self.ordering.requests(calls, now, way)
        return await self._deciding.decide(requests, self._launcher.capacity, way)

    def _act(self, decided: Decided) -> int:
        """Start what the budget allows; the number of launches started."""
        config, clock = self._around.config, self._around.clock
        fallbacks = fallback_launches(
            self._window.waiting_jobs(),
            self._deciding.fallbacks(),
            clock.now_ms(),
            self._deciding.unfit,
        )
        under_way = self._launcher.falling_back + self._tracker.provisioning
        launches = [*decided.launches, *within(fallbacks, config.max_provisioning - under_way)]
        made = self._affordable(launches, clock.monotonic_s())
        for launch in launches[:made]:
            for held in self._window.remove(slot.job_id for slot in launch.slots):
                self.ordering.usage.starts(held)
                self.forecast.launched(held.lane, held.job_id, clock.monotonic_s())
            self._launcher.start(launch)
        postpone(launches[made:], config.modify_rate_per_s)
        return made

    def _affordable(self, launches: Sequence[Launch], now: float) -> int:
        """A gang in front is waited for, but not for ever: others draw on the same budget."""
        gang, since = self._saving_for
        impatient = gang if now - since >= SAVE_UP_S else ""
        capacity, most = self._launcher.capacity, self._launcher.most_at_once
        made = affordable(launches, capacity, most, impatient)
        stopped_at = launches[made].gang if made < len(launches) else ""
        if stopped_at != gang or impatient:
            self._saving_for = stopped_at, now
        return made
