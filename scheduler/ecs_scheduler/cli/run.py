"""`ecs-scheduler run`: settings from everywhere, logging, then the service until a signal."""

import os
from pathlib import Path
from typing import Annotated

import structlog
from cyclopts import Parameter
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError, from_json

from ecs_queue.job import Fallback
from ecs_scheduler.config import Settings
from ecs_scheduler.config_sources import load_config, unknown_variables
from ecs_scheduler.logs import configure_logging
from ecs_scheduler.service_entry import run_service
from ecs_scheduler.sharing.settings import ShareSettings


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError as error:
        raise PydanticCustomError("json", "should be JSON: {why}", {"why": str(error)}) from error


class RunFlags(Settings):
    """The settings as flags; what ECS spells in JSON is given in JSON, and the names of shares are
    judged with the settings, since flags take plain ones only.
    """

    shares: dict[str, ShareSettings] = Field(
        default={}, description=Settings.model_fields["shares"].description
    )

    fallback: Annotated[
        Fallback | None, BeforeValidator(_from_json), Parameter(accepts_keys=False)
    ] = Field(
        default=None,
        description="RunTask for jobs without room, as JSON: "
        '{"after_s": 60, "launch_type": "FARGATE"}, or with "capacity_provider_strategy": '
        '[{"capacityProvider": "spot"}].',
    )


NOTHING_GIVEN = RunFlags()


async def run(
    *,
    config: Path | None = None,
    no_http: bool = False,
    given: Annotated[RunFlags, Parameter(name="*")] = NOTHING_GIVEN,
) -> int:
    """Run the scheduler until SIGTERM or Ctrl-C; a second signal ends it at once.
    Args:
        config: TOML file with settings; ecs-scheduler.toml of this directory by default.
        no_http: Leave the HTTP side away.
        given: The settings.
    """
    flags = given.model_dump(exclude_unset=True, by_alias=True)
    if no_http:
        flags["http_port"] = None
    settings = load_config(flags, os.environ, directory=Path.cwd(), file=config)
    configure_logging(settings.log_format, settings.log_level)
    for warning in unknown_variables(os.environ):
        structlog.get_logger(__name__).warning(warning)
    return await run_service(settings)
