"""HTTP routes that suspend, resume, reprioritise and cancel one job, a selection, or the queue.

One job is cancelled by the route beside those that submit it, which says more.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecs_queue.errors import InvalidJob, UnknownJob
from ecs_queue.job import JobId
from ecs_queue.states import (
    AlreadyEnded,
    Cancellation,
    Cancelled,
    CancelRequested,
    NoSuchJob,
)
from ecs_queue.steering import (
    Reprioritised,
    Resumed,
    Selector,
    Steered,
    Steering,
    Suspended,
    SuspendedLater,
    WaitsWithItsArray,
)
from ecs_scheduler.web.body import in_time

MAX_BODY_BYTES = 64 * 1024


class Wish(BaseModel):
    """The body: why, which priority, and for a selection which jobs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="over HTTP", max_length=1000)
    priority: int | None = Field(default=None, ge=0, le=1000)
    tags: dict[str, str] = Field(default_factory=dict)
    share: str | None = None


def _steering(request: Request) -> Steering:
    steering: Steering = request.app.state.backend.queue.steering
    return steering


FromQueue = Annotated[Steering, Depends(_steering)]
steering_router = APIRouter()


@steering_router.post("/v1/queue/suspend")
async def suspend_queue(request: Request, steering: FromQueue) -> dict[str, str]:
    """Nothing is launched until /v1/queue/resume; jobs still come in."""
    await steering.pause((await _body(request)).reason)
    return {"queue": "suspended"}


@steering_router.post("/v1/queue/resume")
async def resume_queue(steering: FromQueue) -> dict[str, str]:
    """Launch again."""
    await steering.unpause()
    return {"queue": "resumed"}


@steering_router.post("/v1/selection/{action}")
async def steer_selection(action: str, request: Request, steering: FromQueue) -> Response:
    """Steer all jobs with these tags, or of this share; answers how many of each outcome."""
    body = await _body(request)
    if not body.tags and body.share is None:
        raise InvalidJob("tags: name at least one tag, or a share")
    selector = Selector(body.tags, body.share)
    if action == "cancel":
        queue = request.app.state.backend.queue
        ended = await queue.cancel(await steering.select(selector), body.reason)
        words = [_end_word(each) for each in ended]
    else:
        act = _action(steering, action, body)
        words = [_word(each) for each in await act(await steering.select(selector))]
    return JSONResponse(dict(Counter(words)))


@steering_router.post("/v1/jobs/{job_id:path}/{action}")
async def steer(job_id: str, action: str, request: Request, steering: FromQueue) -> Response:
    """Steer one job: 200, or 409 where it has ended before."""
    (answer,) = await _action(steering, action, await _body(request))([JobId(job_id)])
    if isinstance(answer, NoSuchJob):
        raise UnknownJob(f"no job {job_id!r} in this queue")
    content = {"id": job_id, "outcome": _word(answer)}
    if isinstance(answer, AlreadyEnded):
        error = f"job {job_id!r} has ended as {answer.state.value} before"
        return JSONResponse({**content, "error": error}, 409)
    if isinstance(answer, WaitsWithItsArray):
        error = f"{job_id!r} waits with its array, which can be steered as a whole"
        return JSONResponse({**content, "error": error}, 409)
    return JSONResponse(content)


def _action(
    steering: Steering, action: str, body: Wish
) -> Callable[[Sequence[JobId]], Awaitable[tuple[Steered, ...]]]:
    match action:
        case "suspend":
            return lambda ids: steering.suspend(ids, body.reason)
        case "resume":
            return steering.resume
        case "reprioritise":
            if body.priority is None:
                raise InvalidJob("priority: required, but missing")
            priority = body.priority
            return lambda ids: steering.reprioritise(ids, priority)
        case _:
            known = "suspend, resume, reprioritise, cancel"
            raise UnknownJob(f"{action}: is no action; there are {known}")


async def _raw(request: Request) -> bytes:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise InvalidJob(f"the body exceeds {MAX_BODY_BYTES} bytes")
    return bytes(raw)


async def _body(request: Request) -> Wish:
    raw = await in_time(_raw(request), request.app.state.backend.body_timeout_s)
    try:
        return Wish.model_validate_json(raw or b"{}")
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
            for each in error.errors(include_url=False)
        )
        raise InvalidJob("; ".join(problems)) from None


_WORDS: dict[type[Steered], str] = {
    Suspended: "suspended",
    SuspendedLater: "suspended later",
    Resumed: "resumed",
    Reprioritised: "reprioritised",
    AlreadyEnded: "ended",
    WaitsWithItsArray: "waits with its array",
    NoSuchJob: "unknown",
}


def _word(answer: Steered) -> str:
    return _WORDS[type(answer)]


def _end_word(answer: Cancellation) -> str:
    match answer:
        case Cancelled():
            return "cancelled"
        case CancelRequested():
            return "requested"
        case AlreadyEnded():
            return "ended"
        case NoSuchJob():
            return "unknown"
