"""Claimed jobs beside the models that their producers made."""

import json

import msgspec
from pydantic import BaseModel

from ecs_queue.document import from_canonical
from ecs_queue.job import Job
from ecs_queue.stored import AnyJob


def as_said(job: AnyJob) -> Job:
    """The job as a model, read by pydantic from what the struct writes."""
    if isinstance(job, Job):
        return job
    members = json.loads(msgspec.json.encode(job, enc_hook=_written))
    return from_canonical(members.pop("id"), json.dumps(members).encode())


def _written(model: BaseModel) -> object:
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
