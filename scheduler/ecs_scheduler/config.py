"""Every setting of the service, once, and how the settings relate.

`Settings` is the list of fields, written down by concern in `settings/`; `Config` is the same list
with the relations between fields checked, and plain to build in code. `config_sources` fills it
from flags, environment and TOML.
"""

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from ecs_scheduler.settings.choices import Choices
from ecs_scheduler.settings.kinds import REDIS_SCHEMES
from ecs_scheduler.settings.pace import Pace
from ecs_scheduler.settings.patience import Patience
from ecs_scheduler.settings.reach import Reach
from ecs_scheduler.settings.spending import Spending


class Settings(Choices, Patience, Spending, Pace, Reach):
    """The fields alone, those of the last base first. Times are seconds, rates are calls per
    second.
    """


class Config(Settings):
    """A complete, consistent configuration; `Config()` is the default and reads nothing outside."""

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_one(cls, url: str) -> str:
        parts = urlsplit(url)
        where = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in REDIS_SCHEMES or not where:
            raise PydanticCustomError(
                "redis_url", "should be redis://host:port/db, rediss://host:port/db or unix:///path"
            )
        return url

    @model_validator(mode="after")
    def _relations_hold(self) -> Self:
        for field, message in self._broken_relations():
            # "{field}" is read back by config_sources, to say where that field came from.
            raise PydanticCustomError("relation", "{message}", {"field": field, "message": message})
        return self

    def _broken_relations(self) -> list[tuple[str, str]]:
        longest_call_s = self.ecs_connect_timeout_s + self.ecs_read_timeout_s
        arn_region = _region_of_arn(self.cluster)
        checks = (
            (
                self.settle_after_s > longest_call_s,
                "settle_after_s",
                f"should exceed ecs_connect_timeout_s + ecs_read_timeout_s = {longest_call_s:g}, "
                f"or a call still under way would be taken for lost; it is {self.settle_after_s:g}",
            ),
            (
                self.certain_after_s >= self.settle_after_s,
                "certain_after_s",
                f"should be at least settle_after_s = {self.settle_after_s:g}; "
                f"it is {self.certain_after_s:g}",
            ),
            (
                self.lease_s >= 3 * self.pass_interval_s,
                "lease_s",
                f"should be at least 3 * pass_interval_s = {3 * self.pass_interval_s:g}, "
                f"or the lease could run out between two passes; it is {self.lease_s:g}",
            ),
            (
                self.unplaceable_after_s >= self.sweep_interval_s,
                "unplaceable_after_s",
                f"should be at least sweep_interval_s = {self.sweep_interval_s:g}, "
                f"or jobs would fail before new instances are seen; "
                f"it is {self.unplaceable_after_s:g}",
            ),
            (
                arn_region is None or self.region in (None, arn_region),
                "region",
                f"is {self.region}, but the cluster's ARN lies in {arn_region}",
            ),
            (
                any(self.policy.weights),
                "policy",
                "should weigh at least one dimension more than 0",
            ),
        )
        return [(field, message) for holds, field, message in checks if not holds]

    @property
    def aws_region(self) -> str | None:
        """The Region to call: `region`, else that of the cluster's ARN, else None (the SDK's)."""
        return self.region or _region_of_arn(self.cluster)

    @property
    def send_within_s(self) -> float:
        """A launch whose call does not start this soon after its intent is not made any more, since
        its call could last past `settle_after_s`.
        """
        return self.settle_after_s - self.ecs_connect_timeout_s - self.ecs_read_timeout_s

    @property
    def cluster_name(self) -> str:
        """The cluster's short name."""
        return self.cluster.rpartition("/")[2]

    @property
    def redis_url_shown(self) -> str:
        """`redis_url` without its password, fit for logs and messages."""
        return without_password(self.redis_url)


def without_password(url: str) -> str:
    """`url` with `***` for its password; a query string may carry one too and is dropped."""
    return re.sub(r"(?<=://)([^:@/]*):[^/]*@", r"\1:***@", url.partition("?")[0])


def _region_of_arn(cluster: str) -> str | None:
    return cluster.split(":")[3] if cluster.startswith("arn:") else None
