"""AWS Batch's SubmitJob request as a job of ours (Batch API reference, SubmitJob).

What has no meaning here is refused by its name; nothing is dropped in silence but `jobQueue`, since
the queue is the one that is submitted to.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
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
        "ecsPropertiesOverride",
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
    "consumableResourcePropertiesOverride": (
        "Batch counts these for a whole account; here each instance declares what it has, and a"
        " job of our own asks for it by resources"
    ),
    "serviceRequestPayload": "service jobs do not exist here",
}
_RETRY_TAKEN = ("attempts", "evaluateOnExit")
_TIMEOUT = ("attemptDurationSeconds",)
_ARRAY = ("size",)
_CONTAINER_TAKEN = frozenset({"command", "environment", "resourceRequirements"})
_OVERRIDES_TAKEN = _CONTAINER_TAKEN | {"vcpus", "memory"}
_WHY_NOT = {"instanceType": "is for multi-node parallel jobs, which do not exist here"}
_DEFINITION_ARN = re.compile(r"arn:aws[a-z-]*:batch:[^:]*:\d{12}:job-definition/(.+)")

_BATCH_NAMES = {
    "id": "jobName",
    "task_definition": "jobDefinition",
    "overrides": "containerOverrides",
    "retry.evaluate_on_exit": "retryStrategy.evaluateOnExit",
    "retry": "retryStrategy",
    "timeout_s": "timeout.attemptDurationSeconds",
    "share": "shareIdentifier",
    "priority": "schedulingPriorityOverride",
    "array_size": "arrayProperties.size",
    "depends_on": "dependsOn",
}
_OUR_NAME = re.compile(rf"(?:(?<=^)|(?<=; ))({'|'.join(map(re.escape, _BATCH_NAMES))})(?=[:.\[])")


def job_from_submit_job(request: Mapping[str, Any], container: str, unique: str) -> Job:
    """The job that a SubmitJob request means.

    `container` is the container of the task definition that overrides are for. The job's id is the
    request's name and `unique`, unless it has a member `jobId` of its own.

    Raises:
        InvalidJob: with everything that was not understood, in Batch's own names.
    """
    request = {name: value for name, value in request.items() if value is not None}
    problems = [*_unknown(request), *_missing(request)]
    parts: dict[str, Callable[[], object]] = {
        "id": lambda: (
            request.get("jobId") or f"{_text(request, 'jobName')[:NAME_CHARACTERS]}/{unique}"
        ),
        "task_definition": lambda: _definition(_text(request, "jobDefinition")),
        "overrides": lambda: _overrides(request, container),
        "retry": lambda: _object(request, "retryStrategy", _RETRY_TAKEN) or None,
        "timeout_s": lambda: _object(request, "timeout", _TIMEOUT).get(_TIMEOUT[0]),
        "share": lambda: request.get("shareIdentifier"),
        "priority": lambda: _priority(request.get("schedulingPriorityOverride")),
        "tags": lambda: request.get("tags"),
        "propagate_tags": lambda: _propagated(request.get("propagateTags", False)),
        "array_size": lambda: _object(request, "arrayProperties", _ARRAY).get(_ARRAY[0]),
        "depends_on": lambda: [_dependency(each) for each in _list(request, "dependsOn")],
    }
    document: dict[str, object] = {}
    for name, part in parts.items():
        try:
            document[name] = part()
        except InvalidJob as error:
            problems.append(str(error))
    given = {name: value for name, value in document.items() if value is not None}
    try:
        job = job_from_json(to_json(given))
    except InvalidJob as error:
        problems.append(_in_batch_names(str(error), request))
    if problems:
        raise InvalidJob("; ".join(problems))
    return job


def _in_batch_names(problems: str, request: Mapping[str, Any]) -> str:
    if "ecsPropertiesOverride" in request:
        theirs = "ecsPropertiesOverride.taskProperties[0].containers"
        problems = problems.replace("overrides.containerOverrides", theirs)
    else:
        problems = problems.replace("overrides.containerOverrides[0]", "containerOverrides")
    problems = re.sub(r"(depends_on\[\d+\])\.job\b", r"\1.jobId", problems)
    return _OUR_NAME.sub(lambda found: _BATCH_NAMES[found[1]], problems)


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


def _text(request: Mapping[str, Any], name: str) -> str:
    """One of the two that are required; where it is missing, something in its place."""
    value = request.get(name)
    return value if isinstance(value, str) and value else "missing"


def _object(
    request: Mapping[str, Any], name: str, taken: Collection[str] | None = None
) -> Mapping[str, Any]:
    """The object under a name, which has no other members than these."""
    value = request.get(name, {})
    if not isinstance(value, Mapping):
        raise InvalidJob(f"{name}: must be an object")
    if unknown := [each for each in value if taken is not None and each not in taken]:
        raise InvalidJob("; ".join(f"{name}.{each}: is not taken here" for each in unknown))
    return value


def _list(given: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = given.get(name, ())
    if not isinstance(value, list | tuple):
        raise InvalidJob(f"{name}: must be a list")
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


def _propagated(value: object) -> str | None:
    """Tags of the request always go to the task; those of the definition when this says so."""
    if not isinstance(value, bool):
        raise InvalidJob("propagateTags: must be true or false")
    return "TASK_DEFINITION" if value else None


def _dependency(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidJob("dependsOn: must hold objects with a jobId")
    if "jobId" not in value and value.get("type") != "SEQUENTIAL":
        raise InvalidJob("dependsOn: jobId: required, but missing")
    names = {"jobId": "job", "type": "type"}
    if unknown := [each for each in value if each not in names]:
        raise InvalidJob(
            "; ".join(f"dependsOn: {e}: is no member of a dependency" for e in unknown)
        )
    return {names[name]: each for name, each in value.items()}


def _overrides(request: Mapping[str, Any], container: str) -> dict[str, Any]:
    """ECS's TaskOverride, from the overrides of one container or from those of several."""
    parameters = _object(request, "parameters")
    if "ecsPropertiesOverride" not in request:
        given = _object(request, "containerOverrides")
        containers = [_container(given, _OVERRIDES_TAKEN, "containerOverrides", parameters)]
        containers = [{"name": container, **each} for each in containers if each]
    elif "containerOverrides" in request:
        raise InvalidJob("ecsPropertiesOverride: stands in place of containerOverrides")
    else:
        containers = _containers(
            _object(request, "ecsPropertiesOverride", ("taskProperties",)), parameters
        )
    if parameters and not any("command" in each for each in containers):
        raise InvalidJob("parameters: are put into containerOverrides.command, which is missing")
    return {"containerOverrides": containers} if containers else {}


