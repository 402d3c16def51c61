"""One job out of the flags of `ecs-scheduler submit`."""

import json
import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import Parameter

from ecs_queue.document import parse_job, read_json
from ecs_queue.errors import InvalidJob
from ecs_queue.job import DependencyType, Job
from ecs_scheduler.cli.failures import InvalidInput

DEPENDENCY_TYPES: tuple[str, ...] = get_args(DependencyType)
MOST_DIGITS = 20
Repeatable = Annotated[tuple[str, ...], Parameter(show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class JobFlags:
    """What the job shall be; everything that is left out stays as the task definition has it."""

    id: str | None = None
    """Id of the job. Submitting the same id again changes nothing; made up if left out."""
    container: str | None = None
    """Container of the task definition that command, --env, --cpu, --memory, --gpus are for."""
    command: str | None = None
    """Command as one string, split as a shell does; or put it behind -- instead."""
    env: Repeatable = ()
    """Environment variable NAME=VALUE; repeatable."""
    cpu: int | None = None
    """CPU units (1024 to a vCPU) of the container, or of the whole task without --container."""
    memory: int | None = None
    """Memory in MiB of the container, or of the whole task without --container."""
    gpus: int | None = None
    """GPUs of the container."""
    priority: int | None = None
    """0 to 1000; higher goes first."""
    share: str | None = None
    """Tenant the job counts for."""
    policy: str | None = None
    """Placement policy, by its name in the service's policy file."""
    attempts: int | None = None
    """How often the task may be run until it succeeds, 1 to 10."""
    backoff_s: int | None = None
    """Seconds before the first retry at most; doubled for each further one."""
    timeout_s: int | None = None
    """Seconds after which a running task is stopped, and its job FAILED."""
    not_before: str | None = None
    """Earliest start: ISO 8601 such as 2026-11-23T18:00:00Z, or seconds since the epoch."""
    deadline: str | None = None
    """Latest start; a job that has not started by then is FAILED."""
    group: str | None = None
    """ECS task group."""
    tag: Repeatable = ()
    """Tag KEY=VALUE of the task; repeatable."""
    subnet: Repeatable = ()
    """Subnet of the task's network interface (network mode awsvpc); repeatable."""
    security_group: Repeatable = ()
    """Security group of the task's network interface; repeatable."""
    array_size: int | None = None
    """Makes it an array of so many children, 2 to 1,000,000; each finds its number in the
    environment, as AWS_BATCH_JOB_ARRAY_INDEX and ECS_SCHEDULER_ARRAY_INDEX."""
    gang: str | None = None
    """Gang as ID:SIZE: the jobs that name it start together or not at all, SIZE of them."""
    depends_on: Repeatable = ()
    """Job that has to end first, as [TYPE:]ID with a type of afterok (the default), afterany,
    afternotok or, of arrays, N_TO_N; SEQUENTIAL alone runs the children in turn. Repeatable."""
    payload: str | None = None
    """Payload as JSON, for the task to fetch; @FILE takes it from a file."""
    fallback_after_s: int | None = None
    """Seconds without room after which RunTask is used instead of StartTask."""
    fallback_launch_type: str | None = None
    """Launch type of that RunTask: EC2, FARGATE or EXTERNAL."""

    @property
    def given(self) -> list[str]:
        """The flags that were given."""
        return [
            "--" + name.replace("_", "-")
            for name, value in vars(self).items()
            if value not in (None, ())
        ]


def job_from_flags(
    task_definition: str, arguments: tuple[str, ...], flags: JobFlags, default_id: str
) -> Job:
    """The job; `arguments` are the command given behind `--`. Raises InvalidInput."""
    document: dict[str, Any] = {
        "id": default_id if flags.id is None else flags.id,
        "task_definition": task_definition,
        "overrides": _overrides(arguments, flags),
        "group": flags.group,
        "priority": flags.priority,
        "share": flags.share,
        "policy": flags.policy,
        "retry": _retry(flags),
        "timeout_s": flags.timeout_s,
        "not_before": _moment(flags.not_before),
        "deadline": _moment(flags.deadline),
        "tags": pairs("--tag", flags.tag),
        "network_configuration": _network(flags),
        "array_size": flags.array_size,
        "depends_on": [_dependency(each) for each in flags.depends_on],
        "gang": _gang(flags.gang),
        "fallback": _fallback(flags),
    }
    given = {field: value for field, value in document.items() if value not in (None, {}, [])}
    if flags.payload is not None:
        given["payload"] = _payload(flags.payload)
    try:
        return parse_job(json.dumps(given))
    except InvalidJob as error:
        raise InvalidInput(f"not a job: {error}") from error


def _payload(given: str) -> Any:
    try:
        raw = Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()
        return read_json(raw, "it")
    except OSError as error:
        raise InvalidInput(f"--payload: cannot read {given[1:]}: {error.strerror}") from None
    except InvalidJob as error:
        raise InvalidInput(f"--payload: {error}") from None


def _retry(flags: JobFlags) -> dict[str, int]:
    retry = {"attempts": flags.attempts, "backoff_s": flags.backoff_s}
    return {name: value for name, value in retry.items() if value is not None}


def _moment(given: str | None) -> str | int | None:
    """Seconds as a number; more digits than any moment has are left for the job to refuse."""
    seconds = given is not None and given.isdecimal() and len(given) <= MOST_DIGITS
    return int(given) if given is not None and seconds else given


def _overrides(arguments: tuple[str, ...], flags: JobFlags) -> dict[str, Any] | None:
    if arguments and flags.command is not None:
        raise InvalidInput("--command: give it either here or behind --, not both")
    command = list(arguments) or _split(flags.command)
    container = {
        "command": command,
        "environment": [
            {"name": name, "value": value} for name, value in pairs("--env", flags.env).items()
        ],
        "resourceRequirements": None
        if flags.gpus is None
        else [{"type": "GPU", "value": str(flags.gpus)}],
    }
    container = {member: value for member, value in container.items() if value}
    if flags.container is None:
        if container:
            raise InvalidInput(
                "--container: is missing; ECS overrides command, environment and GPUs per "
                "container, so name the one of the task definition that they are for"
            )
        task = {"cpu": flags.cpu, "memory": flags.memory}
        return {member: str(value) for member, value in task.items() if value is not None}
    sizes = {"cpu": flags.cpu, "memory": flags.memory}
    container |= {member: value for member, value in sizes.items() if value is not None}
    return {"containerOverrides": [{"name": flags.container, **container}]}


def _split(command: str | None) -> list[str]:
    try:
        return shlex.split(command or "")
    except ValueError as error:
        raise InvalidInput(f"--command: {error}: {command}") from error


def pairs(flag: str, given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE given with a flag; the last one of a name counts. Raises InvalidInput."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise InvalidInput(f"{flag}: should look like NAME=VALUE; it is {each!r}")
        found[name] = value
    return found


def _dependency(given: str) -> dict[str, str]:
    """[TYPE:]ID; an id may hold colons itself, so only what resembles a type is taken for one."""
    if given == "SEQUENTIAL":
        return {"type": given}
    kind, colon, job_id = given.partition(":")
    if not colon:
        return {"job": given}
    if kind not in DEPENDENCY_TYPES:
        _refuse_misspelled(kind, given)
        return {"job": given}
    if kind == "SEQUENTIAL" or not job_id:
        expected = "SEQUENTIAL alone" if kind == "SEQUENTIAL" else f"{kind}:ID"
        raise InvalidInput(f"--depends-on: should look like {expected}; it is {given!r}")
    return {"job": job_id, "type": kind}


def _refuse_misspelled(kind: str, given: str) -> None:
    by_lower = {each.lower(): each for each in DEPENDENCY_TYPES}
    near = get_close_matches(kind.lower(), by_lower, 1, 0.7)
    if near:
        raise InvalidInput(
            f"--depends-on: there is no type {kind!r}; did you mean {by_lower[near[0]]}? "
            f"For the job {given!r} itself write afterok:{given}"
        )


def _gang(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    gang_id, _, size = given.rpartition(":")
    if not gang_id or not size.isdecimal():
        raise InvalidInput(f"--gang: should look like ID:SIZE, such as train:4; it is {given!r}")
    return {"id": gang_id, "size": int(size)}


def _network(flags: JobFlags) -> dict[str, Any] | None:
    if not flags.subnet and not flags.security_group:
        return None
    vpc = {"subnets": list(flags.subnet), "securityGroups": list(flags.security_group)}
    return {"awsvpcConfiguration": vpc}


def _fallback(flags: JobFlags) -> dict[str, Any] | None:
    if flags.fallback_after_s is None:
        if flags.fallback_launch_type is not None:
            raise InvalidInput("--fallback-after-s: is missing beside --fallback-launch-type")
        return None
    launch_type = flags.fallback_launch_type
    fallback: dict[str, Any] = {"after_s": flags.fallback_after_s}
    return fallback if launch_type is None else {**fallback, "launch_type": launch_type}
