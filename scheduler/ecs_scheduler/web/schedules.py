"""HTTP routes for recurring submissions."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import to_json

from ecs_queue.document import read_json
from ecs_queue.errors import InvalidJob, InvalidSchedule, UnknownJob
from ecs_queue.job import MAX_SENT_BYTES
from ecs_queue.schedule import Kept, parse_schedule
from ecs_queue.schedules import Schedules
from ecs_scheduler.web.body import bounded, in_time
from ecs_scheduler.web.presentation import schedule_as_json

schedules_router = APIRouter()


def _schedules(request: Request) -> Schedules:
    return Schedules(request.app.state.backend.queue.run)


FromQueue = Annotated[Schedules, Depends(_schedules)]


@schedules_router.get("/v1/schedules")
async def schedules(kept: FromQueue) -> dict[str, Any]:
    """Every recurring submission."""
    return {"schedules": [schedule_as_json(each) for each in await kept.all()]}


@schedules_router.get("/v1/schedules/{name}")
async def schedule(name: str, kept: FromQueue) -> dict[str, Any]:
    """One of them."""
    return schedule_as_json(await _known(kept, name))


@schedules_router.put("/v1/schedules/{name}")
async def put(name: str, request: Request, kept: FromQueue) -> Response:
    """Add it, or replace the one of this name; the same again changes nothing."""
    advice = "keep large data elsewhere and pass a reference to it"
    raw = await in_time(
        bounded(request, 2 * MAX_SENT_BYTES, advice), request.app.state.backend.body_timeout_s
    )
    try:
        document = read_json(raw, "the body")
    except InvalidJob as error:
        raise InvalidSchedule(str(error)) from None
    if not isinstance(document, dict):
        raise InvalidSchedule("a schedule is a JSON object with at least cron and job")
    await kept.put(parse_schedule(to_json({**document, "name": name})), _now(request), replace=True)
    return JSONResponse(schedule_as_json(await _known(kept, name)))


@schedules_router.delete("/v1/schedules/{name}")
async def remove(name: str, kept: FromQueue) -> dict[str, str]:
    """Submit nothing more; what was submitted runs on."""
    await _known(kept, name)
    await kept.remove(name)
    return {"name": name, "outcome": "removed"}


@schedules_router.post("/v1/schedules/{name}/pause")
async def pause(name: str, kept: FromQueue) -> dict[str, Any]:
    """Submit nothing until /resume."""
    await kept.pause(name, "over HTTP")
    return schedule_as_json(await _known(kept, name))


@schedules_router.post("/v1/schedules/{name}/resume")
async def resume(name: str, request: Request, kept: FromQueue) -> dict[str, Any]:
    """Go on with the next tick; what came meanwhile is left out."""
    await kept.resume(name, _now(request))
    return schedule_as_json(await _known(kept, name))


async def _known(kept: Schedules, name: str) -> Kept:
    found = await kept.one(name)
    if found is None:
        raise UnknownJob(f"no schedule {name!r} in this queue")
    return found


def _now(request: Request) -> int:
    now_ms: int = request.app.state.backend.status().at_ms
    return now_ms
