"""How long jobs wait and tasks run before something is done, and how long they are remembered."""

from typing import Annotated

from pydantic import Field

from ecs_queue.job import Fallback
from ecs_scheduler.settings.kinds import AtLeastOne, Count, OrOff, Seconds, SettingsModel


class Patience(SettingsModel):
    """When waiting, draining and failing have lasted too long; what is kept of the past."""

    requeue_draining_after_s: Annotated[float | None, OrOff] = Field(
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
    max_infrastructure_failures: Count = Field(
        default=100,
        description="Launches of one job that may end for reasons outside of it "
        "before it is FAILED.",
    )
    retention_s: AtLeastOne = Field(
        default=604_800, description="How long ended jobs stay readable; a week by default."
    )
    retention_jobs: AtLeastOne = Field(
        default=1_000_000,
        description="How many ended jobs stay readable, of each state the newest; "
        "more takes memory of Redis.",
    )
    events_kept: AtLeastOne = Field(
        default=100_000, description="About how many transitions of jobs are kept."
    )
    dead_letters_kept: AtLeastOne = Field(
        default=100_000, description="About how many dead letters are kept, the newest."
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
    max_provisioning: Count = Field(
        default=100,
        description="Fallback tasks that may wait in PROVISIONING at once; ECS allows a cluster "
        "a few hundred.",
    )
    provisioning_timeout_s: Seconds = Field(
        default=600.0,
        description="A fallback task that found no place in this time is stopped, and its job "
        "is placed anew.",
    )
