"""The HTTP side as a FastAPI application: health, metrics, and jobs in and out.

It knows the service only as a Backend; `http_server` runs it. Every error answers with a JSON
object whose `error` a person can act on.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ecs_queue import assignment, contract
from ecs_queue.children import look_at_children
from ecs_queue.document import parse_job, read_json
from ecs_queue.errors import (
    InvalidGraph,
    InvalidJob,
    InvalidSchedule,
    QueueError,
    QueueUnreachable,
    UnknownJob,
)
from ecs_queue.job import MAX_SENT_BYTES, Job, JobId
from ecs_queue.listing import look_through
from ecs_queue.script import Command
from ecs_queue.states import (
    AlreadyEnded,
    Cancellation,
    Cancelled,
    CancelRequested,
    JobRecord,
    JobState,
    NoSuchJob,
)
from ecs_queue.steering import Steering
from ecs_queue.submissions import Accepted, Circular, Conflict, Submission, Unequal
from ecs_scheduler.errors import JobUnusable, SchedulerError, UnknownInstance
from ecs_scheduler.metrics import CONTENT_TYPE, Metrics
from ecs_scheduler.passes.status import ServiceStatus
from ecs_scheduler.web.body import BODY_TIMEOUT_S, BodyTooLarge, BodyTooSlow, bounded, in_time
from ecs_scheduler.web.explaining import Explains, explaining_router
from ecs_scheduler.web.letters import letters_router
from ecs_scheduler.web.listing import listing_of
from ecs_scheduler.web.presentation import outcome_name, record_as_json
from ecs_scheduler.web.schedules import schedules_router
from ecs_scheduler.web.steering import steering_router
from ecs_scheduler.web.tasks import tasks_router

T = TypeVar("T")

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_JOBS = 10_000
MOST_LOOKED_AT = 20_000
"""Limits of one POST /v1/jobs; larger loads go through several requests, or `submit --file`."""

PING_TIMEOUT_S = 2.0

# After a 408 or 413 the rest of the body may still be on its way; nobody will read it.
EXTRA_HEADERS = {
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    503: {"Retry-After": "2"},
}


class JobQueue(Protocol):
    """What the HTTP side asks of the queue."""

    @property
    def steering(self) -> Steering:
        """Suspending, resuming and reordering."""

    async def run(self, command: Command[T], /) -> T:
        """The parsed answer to a command."""

    async def ping(self) -> None:
        """Return if Redis answers, raise QueueUnreachable if not."""

    async def submit_graph(self, jobs: Sequence[Job]) -> Sequence[Submission]:
        """Jobs that depend on one another, all or none. Raises InvalidGraph."""

    async def submit(self, jobs: Sequence[Job]) -> Sequence[Submission]:
        """One Submission per job, in order."""

    async def job(self, job_id: JobId) -> JobRecord:
        """The job's record. Raises UnknownJob."""

    async def cancel(self, job_ids: Sequence[JobId], reason: str) -> Sequence[Cancellation]:
        """Ask for the jobs' ends; one answer each, in order."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What stands behind the HTTP side.

    `new_id` names a job whose document names none; a model older than `stale_after_s` is not ready.
    Without an `explainer` nothing is explained or planned.
    """

    queue: JobQueue
    status: Callable[[], ServiceStatus]
    metrics: Metrics
    new_id: Callable[[], str]
    stale_after_s: float = 120.0
    body_timeout_s: float = BODY_TIMEOUT_S
    explainer: Explains | None = None


Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def create_app(backend: Backend) -> FastAPI:
    """The application over `backend`; it keeps no state of its own."""
    explaining = () if backend.explainer is None else (explaining_router,)
    return _app(
        backend,
        *explaining,
        router,
        steering_router,
        schedules_router,
        letters_router,
        tasks_router,
    )


def create_worker_app(backend: Backend) -> FastAPI:
    """What containers need of it, and nothing else."""
    return _app(backend, tasks_router)


