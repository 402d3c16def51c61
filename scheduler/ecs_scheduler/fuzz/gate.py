"""Everything a replica sends or receives passes its gate: there it can be killed or frozen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Gate:
    """The edge of one life of one replica.

    `dies_at` is the crossing at which it is killed (None: never by itself). Nothing passes a dead
    replica's gate, in either direction; a frozen one holds everything back until it thaws.
    """

    def __init__(self, dies_at: int | None, on_death: Callable[[], None]) -> None:
        self._dies_at = dies_at
        self._on_death = on_death
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.crossings = 0
        self.dead = False

    async def cross(self) -> None:
        """Pass a request out or a reply in."""
        await self._flowing.wait()
        self.crossings += 1
        if self.crossings == self._dies_at and not self.dead:
            self._on_death()
        if self.dead:
            raise asyncio.CancelledError

    def freeze(self) -> None:
        """Hold everything back, as SIGSTOP or a long collection of garbage would."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything go on."""
        self._flowing.set()

    def spare(self) -> None:
        """Die at no crossing any more."""
        self._dies_at = None
