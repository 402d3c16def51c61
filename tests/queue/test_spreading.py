"""Many clusters spread over the processes that serve them, and few move when one comes or goes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecs_queue.states import OwnerId

if TYPE_CHECKING:
    from tests.queue.conftest import Story

LEASE_MS = 4_000
TICK_MS = 1_000
CLUSTERS = [f"cluster-{n}" for n in range(24)]


@dataclass
class Fleet:
    """Processes that serve all clusters and ask for each lead once a second."""

    story: "Story"
    processes: list[str]
    leads: dict[str, str] = field(default_factory=dict)

    async def tick(self, seconds: int = 1) -> None:
        """Let time pass; two never lead the same cluster."""
        for _ in range(seconds):
            self.story.clock.advance(TICK_MS)
            for process in self.processes:
                for cluster in CLUSTERS:
                    await self._ask(process, cluster)

    async def _ask(self, process: str, cluster: str) -> None:
        owner = OwnerId(f"{process}-{cluster}")
        fence = await self.story.queue.lead(owner, cluster, lease_ms=LEASE_MS, spread=True)
        if fence is not None:
            before = self.leads.get(cluster, process)
            assert before in (process, "nobody") or before not in self.processes
            self.leads[cluster] = process
        elif self.leads.get(cluster) == process:
            self.leads[cluster] = "nobody"

    async def settle(self) -> dict[str, str]:
        """Who leads what, five seconds later."""
        await self.tick(5)
        return dict(self.leads)


async def test_leads_spread_and_few_move(story: "Story") -> None:
    """Three processes share 24 clusters. A fourth takes over what it wins, and nothing else moves;
    when one dies, its clusters are led by others within five seconds, and nothing else moves.
    """
    fleet = Fleet(story, ["a"])
    assert set((await fleet.settle()).values()) == {"a"}
    fleet.processes = ["a", "b", "c"]
    three = await fleet.settle()
    assert min(Counter(three.values()).values()) >= 3
    assert set(three) == set(CLUSTERS)

    fleet.processes.append("d")
    four = await fleet.settle()
    moved = {cluster for cluster in CLUSTERS if four[cluster] != three[cluster]}
    assert 1 <= len(moved) <= 12
    assert {four[cluster] for cluster in moved} == {"d"}

    fleet.processes.remove("b")
    left = await fleet.settle()
    moved = {cluster for cluster in CLUSTERS if left[cluster] != four[cluster]}
    assert moved == {cluster for cluster in CLUSTERS if four[cluster] == "b"}
    assert "nobody" not in left.values()


async def test_a_process_that_stops_makes_room_at_once(story: "Story") -> None:
    """SIGTERM: the next one to ask leads, without waiting for the lease."""
    fleet = Fleet(story, ["a", "b"])
    leads = await fleet.settle()
    cluster = next(each for each in CLUSTERS if leads[each] == "a")
    await story.queue.resign(OwnerId(f"a-{cluster}"), cluster)
    owner = OwnerId(f"b-{cluster}")
    assert await story.queue.lead(owner, cluster, lease_ms=LEASE_MS, spread=True) is not None