def _app(backend: Backend, *routers: APIRouter) -> FastAPI:
    app = FastAPI(
        title="ecs-scheduler",
        docs_url=None,  # the page would load its script from the internet
        redoc_url=None,
        exception_handlers={
            InvalidGraph: _answers(400),
            InvalidJob: _answers(400),
            InvalidSchedule: _answers(400),
            UnknownJob: _answers(404),
            BodyTooSlow: _answers(408),
            BodyTooLarge: _answers(413),
            JobUnusable: _answers(422),
            UnknownInstance: _answers(404),
            HTTPException: _no_such_route,
            QueueUnreachable: _answers(503),
            SchedulerError: _answers(503),
            QueueError: _answers(500),
            ClientDisconnect: _answers(400),
        },
    )
    app.state.backend = backend
    app.middleware("http")(_refuse_foreign_pages)
    for each in routers:
        app.include_router(each)
    return app


router = APIRouter()


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


FromBackend = Annotated[Backend, Depends(_backend)]


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives and its event loop turns."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(backend: FromBackend) -> Response:
    """200 once Redis answers and the model is complete and fresh; else 503 with what is missing."""
    redis = await _redis_problem(backend.queue)
    status = backend.status()
    age_s = status.model_age_s
    missing = [redis] if redis else []
    if not status.leading:
        missing.append("this scheduler does not lead; it stands by for the one that does")
    elif age_s is None:
        missing.append("the first complete look at the cluster's instances is not done yet")
    elif not status.ready:
        missing.append("the scheduler is stopping")
    elif age_s > backend.stale_after_s:
        missing.append(f"the cluster model is {age_s:.0f} s old; at most {backend.stale_after_s:g}")
    content = {
        "ready": not missing,
        "missing": missing,
        "redis": redis or "ok",
        "model_age_s": age_s,
        "instances": status.instances,
        "policies": {"version": status.policies.version, "error": status.policies.error},
        "avoided": {arn: round(blame, 1) for arn, blame in sorted(status.avoided.items())},
    }
    return JSONResponse(content, 503 if missing else 200)


async def _redis_problem(queue: JobQueue) -> str:
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            await queue.ping()
    except QueueError as error:
        return str(error)
    except TimeoutError:
        return f"Redis has not answered for {PING_TIMEOUT_S:g} s"
    return ""


@router.get("/metrics")
async def metrics(backend: FromBackend) -> Response:
    """The metrics in Prometheus's text format."""
    backend.metrics.observe(backend.status())
    return Response(backend.metrics.render(), media_type=CONTENT_TYPE)


@router.get("/v1/status")
async def status(backend: FromBackend) -> Response:
    """The service at this moment: jobs by state, cluster, budget, latest placements."""
    content = dataclasses.asdict(backend.status())
    return Response(to_json(content), media_type="application/json")


@router.get("/v1/schemas/job")
async def job_schema() -> dict[str, Any]:
    """JSON Schema of the job document."""
    return contract.job_schema()


@router.post("/v1/jobs")
async def submit(request: Request, backend: FromBackend) -> Response:
    """Submit one job document, or an array of them; all of them or, if one is invalid, none.

    201 when any is new, 200 when all were there before, 409 when an id holds another document.
    An array whose jobs depend on one another is a graph: all of it or, with 400, none.
    Without an id the service makes one up: then a repeated request is a second job.
    """
    advice = f"send fewer jobs per request (one job takes at most {MAX_SENT_BYTES} bytes)"
    whole = bounded(request, MAX_BODY_BYTES, advice)
    body = await in_time(whole, backend.body_timeout_s)
    if body.lstrip()[:1] == b"[":
        jobs = _parse_array(body, backend.new_id)
        depend = any(each.depends_on for each in jobs)
        outcomes = await (backend.queue.submit_graph if depend else backend.queue.submit)(jobs)
        content: dict[str, Any] = {"jobs": [_submission_as_json(each) for each in outcomes]}
    else:
        outcomes = await backend.queue.submit([parse_job(body, backend.new_id())])
        content = _submission_as_json(outcomes[0])
    return JSONResponse(content, _status_of(outcomes))


