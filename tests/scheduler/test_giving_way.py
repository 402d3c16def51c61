"""Between the stages of a pass the loop is left to others."""

import asyncio

import pytest

from ecs_scheduler.clock import LoopClock
from ecs_scheduler.errors import LeadLost
from ecs_scheduler.passes.giving_way import LONGEST_S, SHORT_S, GivingWay
from ecs_scheduler.passes.window import Window
from ecs_simulator import run_virtual


class BusyClock(LoopClock):
    """Virtual time, and what stages have computed besides."""

    computed_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.computed_s


async def given_s(way: GivingWay) -> float:
    began = asyncio.get_running_loop().time()
    await way.give()
    return asyncio.get_running_loop().time() - began


def test_others_get_as_long_as_they_were_kept_waiting_and_not_for_ever() -> None:
    """A short stage costs nothing; ten milliseconds give ten; a second gives a tenth."""

    async def story() -> None:
        clock = BusyClock()
        way = GivingWay(clock, Window(9))
        clock.computed_s += SHORT_S / 2
        assert await given_s(way) == 0
        clock.computed_s += 2 * SHORT_S
        assert await given_s(way) == pytest.approx(2 * SHORT_S)
        clock.computed_s += 1.0
        assert await given_s(way) == pytest.approx(LONGEST_S)

    run_virtual(story())


def test_a_pass_ends_where_its_window_was_lost() -> None:
    """What it has worked out by then is of jobs that another scheduler has."""

    async def story() -> None:
        clock, window = BusyClock(), Window(9)
        way = GivingWay(clock, window)
        asyncio.get_running_loop().call_later(SHORT_S, window.clear)
        clock.computed_s += 2 * SHORT_S
        with pytest.raises(LeadLost):
            await way.give()

    run_virtual(story())
