"""Every setting of the service, once: meaning, bounds, default and how the settings relate.

`Settings` is the list of fields; `Config` is the same list with the relations between fields
checked, and plain to build in code. `config_sources` fills it from flags, environment and TOML.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ecs_queue.job import Fallback
from ecs_scheduler.policy_settings import PolicySettings
from ecs_scheduler.sharing.settings import FairSharePolicy, FamilySettings, ShareSettings

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379"

REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")
QUEUE = r"[A-Za-z0-9_.-]{1,64}"
CLUSTER = r"(arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:cluster/)?[A-Za-z0-9_-]{1,255}"
PAIR = f"^{QUEUE}@{CLUSTER}$"

# Seconds, as every number of this kind may be fractional in tests and demos.
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _or_off(value: object) -> object:
    """TOML and the environment have no null: "off" and "none" stand for it."""
    if isinstance(value, str) and value.strip().lower() in ("off", "none"):
        return None
    return value


class Settings(BaseModel):
    """The fields alone. Times are seconds, rates are calls per second."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_url: str = Field(
        default=DEFAULT_REDIS_URL,
        repr=False,  # it may carry a password
        description="Redis or Valkey: redis://[user:password@]host:port/db, rediss:// for TLS, or unix:///path.",
    )
    queue: str = Field(
        default="default",
        pattern=f"^{QUEUE}$",
        examples=["default", "nightly.v2"],
        description="Name of the queue in Redis. Change it to keep several queues in one Redis.",
    )
    cluster: str = Field(
        default="default",
        pattern=f"^{CLUSTER}$",
        examples=["batch", "arn:aws:ecs:eu-west-1:123456789012:cluster/batch"],
        description="ECS cluster to fill, by short name or ARN.",
    )
    serve: tuple[Annotated[str, Field(pattern=PAIR)], ...] = Field(
        default=(),
        examples=[["nightly@batch", "etl@analytics"]],
        description="Several queues and clusters in one process, each as QUEUE@CLUSTER, in place "
        "of queue and cluster. Processes that serve the same ones share them out.",
    )
    region: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,32}$",
        examples=["eu-west-1"],
        description="AWS Region; by default the one of the profile.",
    )
    profile: str | None = Field(
        default=None, min_length=1, description="Profile of the AWS configuration files to use."
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+",
        examples=["http://127.0.0.1:5000", "https://vpce-0123.ecs.eu-west-1.vpce.amazonaws.com"],
        description="ECS endpoint other than AWS's own, such as a simulated ECS or a VPC endpoint.",
    )

    events_queue_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+/\S+$",
        examples=["https://sqs.eu-west-1.amazonaws.com/123456789012/ecs-scheduler"],
        description="SQS queue that EventBridge sends the cluster's events to; without it, "
        "what changes is found by looking. One for each pair of queue and cluster; {queue} and "
        "{cluster} stand for their names.",
    )

    http_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address of the HTTP side. It has no authentication: "
        "0.0.0.0 opens it to whoever reaches the port.",
    )
    http_port: Annotated[int | None, BeforeValidator(_or_off)] = Field(
        default=8080,
        ge=0,
        le=65535,
        description="Port of the HTTP side; 0 takes any free one, off (--no-http) leaves it away.",
    )
    worker_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+",
        examples=["http://10.0.0.7:8081", "https://scheduler.internal"],
        description="Where containers reach the service; tasks are told it, and fetch their "
        "payload there.",
    )
    worker_host: str = Field(
        default="0.0.0.0",
        min_length=1,
        description="Address of the HTTP side for containers, if it has a port of its own.",
    )
    worker_port: Annotated[int | None, BeforeValidator(_or_off)] = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port where containers, and nobody else, are answered, each by its launch's "
        "secret; off: they use --http-port.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto",
        description="console for people, json for one object per line; "
        "auto is console on a terminal.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important messages to log."
    )

    window: int = Field(
        default=20_000,
        ge=1,
        le=200_000,
        description="Most jobs considered for placement at once. "
        "More sees further past big jobs, and costs memory.",
    )
    pass_interval_s: Seconds = Field(
        default=0.2,
        description="Least time between two passes; less starts jobs sooner, for more Redis work.",
    )
    thorough_from: int = Field(
        default=50,
        ge=2,
        description="Least jobs in a batch for which placement looks for a better plan than "
        "best fit where not all fit, or idle instances would be taken.",
    )
    thorough_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the pass interval that such a search may take; 0 never searches. "
        "More packs tighter, and starts the first jobs of a batch later.",
    )
    sweep_interval_s: Seconds = Field(
        default=15.0,
        description="Time between two looks at all container instances; spends read calls.",
    )
    track_interval_s: Seconds = Field(
        default=2.0,
        description="Time between two looks at the tasks we launched; spends read calls.",
    )
    lease_s: Seconds = Field(
        default=4.0,
        description="How long a silent scheduler keeps the lead and its claimed jobs. "
        "Less hands them on sooner after a crash; more forgives longer pauses.",
    )
    ecs_connect_timeout_s: Seconds = Field(
        default=3.0, description="How long to wait for a connection to ECS."
    )
    ecs_read_timeout_s: Seconds = Field(
        default=15.0, description="How long to wait for an answer of ECS."
    )
    settle_after_s: Seconds = Field(
        default=20.0,
        description="Age at which a launch without an answer is looked up in ECS; "
        "longer than any call can last.",
    )
    certain_after_s: Seconds = Field(
        default=60.0,
        description="Age at which a launch that ECS does not show counts as absent. "
        "Less relaunches sooner and risks a twin.",
    )

    modify_rate_per_s: Rate = Field(
        default=40.0,
        description="StartTask + RunTask + StopTask calls per second; "
        "lower it if others use the account's share.",
    )
    modify_burst: int = Field(
        default=100, ge=1, description="StartTask + RunTask + StopTask calls that may come at once."
    )
    read_rate_per_s: Rate = Field(
        default=20.0, description="List and Describe calls per second for tasks and instances."
    )
    read_burst: int = Field(
        default=100, ge=1, description="List and Describe calls that may come at once."
    )

    budget_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the API rates above that this scheduler takes; "
        "the rest is left to other users of the account.",
    )

    requeue_draining_after_s: Annotated[float | None, BeforeValidator(_or_off)] = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Stop tasks on an instance that drains after this, to run them elsewhere; "
        "0 does so at once, off lets them end.",
    )
    age_after_s: float = Field(
        default=3600.0,
        ge=0,
        le=30 * 86_400,
        description="So long RUNNABLE raises a job's priority by 100, again and again; 0: never.",
    )
    unplaceable_after_s: Seconds = Field(
        default=900.0,
        description="A job that no registered instance could hold, even empty, is FAILED "
        "after this. More waits longer for bigger instances to join.",
    )
    reserve_after_s: Seconds = Field(
        default=300.0,
        description="A job that has waited this long for room gets an instance kept for it, "
        "so that smaller ones don't take every gap before it.",
    )
    reservations: int = Field(
        default=1,
        ge=0,
        le=100,
        description="Most jobs that room is kept for at once, the highest priority first; "
        "0 keeps none. Each may leave part of an instance empty for a while.",
    )
    max_infrastructure_failures: int = Field(
        default=100,
        ge=0,
        description="Launches of one job that may end for reasons outside of it "
        "before it is FAILED.",
    )
    retention_s: int = Field(
        default=604_800, ge=1, description="How long ended jobs stay readable; a week by default."
    )
    retention_jobs: int = Field(
        default=1_000_000,
        ge=1,
        description="How many ended jobs stay readable, of each state the newest; "
        "more takes memory of Redis.",
    )
    events_kept: int = Field(
        default=100_000, ge=1, description="About how many transitions of jobs are kept."
    )
    dead_letters_kept: int = Field(
        default=100_000, ge=1, description="About how many dead letters are kept, the newest."
    )
    drain_timeout_s: Seconds = Field(
        default=25.0,
        le=110,
        description="On SIGTERM, time to finish running calls. "
        "Keep it under the container's stopTimeout (30 s).",
    )
    fallback: Fallback | None = Field(
        default=None,
        description="RunTask for jobs without room: after_s, and launch_type or "
        "capacity_provider_strategy. "
        "A job's own fallback comes first.",
    )
    max_provisioning: int = Field(
        default=100,
        ge=0,
        description="Fallback tasks that may wait in PROVISIONING at once; ECS allows a cluster "
        "a few hundred.",
    )
    provisioning_timeout_s: Seconds = Field(
        default=600.0,
        description="A fallback task that found no place in this time is stopped, and its job "
        "is placed anew.",
    )
    shares: dict[str, ShareSettings] = Field(
        default={},
        description="By share: weight (more is more), max_running, max_cpu_units, max_memory_mib, "
        "max_gpus. A name may end in *.",
    )
    families: dict[str, FamilySettings] = Field(
        default={}, description="By task definition family: max_running tasks at once."
    )
    fair_share: FairSharePolicy = Field(
        default=FairSharePolicy(),
        description="AWS Batch's fair-share policy: shareDecaySeconds, computeReservation, "
        "shareDistribution.",
    )
    policy_file: str | None = Field(
        default=None,
        min_length=1,
        description="TOML file of named policies; [policy] is not used then. Read again on SIGHUP.",
    )
    decision_log: str | None = Field(
        default=None, min_length=1, description="Directory to keep decisions in, for `replay`."
    )
    decision_log_mib: int = Field(default=256, ge=1, description="Most MiB of decisions kept.")
    policy: PolicySettings = Field(
        default=PolicySettings(), description="Weights of the dimensions in the best-fit score."
    )


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
