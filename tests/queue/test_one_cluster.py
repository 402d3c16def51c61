"""The books of a queue are kept for one cluster: no other gets the queue while they name a task."""

from typing import TYPE_CHECKING

import pytest
from tests.queue.conftest import ALICE, BOB

from ecs_queue.errors import QueueOfAnotherCluster
from ecs_queue.states import OwnerId, Succeeded

if TYPE_CHECKING:
    from tests.queue.conftest import Story

LEASE_MS = 4_000
HERE = "arn:aws:ecs:eu-west-1:1:cluster/batch"
ELSEWHERE = "arn:aws:ecs:us-east-1:1:cluster/batch"
OTHER = "arn:aws:ecs:eu-west-1:1:cluster/other"


async def lead(story: "Story", owner: OwnerId, arn: str) -> int | None:
    name = arn.rpartition("/")[2]
    return await story.queue.lead(owner, name, lease_ms=LEASE_MS, arn=arn)


@pytest.mark.parametrize("arn", [ELSEWHERE, OTHER])
async def test_while_its_scheduler_lives_no_other_cluster_gets_the_queue(
    story: "Story", arn: str
) -> None:
    """Even without a launch; a cluster of the same name in another Region is another one."""
    fence = await lead(story, ALICE, HERE)
    with pytest.raises(QueueOfAnotherCluster, match=f"kept for the cluster {HERE}.*not for {arn}"):
        await lead(story, BOB, arn)
    assert await lead(story, ALICE, HERE) == fence
    story.clock.advance(LEASE_MS)
    assert await lead(story, BOB, arn) is not None
    with pytest.raises(QueueOfAnotherCluster):
        await lead(story, ALICE, HERE)


@pytest.mark.parametrize("arn", [ELSEWHERE, OTHER])
async def test_while_a_task_of_it_is_in_the_books_no_other_cluster_gets_it(
    story: "Story", arn: str
) -> None:
    """Its own cluster does, whenever it comes back; the other one does once nothing runs there."""
    await lead(story, ALICE, HERE)
    await story.submit("a", "b")
    task = await story.start("a")
    story.clock.advance(60_000)
    with pytest.raises(QueueOfAnotherCluster, match="1 of its tasks"):
        await lead(story, BOB, arn)
    assert await lead(story, BOB, HERE) is not None
    await story.queue.finish(task, Succeeded(0, "done"))
    await story.queue.resign(BOB, "batch")
    assert await lead(story, BOB, arn) is not None


async def test_who_led_for_the_other_cluster_holds_nothing_any_more(story: "Story") -> None:
    """Frozen for longer than its lease while the queue went to another cluster."""
    await lead(story, ALICE, HERE)
    await story.submit("a")
    [claim] = await story.queue.claim(ALICE, 10)
    story.clock.advance(LEASE_MS)
    assert await lead(story, BOB, OTHER) is not None
    await story.intend(claim)
    assert await story.queue.pending_launches() == ()
    assert [each.job.id for each in await story.queue.claim(BOB, 10)] == ["a"]
