"""What the queue remembers of candidate policies that were rolled back."""

from ecs_queue.client import Queue
from ecs_queue.roll_backs import roll_back, rolled_back


async def test_the_first_reason_of_a_version_stands(queue: Queue) -> None:
    """A repeated call answers the same and changes nothing; another version knows nothing."""
    assert await queue.run(rolled_back("v1")) is None
    assert await queue.run(roll_back("v1", "its jobs wait: 40 s")) == "its jobs wait: 40 s"
    assert await queue.run(roll_back("v1", "refused")) == "its jobs wait: 40 s"
    assert await queue.run(rolled_back("v1")) == "its jobs wait: 40 s"
    assert await queue.run(rolled_back("v2")) is None


async def test_the_latest_versions_are_kept(queue: Queue) -> None:
    """Fifty of them, so that the hash never grows without end."""
    for number in range(60):
        await queue.run(roll_back(f"v{number:02}", "slow"))
    known = [await queue.run(rolled_back(f"v{number:02}")) for number in range(60)]
    assert known.count("slow") == 50
    assert known[59] == "slow"
