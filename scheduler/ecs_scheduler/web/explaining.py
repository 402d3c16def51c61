"""HTTP routes that explain a job, an instance, or a job that is not submitted yet."""

from typing import Any, Protocol

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from ecs_queue.document import parse_job
from ecs_queue.job import MAX_SENT_BYTES, Job, JobId
from ecs_scheduler.explaining.answers import InstanceExplained, JobExplained, Planned
from ecs_scheduler.web.body import bounded, in_time

NOT_NAMED = "planned"
"""The id of a planned job that has none; nothing is submitted under it."""


class Explains(Protocol):
    """What these routes ask of the service."""

    async def job(self, job_id: JobId) -> JobExplained:
        """Why the job is where it is. Raises UnknownJob, NotReady."""

    def instance(self, name: str) -> InstanceExplained:
        """Why the instance holds what it holds. Raises UnknownInstance, NotReady."""

    async def plan(self, job: Job) -> Planned:
        """What would happen to the job. Raises JobUnusable, NotReady."""


explaining_router = APIRouter()


def _explainer(request: Request) -> Explains:
    explainer: Explains = request.app.state.backend.explainer
    return explainer


@explaining_router.get("/v1/explanations/jobs/{job_id:path}")
async def explain_job(job_id: str, request: Request) -> Response:
    """Why a job is where it is: queue, shares, budget, instances, and when it may start."""
    return _as_json(await _explainer(request).job(JobId(job_id)))


@explaining_router.get("/v1/explanations/instances/{name:path}")
async def explain_instance(name: str, request: Request) -> Response:
    """Why a container instance stays as empty as it is."""
    return _as_json(_explainer(request).instance(name))


@explaining_router.post("/v1/plans")
async def plan(request: Request) -> Response:
    """Would this job document fit now, where, and when otherwise? Nothing is submitted."""
    advice = f"one job takes at most {MAX_SENT_BYTES} bytes"
    body = await in_time(
        bounded(request, MAX_SENT_BYTES, advice), request.app.state.backend.body_timeout_s
    )
    return _as_json(await _explainer(request).plan(parse_job(body, NOT_NAMED)))


def _as_json(answer: Any) -> Response:
    return Response(to_json(answer), media_type="application/json")
