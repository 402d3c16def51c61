"""Dead letters over HTTP: looked at, corrected and replayed, dropped."""

from typing import TYPE_CHECKING, Any

from ecs_queue.producing import inbox_key
from ecs_queue.states import OwnerId, QueueName

if TYPE_CHECKING:
    from tests.http.conftest import Site

URL = "/v1/dead-letters"
WRONG = '{"id": "a", "task_definition": "t", "prority": 5, "payload": [1]}'
RIGHT = b'{"id": "a", "task_definition": "t", "priority": 5, "payload": [1]}'


async def bury(site: "Site", *documents: str) -> list[Any]:
    """Documents that are no jobs come in; the letters, newest first."""
    name = QueueName(site.queue_name)
    for each in documents:
        await site.redis.xadd(inbox_key(name), {"job": each})
    await site.queue.admit(OwnerId("test"))
    status, answer = await site.get(URL)
    assert (status, answer["kept"]) == (200, len(documents))
    found: list[Any] = answer["dead_letters"]
    return found


async def test_a_letter_is_corrected_and_replayed(site: "Site") -> None:
    """As it came it is still no job; corrected it is, and the letter is gone. Twice is once."""
    (letter,) = await bury(site, WRONG)
    one = f"{URL}/{letter['entry_id']}"
    assert await site.get(one) == (200, letter)
    assert letter["document"] == WRONG
    status, answer = await site.post(f"{one}/replay", b"")
    assert (status, "did you mean priority?" in answer["error"]) == (400, True)
    for _ in range(2):
        assert await site.post(f"{one}/replay", RIGHT) == (200, {"id": "a", "outcome": "replayed"})
    await site.queue.admit(OwnerId("test"))
    _, record = await site.get("/v1/jobs/a?payload=true")
    assert (record["priority"], record["payload"]) == (5, [1])
    assert (await site.get(URL))[1] == {"dead_letters": [], "kept": 0}


async def test_a_letter_whose_id_is_taken_stays(site: "Site") -> None:
    """Another job has it: 409. The very job is there: the letter is not needed any more."""
    await site.post("/v1/jobs", {"id": "a", "task_definition": "other"})
    (letter,) = await bury(site, WRONG)
    one = f"{URL}/{letter['entry_id']}"
    status, answer = await site.post(f"{one}/replay", RIGHT)
    assert (status, answer["outcome"]) == (409, "conflict")
    same = b'{"id": "a", "task_definition": "other"}'
    assert (await site.post(f"{one}/replay", same))[1]["outcome"] == "duplicate"


async def test_letters_are_dropped(site: "Site") -> None:
    """One by one; what is not there answers 404."""
    newest, oldest = await bury(site, "{", "}")
    async with site.http.delete(f"{site.url}{URL}/{newest['entry_id']}") as answer:
        assert (answer.status, (await answer.json())["outcome"]) == (200, "dropped")
    assert (await site.get(URL))[1]["dead_letters"] == [oldest]
    for entry_id in (newest["entry_id"], "nonsense"):
        async with site.http.delete(f"{site.url}{URL}/{entry_id}") as answer:
            assert answer.status == 404
        assert (await site.get(f"{URL}/{entry_id}"))[0] == 404
        assert (await site.post(f"{URL}/{entry_id}/replay", b""))[0] == 404
