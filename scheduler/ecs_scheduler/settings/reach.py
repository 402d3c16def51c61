"""Where everything is: Redis, the queue, the cluster, AWS, and where we are found ourselves."""

from typing import Annotated, Literal

from pydantic import Field

from ecs_scheduler.settings.kinds import CLUSTER, QUEUE, Port, SettingsModel, Text, Url

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379"
PAIR = f"^{QUEUE}@{CLUSTER}$"


class Reach(SettingsModel):
    """What is served, where it is reached, and where others reach us."""

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
    profile: Text | None = Field(
        default=None, description="Profile of the AWS configuration files to use."
    )
    endpoint_url: Url | None = Field(
        default=None,
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
    http_host: Text = Field(
        default="127.0.0.1",
        description="Address of the HTTP side. It has no authentication: "
        "0.0.0.0 opens it to whoever reaches the port.",
    )
    http_port: Port = Field(
        default=8080,
        description="Port of the HTTP side; 0 takes any free one, off (--no-http) leaves it away.",
    )
    worker_url: Url | None = Field(
        default=None,
        examples=["http://10.0.0.7:8081", "https://scheduler.internal"],
        description="Where containers reach the service; tasks are told it, and fetch their "
        "payload there.",
    )
    worker_host: Text = Field(
        default="0.0.0.0",
        description="Address of the HTTP side for containers, if it has a port of its own.",
    )
    worker_port: Port = Field(
        default=None,
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
