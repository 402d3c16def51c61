"""HTTP routes for the tasks themselves: payload, progress, result; each authorised by its launch's
secret, which ecs_queue.assignment makes and knows.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import from_json

from ecs_queue import assignment
from ecs_queue.assignment import (
    MAX_PROGRESS_BYTES,
    MAX_RESULT_BYTES,
    Act,
    Answer,
    Assignment,
    NoSuchTask,
    NotYet,
    NotYours,
    Over,
)
from ecs_queue.errors import InvalidJob
from ecs_queue.states import LaunchToken, TaskArn
from ecs_scheduler.web.body import bounded, in_time

NO_SECRET = (
    "the secret is not one of this queue: send Authorization: Bearer $ECS_SCHEDULER_LAUNCH_SECRET"
)

tasks_router = APIRouter()


async def _token(
    request: Request, authorization: Annotated[str, Header()] = ""
) -> LaunchToken | None:
    """The launch whose secret the request shows."""
    queue = request.app.state.backend.queue
    secret = authorization.removeprefix("Bearer ").strip()
    return assignment.token_of(secret, await queue.run(assignment.signing_key()))


Shown = Annotated[LaunchToken | None, Depends(_token)]


@tasks_router.get("/v1/tasks/{task_arn:path}/payload")
async def payload(task_arn: TaskArn, request: Request, token: Shown) -> Response:
    """The payload of the task's job as it is; null where it has none."""
    answer = await _ask(request, "look", task_arn, token)
    if isinstance(answer, Assignment):
        return Response(answer.payload or b"null", media_type="application/json")
    return _refused(answer)


@tasks_router.get("/v1/tasks/{task_arn:path}")
async def task(task_arn: TaskArn, request: Request, token: Shown) -> Response:
    """What the task is to do: its job, the attempt, the index in an array, the payload."""
    answer = await _ask(request, "look", task_arn, token)
    if isinstance(answer, Assignment):
        found = None if answer.payload is None else from_json(answer.payload)
        return JSONResponse({**_described(answer), "payload": found})
    return _refused(answer)


@tasks_router.put("/v1/tasks/{task_arn:path}/progress")
@tasks_router.post("/v1/tasks/{task_arn:path}/progress")
async def progress(task_arn: TaskArn, request: Request, token: Shown) -> Response:
    """How far it is: a text or a number, as the whole body."""
    raw = await _body(request, token, MAX_PROGRESS_BYTES, "say it in fewer words")
    told = assignment.progress_text(raw.decode("utf-8", "replace"))
    return _told(await _ask(request, "progress", task_arn, token, told))


@tasks_router.put("/v1/tasks/{task_arn:path}/result")
@tasks_router.post("/v1/tasks/{task_arn:path}/result")
async def result(task_arn: TaskArn, request: Request, token: Shown) -> Response:
    """What came of it, as JSON; the last one counts."""
    raw = await _body(request, token, MAX_RESULT_BYTES, "report a reference to large data")
    try:
        told = assignment.checked_result(raw) if token else b""
    except ValueError as error:
        raise InvalidJob(str(error)) from None
    return _told(await _ask(request, "result", task_arn, token, told))


async def _body(request: Request, token: LaunchToken | None, most: int, advice: str) -> bytes:
    if token is None:
        return b""  # nobody's body is not read
    return await in_time(bounded(request, most, advice), request.app.state.backend.body_timeout_s)


async def _ask(
    request: Request, act: Act, task_arn: TaskArn, token: LaunchToken | None, told: bytes = b""
) -> Answer | None:
    """The queue's answer; None to who shows no secret of ours."""
    if token is None:
        return None
    answer: Answer = await request.app.state.backend.queue.run(
        assignment.ask(act, task_arn, token, told)
    )
    return answer


def _described(found: Assignment) -> dict[str, Any]:
    return {"job": found.job_id, "attempt": found.attempt, "array_index": found.array_index}


def _told(answer: Answer | None) -> Response:
    return JSONResponse(_described(answer)) if isinstance(answer, Assignment) else _refused(answer)


def _refused(answer: Answer | None) -> Response:
    match answer:
        case NotYet():
            code, headers = 503, {"Retry-After": "1"}
            error = "the launch is not settled yet; ask again in a second"
        case Over(state):
            code, headers = 410, {"X-Job-State": state}
            error = f"this task counts as ended; its job went to {state}"
        case NotYours():
            code, headers = 403, {}
            error = "the secret belongs to another launch"
        case NoSuchTask():
            code, headers = 404, {}
            error = "no such task was launched by this queue, or it ended long ago"
        case _:
            code, headers, error = 401, {"WWW-Authenticate": "Bearer"}, NO_SECRET
    return JSONResponse({"error": error}, code, headers)
