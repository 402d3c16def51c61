"""HTTP routes for dead letters: documents of the inbox that are no jobs."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ecs_queue import dead_letters, replaying
from ecs_queue.errors import UnknownJob
from ecs_queue.job import MAX_SENT_BYTES
from ecs_queue.letters import NoSuchLetter, Replayed
from ecs_queue.submissions import Conflict, Duplicate
from ecs_scheduler.web.body import bounded, in_time
from ecs_scheduler.web.presentation import dead_letter_as_json

LISTED = 100

letters_router = APIRouter()


@letters_router.get("/v1/dead-letters")
async def letters(request: Request) -> dict[str, Any]:
    """The newest hundred, and how many there are."""
    queue = request.app.state.backend.queue
    found = await queue.run(dead_letters.newest(LISTED))
    kept = await queue.run(dead_letters.kept())
    return {"dead_letters": [dead_letter_as_json(each) for each in found], "kept": kept}


@letters_router.get("/v1/dead-letters/{entry_id}")
async def letter(entry_id: str, request: Request) -> dict[str, Any]:
    """One of them, with the whole document as it came."""
    found = await request.app.state.backend.queue.run(dead_letters.one(entry_id))
    if found is None:
        raise _unknown(entry_id)
    return dead_letter_as_json(found)


@letters_router.post("/v1/dead-letters/{entry_id}/replay")
async def replay(entry_id: str, request: Request) -> Response:
    """Send it to the inbox once more, as the body if there is one; repeated, it answers the same.

    400 where it is still no job, 409 where another job has its id: the letter stays then.
    """
    backend = request.app.state.backend
    whole = bounded(request, MAX_SENT_BYTES, "a job takes no more")
    document = await in_time(whole, backend.body_timeout_s) or None
    match await replaying.replay(backend.queue.run, entry_id, document):
        case Replayed(job_id):
            return JSONResponse({"id": job_id, "outcome": "replayed"})
        case Duplicate(job_id):
            return JSONResponse({"id": job_id, "outcome": "duplicate"})
        case Conflict(job_id):
            error = f"another job was submitted as {job_id!r}; give the document another id"
            return JSONResponse({"id": job_id, "outcome": "conflict", "error": error}, 409)
        case NoSuchLetter():
            raise _unknown(entry_id)
        case other:
            raise AssertionError(other)


@letters_router.delete("/v1/dead-letters/{entry_id}")
async def drop(entry_id: str, request: Request) -> dict[str, str]:
    """Delete it for good."""
    (was_there,) = await request.app.state.backend.queue.run(dead_letters.drop([entry_id]))
    if not was_there:
        raise _unknown(entry_id)
    return {"letter": entry_id, "outcome": "dropped"}


def _unknown(entry_id: str) -> UnknownJob:
    return UnknownJob(f"no dead letter {entry_id!r} in this queue")
