"""AWS Batch's SubmitJob request as a job of ours (Batch API reference, SubmitJob).

What has no meaning here is refused by its name; nothing is dropped in silence but `jobQueue`, since
the queue is the one that is submitted to, and `propagateTags`, since tags always go to the task.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from ecs_queue.document import job_from_json
from ecs_queue.errors import InvalidJob
from ecs_queue.job import Job

DEFAULT_CONTAINER = "default"
"""What AWS Batch calls the container in the task definitions that it registers."""

NAME_CHARACTERS = 90

_TAKEN = frozenset(
    {
        "jobId",
        "jobName",
        "jobQueue",
        "jobDefinition",
        "parameters",
        "containerOverrides",
        "retryStrategy",
        "timeout",
        "shareIdentifier",
        "schedulingPriorityOverride",
        "tags",
        "propagateTags",
        "arrayProperties",
        "dependsOn",
    }
)
_REFUSED = {
    "nodeOverrides": "multi-node parallel jobs do not exist here; a gang of jobs does",
    "eksPropertiesOverride": "jobs run on ECS",
    "ecsPropertiesOverride": "put the containers into overrides of a job of our own",
    "consumableResourcePropertiesOverride": "consumable resources do not exist here",
    "serviceRequestPayload": "service jobs do not exist here",
}
_OVERRIDES_TAKEN = frozenset({"command", "environment", "resourceRequirements", "vcpus", "memory"})
_DEFINITION_ARN = re.compile(r"arn:aws[a-z-]*:batch:[^:]*:\d{12}:job-definition/(.+)")


def job_from_submit_job(request: Mapping[str, Any], container: str, unique: str) -> Job:
    """The job that a SubmitJob request means.

    `container` is the container of the task definition that overrides are for. The job's id is the
    request's name and `unique`, unless it has a member `jobId` of its own.

    Raises:
        InvalidJob: with everything that was not understood, in Batch's own names.
    """
    problems = [*_unknown(request), *_missing(request)]
    if problems:
        raise InvalidJob("; ".join(problems))
    document = {
        "id": request.get("jobId") or f"{request['jobName'][:NAME_CHARACTERS]}/{unique}",
        "task_definition": _definition(request["jobDefinition"]),
        "overrides": _overrides(request, container),
        "retry": request.get("retryStrategy"),
        "timeout_s": _object(request, "timeout").get("attemptDurationSeconds"),
        "share": request.get("shareIdentifier"),
        "priority": _priority(request.get("schedulingPriorityOverride")),
        "tags": request.get("tags"),
        "array_size": _object(request, "arrayProperties").get("size"),
        "depends_on": [_dependency(each) for each in request.get("dependsOn", ())],
    }
    given = {name: value for name, value in document.items() if value not in (None, {}, [])}
    return job_from_json(to_json(given))


def _unknown(request: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {_REFUSED.get(name, 'is no member of SubmitJob that is known here')}"
        for name in request
        if name not in _TAKEN
    ]


def _missing(request: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: a text is required"
        for name in ("jobName", "jobDefinition")
        if not isinstance(request.get(name), str) or not request[name]
    ]


def _object(request: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = request.get(name, {})
    if not isinstance(value, Mapping):
        raise InvalidJob(f"{name}: must be an object")
    return value


def _definition(name: str) -> str:
    """Batch's job definition NAME:REVISION stands for the task definition of that name."""
    match = _DEFINITION_ARN.fullmatch(name)
    return match.group(1) if match else name


def _priority(value: object) -> object:
    """Batch counts to 9999, we to 1000; an order must not change by scaling some of it."""
    if isinstance(value, int) and value > 1000:
        raise InvalidJob(
            f"schedulingPriorityOverride: {value} is more than 1000, the highest priority here"
        )
    return value


def _dependency(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidJob("dependsOn: must hold objects with a jobId")
    if "jobId" not in value:
        raise InvalidJob("dependsOn: jobId: required, but missing")
    dependency = {"job": value["jobId"]}
    return dependency if "type" not in value else {**dependency, "type": value["type"]}


def _overrides(request: Mapping[str, Any], container: str) -> dict[str, Any]:
    given = _object(request, "containerOverrides")
    unknown = sorted(set(given) - _OVERRIDES_TAKEN)
    if unknown:
        raise InvalidJob(
            f"containerOverrides.{unknown[0]}: is not taken here; ECS cannot change it at launch"
        )
    override: dict[str, Any] = {
        name: given[name] for name in ("environment", "memory") if name in given
    }
    command = _command(given.get("command"), _object(request, "parameters"))
    if command is not None:
        override["command"] = command
    if "vcpus" in given:
        override["cpu"] = _units("vcpus", given["vcpus"], 1024)
    gpus = []
    for each in given.get("resourceRequirements", ()):
        match each:
            case {"type": "VCPU", "value": value}:
                override["cpu"] = _units("VCPU", value, 1024)
            case {"type": "MEMORY", "value": value}:
                override["memory"] = _units("MEMORY", value, 1)
            case {"type": "GPU", "value": value}:
                gpus.append({"type": "GPU", "value": value})
            case _:
                raise InvalidJob(
                    "containerOverrides.resourceRequirements: holds objects with a type VCPU,"
                    " MEMORY or GPU and a value"
                )
    if gpus:
        override["resourceRequirements"] = gpus
    return {"containerOverrides": [{"name": container, **override}]} if override else {}


def _command(command: object, parameters: Mapping[str, Any]) -> object:
    """Batch replaces `Ref::name` by the parameter, also in the definition, which we can't see."""
    if not parameters:
        return command
    if not isinstance(command, list):
        raise InvalidJob("parameters: are put into containerOverrides.command, which is missing")
    return [
        parameters.get(word.removeprefix("Ref::"), word)
        if isinstance(word, str) and word.startswith("Ref::")
        else word
        for word in command
    ]


def _units(name: str, value: object, factor: int) -> int:
    try:
        return round(float(str(value)) * factor)
    except (ValueError, OverflowError):
        raise InvalidJob(f"{name}: must be a number such as 2, not {value!r}") from None
