"""Token buckets in Redis: what all who draw on one get together stays within rate and burst."""

from typing import TYPE_CHECKING

from ecs_queue.token_bank import Batch, Draw, Want

if TYPE_CHECKING:
    from tests.queue.conftest import Story

OWNER = "123456789012:eu-west-1"


async def draw(story: "Story", who: str, *wants: Want, **more: int) -> Batch:
    """Ask the account's bucket `modify`, of 10 tokens/s and 20 at once."""
    bank = story.queue.token_bank(OWNER)
    given_back, throttled = more.get("given_back", 0), bool(more.get("throttled"))
    return await bank.draw("modify", Draw(who, 10.0, 20, wants, given_back, throttled))


async def test_two_draw_on_one_bucket(story: "Story") -> None:
    """20 are there; alice takes 12, so bob gets 8 of the 12 that he wants, half a second later 5.
    Asked again in vain, nobody gets more.
    """
    assert (await draw(story, "alice", Want(0, 12))).granted == (12,)
    assert (await draw(story, "bob", Want(0, 12))).granted == (8,)
    story.clock.advance(500)
    assert (await draw(story, "bob", Want(0, 12))).granted == (5,)
    assert (await draw(story, "alice", Want(0, 12))).granted == (0,)


async def test_what_is_less_urgent_leaves_some(story: "Story") -> None:
    """Launches leave 5; a stop finds one even then."""
    batch = await draw(story, "alice", Want(5, 100))
    assert (batch.granted, batch.left) == ((15,), 5)
    assert (await draw(story, "alice", Want(0, 1), Want(5, 3))).granted == (1, 0)


async def test_nobody_takes_the_part_of_another(story: "Story") -> None:
    """While bob draws too, alice gets a half of what may be had."""
    assert (await draw(story, "bob", Want(4, 1))).granted == (1,)
    batch = await draw(story, "alice", Want(4, 100))
    assert (batch.granted, batch.drawing, batch.present) == ((7,), 2, 2)
    story.clock.advance(5_000)
    batch = await draw(story, "alice", Want(4, 100))
    assert (batch.granted, batch.drawing, batch.present) == ((16,), 1, 2)
    story.clock.advance(20_000)
    assert (await draw(story, "alice")).present == 1


async def test_tokens_that_were_not_used_come_back(story: "Story") -> None:
    """Never more than the burst, though."""
    await draw(story, "alice", Want(0, 20))
    assert (await draw(story, "alice", given_back=3)).left == 3
    assert (await draw(story, "alice", given_back=100)).left == 20


async def test_a_throttle_slows_everybody(story: "Story") -> None:
    """Halved, once a second however many report it; fast back to nearly where it was, then
    slowly.
    """
    assert (await draw(story, "alice", throttled=1)).rate_per_s == 5.0
    batch = await draw(story, "bob", throttled=1)
    assert (batch.rate_per_s, batch.left) == (5.0, 0.0)
    story.clock.advance(2_000)
    assert (await draw(story, "bob")).rate_per_s == 7.0
    story.clock.advance(3_000)
    assert (await draw(story, "bob")).rate_per_s == 9.55
    story.clock.advance(60_000)
    assert (await draw(story, "bob")).rate_per_s == 10.0


async def test_the_most_careful_settings_hold(story: "Story") -> None:
    """Bob was told to take half; while he is there alice does too."""
    bank = story.queue.token_bank(OWNER)
    await bank.draw("modify", Draw("bob", 5.0, 10))
    batch = await bank.draw("modify", Draw("alice", 10.0, 20, (Want(0, 100),)))
    assert (batch.granted, batch.rate_per_s) == ((10,), 5.0)


async def test_accounts_do_not_share(story: "Story") -> None:
    """Another account, another bucket; so for another Region."""
    await draw(story, "alice", Want(0, 20))
    other = story.queue.token_bank("123456789012:us-east-1")
    batch = await other.draw("modify", Draw("alice", 10.0, 20, (Want(0, 20),)))
    assert batch.granted == (20,)