@router.get("/v1/jobs")
async def jobs(request: Request, backend: FromBackend) -> Response:
    """Jobs, in the order of the queue: ?state= share= prefix= family= tag=KEY=VALUE since= limit=
    offset=. Looks at 20,000 jobs at most; `go_on_at` is the offset to look further from.
    With ?array= it is the children of that array, as they stand.
    """
    wanted, limit, offset = listing_of(request.query_params, backend.status().at_ms)
    if (array := request.query_params.get("array")) is not None:
        children = await look_at_children(
            backend.queue.run, JobId(array), wanted.state, limit=limit, offset=offset
        )
        shown = {"children": children.found, "go_on_at": children.go_on_at}
        return Response(to_json(shown), media_type="application/json")
    found = await look_through(
        backend.queue.run, wanted, limit=limit, offset=offset, most=MOST_LOOKED_AT
    )
    content = {
        "jobs": [record_as_json(each) for each in found.records],
        "go_on_at": found.go_on_at,
    }
    return Response(to_json(content), media_type="application/json")


@router.get("/v1/jobs/{job_id:path}")
async def job(job_id: str, backend: FromBackend, payload: bool = False) -> dict[str, Any]:
    """Everything the queue knows of one job; its payload if asked for with ?payload=true."""
    answer = record_as_json(await backend.queue.job(JobId(job_id)))
    if payload:
        written = await backend.queue.run(assignment.payload(job_id))
        answer["payload"] = None if written is None else from_json(written)
    return answer


@router.post("/v1/jobs/{job_id:path}/cancel")
async def cancel(job_id: str, backend: FromBackend) -> Response:
    """Ask for the job's end: 200 CANCELLED, 202 once its task has stopped, 409 ended before."""
    (answer,) = await backend.queue.cancel([JobId(job_id)], "cancelled over HTTP")
    match answer:
        case Cancelled():
            return JSONResponse({"id": job_id, "outcome": "cancelled"}, 200)
        case CancelRequested():
            return JSONResponse({"id": job_id, "outcome": "requested"}, 202)
        case AlreadyEnded():
            code = 200 if answer.state is JobState.CANCELLED else 409
            message = f"job {job_id!r} has ended as {answer.state.value} before"
            return JSONResponse({"id": job_id, "outcome": "ended", "error": message}, code)
        case NoSuchJob():
            raise UnknownJob(f"no job {job_id!r} in this queue")


def _parse_array(body: bytes, new_id: Callable[[], str]) -> list[Job]:
    documents = read_json(body, "the body")
    if len(documents) > MAX_JOBS:
        raise InvalidJob(f"{len(documents)} jobs in one request; at most {MAX_JOBS} are taken")
    jobs, problems = [], []
    for index, document in enumerate(documents):
        try:
            jobs.append(parse_job(to_json(document), new_id()))
        except InvalidJob as error:
            problems.append(f"[{index}]: {error}")
    if problems:
        more = f"\nand {len(problems) - 10} more" if len(problems) > 10 else ""
        raise InvalidJob("nothing was submitted:\n" + "\n".join(problems[:10]) + more)
    return jobs


def _submission_as_json(submission: Submission) -> dict[str, str]:
    answer = {"id": submission.job_id, "outcome": outcome_name(submission)}
    if isinstance(submission, Conflict):
        answer["error"] = (
            f"another document was submitted as {submission.job_id} before; choose a new id"
        )
    if isinstance(submission, Circular):
        answer["error"] = f"it would wait for itself: {' -> '.join(submission.cycle)}"
    if isinstance(submission, Unequal):
        answer["error"] = str(submission)
    return answer


def _status_of(submissions: Sequence[Submission]) -> int:
    kinds = {type(each) for each in submissions}
    if not kinds.isdisjoint((Conflict, Circular, Unequal)):
        return 409
    return 201 if Accepted in kinds else 200


def _answers(status_code: int) -> Handler:
    async def handler(_request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code, EXTRA_HEADERS.get(status_code))

    return handler


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {404: "there is nothing here", 405: "this is not the method for it"}
    message = f"{request.method} {request.url.path}: {what.get(error.status_code, error.detail)}"
    return JSONResponse({"error": message}, error.status_code, error.headers)


async def _refuse_foreign_pages(request: Request, call_next: Any) -> Response:
    """A web page elsewhere must not submit or cancel jobs through its reader's browser."""
    origin = request.headers.get("origin")
    if origin and request.method != "GET" and urlsplit(origin).netloc != request.headers["host"]:
        return JSONResponse({"error": f"requests from pages of {origin} are refused"}, 403)
    response: Response = await call_next(request)
    return response
