"""Settings from environment variables, JSON and nested names included, by pydantic-settings."""

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from ecs_scheduler.config import Settings
from ecs_scheduler.errors import ConfigurationError


def values_of(environ: Mapping[str, str], names: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """What the variables with this prefix say; `names` holds the variable of each setting.

    Raises:
        ConfigurationError: a table or list is no JSON.
    """

    class Described(Settings, BaseSettings):
        """The fields as pydantic-settings reads them; never built, only described."""

        model_config = SettingsConfigDict(
            env_prefix=prefix, env_nested_delimiter="__", env_ignore_empty=True
        )

    class OfMapping(EnvSettingsSource):
        """pydantic-settings' environment source over a mapping that was handed in."""

        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {name.lower(): value for name, value in environ.items() if value}

    try:
        return OfMapping(Described)()
    except SettingsError as error:
        field = next((each for each in names if f'"{each}"' in str(error)), "")
        raise ConfigurationError(
            f"{names.get(field, 'the environment')}: should be JSON ({error.__cause__})"
        ) from error
