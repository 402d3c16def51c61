"""How often the service looks and decides, and how long it waits for answers and for certainty."""

from pydantic import Field

from ecs_scheduler.settings.kinds import Seconds, SettingsModel, Share


class Pace(SettingsModel):
    """How much is looked at, how often, and how long an answer may take."""

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
    thorough_share: Share = Field(
        default=0.5,
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
