"""Stories of dead letters: shown, corrected, sent again once, dropped."""

from typing import TYPE_CHECKING

import pytest

from ecs_queue.errors import InvalidJob
from ecs_queue.job import JobId
from ecs_queue.letters import DeadLetter, NoSuchLetter, Replayed
from ecs_queue.producing import inbox_key
from ecs_queue.states import OwnerId
from ecs_queue.submissions import Accepted, Conflict, Duplicate

if TYPE_CHECKING:
    from tests.queue.conftest import Story

ALICE = OwnerId("alice")
BAD, GOOD = '{"id":"a","task_definition":"t","prority":5}', '{"id":"a","task_definition":"t"}'


async def bury(story: "Story", document: str) -> DeadLetter:
    """A document that was admitted and is no job (or conflicts)."""
    await story.redis.xadd(inbox_key(), {"job": document})
    await story.queue.admit(ALICE)
    return (await story.queue.dead_letters(limit=1))[0]


async def test_one_letter_can_be_looked_at(story: "Story") -> None:
    """By its entry id, as it came; anything else is nothing."""
    letter = await bury(story, BAD)
    assert await story.queue.dead_letter(letter.entry_id) == letter
    assert await story.queue.dead_letters_kept() == 1
    for unknown in ("1-1", "nonsense", "-"):
        assert await story.queue.dead_letter(unknown) is None


async def test_a_corrected_letter_is_admitted(story: "Story") -> None:
    """It leaves the dead letters for the inbox, and becomes a job."""
    letter = await bury(story, BAD)
    assert await story.queue.replay(letter.entry_id, GOOD) == Replayed(JobId("a"))
    assert await story.queue.dead_letters_kept() == 0
    assert (await story.queue.admit(ALICE)).submissions == (Accepted(JobId("a")),)


async def test_replaying_again_changes_nothing(story: "Story") -> None:
    """Also after the job was admitted: it answers as the first time."""
    letter = await bury(story, BAD)
    for _ in range(3):
        assert await story.queue.replay(letter.entry_id, GOOD) == Replayed(JobId("a"))
        await story.queue.admit(ALICE)
    assert await story.total() == 1


async def test_a_letter_that_is_still_no_job_stays(story: "Story") -> None:
    """Uncorrected, or corrected badly: the problem is told and nothing changes."""
    letter = await bury(story, BAD)
    for document in (None, "{", BAD):
        with pytest.raises(InvalidJob):
            await story.queue.replay(letter.entry_id, document)
    assert await story.queue.dead_letter(letter.entry_id) == letter


async def test_a_document_without_an_id_gets_the_first_one(story: "Story") -> None:
    """The id of its first inbox entry, so that it is known from the producer's answer."""
    letter = await bury(story, '{"task_definition":5}')
    answer = await story.queue.replay(letter.entry_id, '{"task_definition":"t"}')
    assert answer == Replayed(JobId(letter.inbox_entry))


async def test_a_conflict_stays_until_it_gets_another_id(story: "Story") -> None:
    """The job that holds the id is left alone."""
    await story.submit("a")
    letter = await bury(story, GOOD)
    assert await story.queue.replay(letter.entry_id) == Conflict(JobId("a"))
    assert await story.queue.dead_letters_kept() == 1
    renamed = GOOD.replace('"a"', '"b"')
    assert await story.queue.replay(letter.entry_id, renamed) == Replayed(JobId("b"))


async def test_a_letter_that_would_close_a_circle_stays(story: "Story") -> None:
    """The way round is told, through an array's child too; with another dependency it goes."""
    film = '{"id":"film","task_definition":"t","array_size":2,"depends_on":[{"job":"a"}]}'
    await story.redis.xadd(inbox_key(), {"job": film})
    circular = '{"id":"a","task_definition":"t","depends_on":[{"job":"film:1"}]}'
    letter = await bury(story, circular)
    assert letter.reason == "depends_on: the job would wait for itself: a -> film:1 -> a"
    with pytest.raises(InvalidJob, match="depends_on: the jobs wait for one another"):
        await story.queue.replay(letter.entry_id)
    assert await story.queue.dead_letters_kept() == 1
    good = '{"id":"a","task_definition":"t","depends_on":[{"job":"b"}]}'
    assert await story.queue.replay(letter.entry_id, good) == Replayed(JobId("a"))
    assert (await story.queue.admit(ALICE)).submissions == (Accepted(JobId("a")),)


async def test_the_id_of_an_arrays_child_is_taken(story: "Story") -> None:
    """A letter that has it stays until it gets another."""
    await story.redis.xadd(
        inbox_key(), {"job": '{"id":"film","task_definition":"t","array_size":2}'}
    )
    letter = await bury(story, GOOD.replace('"a"', '"film:1"'))
    assert await story.queue.replay(letter.entry_id) == Conflict(JobId("film:1"))
    assert await story.queue.replay(letter.entry_id, GOOD) == Replayed(JobId("a"))


async def test_a_letter_that_is_a_job_already(story: "Story") -> None:
    """Somebody submitted the corrected document by hand: the letter just goes."""
    await story.submit("a")
    letter = await bury(story, BAD)
    document = '{"id":"a","task_definition":"sleep:1"}'
    assert await story.queue.replay(letter.entry_id, document) == Duplicate(JobId("a"))
    assert await story.queue.dead_letters_kept() == 0
    assert await story.total() == 1


async def test_dropped_letters_are_gone(story: "Story", sends_twice: bool) -> None:
    """Dropping says which were there; a dropped letter can't be replayed."""
    letter = await bury(story, BAD)
    dropped = await story.queue.drop_dead_letters([letter.entry_id, "1-1", "nonsense"])
    assert dropped == (not sends_twice, False, False)
    assert await story.queue.dead_letters() == ()
    assert await story.queue.replay(letter.entry_id, GOOD) == NoSuchLetter(letter.entry_id)