def _containers(given: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The containers of ecsPropertiesOverride, which holds one task's properties at most."""
    where = "ecsPropertiesOverride.taskProperties"
    tasks = _list(given, "taskProperties")
    if len(tasks) > 1 or not all(isinstance(each, Mapping) for each in tasks):
        raise InvalidJob(f"{where}: must be a list of one object, as Batch has it")
    containers = [each for task in tasks for each in _list(task, "containers")]
    for each in containers:
        if not isinstance(each, Mapping) or not isinstance(each.get("name"), str):
            raise InvalidJob(f"{where}.containers: must hold objects with the name of a container")
    taken = _CONTAINER_TAKEN | {"name"}
    return [
        {"name": each["name"], **_container(each, taken, f"{where}.containers", parameters)}
        for each in containers
    ]


def _container(
    given: Mapping[str, Any], taken: frozenset[str], where: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """ECS's ContainerOverride but for the name."""
    problems = [
        f"{where}.{name}: {_WHY_NOT.get(name, 'is not taken here; ECS cannot change it at launch')}"
        for name in given
        if name not in taken
    ]
    override: dict[str, Any] = {
        name: given[name] for name in ("environment", "memory") if name in given
    }
    if "command" in given:
        override["command"] = _command(given["command"], parameters)
    if "vcpus" in given:
        override["cpu"] = _units("vcpus", given["vcpus"], 1024)
    problems += _reserved(_list(given, "environment"), where)
    try:
        override |= _requirements(_list(given, "resourceRequirements"), where)
    except InvalidJob as error:
        problems.append(str(error))
    if problems:
        raise InvalidJob("; ".join(problems))
    return override


def _reserved(environment: Sequence[Any], where: str) -> list[str]:
    names = [each.get("name") for each in environment if isinstance(each, Mapping)]
    return [
        f"{where}.environment: {name}: Batch keeps AWS_BATCH… for itself"
        for name in names
        if isinstance(name, str) and name.startswith("AWS_BATCH")
    ]


def _requirements(given: Sequence[Any], where: str) -> dict[str, Any]:
    override: dict[str, Any] = {}
    gpus = []
    for each in given:
        match each:
            case {"type": "VCPU", "value": value, **rest} if not rest:
                override["cpu"] = _units("VCPU", value, 1024)
            case {"type": "MEMORY", "value": value, **rest} if not rest:
                override["memory"] = _units("MEMORY", value, 1)
            case {"type": "GPU", "value": value, **rest} if not rest:
                gpus.append({"type": "GPU", "value": value})
            case _:
                raise InvalidJob(
                    f"{where}.resourceRequirements: holds objects with a type VCPU,"
                    " MEMORY or GPU and a value, and nothing else"
                )
    if gpus:
        override["resourceRequirements"] = gpus
    return override


def _command(command: object, parameters: Mapping[str, Any]) -> object:
    """Batch replaces `Ref::name` by the parameter, also in the definition, which we can't see."""
    if not parameters or not isinstance(command, list):
        return command
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
