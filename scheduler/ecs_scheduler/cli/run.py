"""`ecs-scheduler run`: settings from everywhere, logging, then the service until a signal."""

import os
from pathlib import Path
from typing import Annotated

import structlog
from cyclopts import Parameter

from ecs_scheduler.config import Settings
from ecs_scheduler.config_sources import load_config, unknown_variables
from ecs_scheduler.logs import configure_logging
from ecs_scheduler.service_entry import run_service

NOTHING_GIVEN = Settings()


async def run(
    *,
    config: Path | None = None,
    no_http: bool = False,
    given: Annotated[Settings, Parameter(name="*")] = NOTHING_GIVEN,
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
