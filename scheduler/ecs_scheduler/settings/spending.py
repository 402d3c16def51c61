"""What the service may take of the account's API rates."""

from pydantic import Field

from ecs_scheduler.settings.kinds import AtLeastOne, Rate, SettingsModel


class Spending(SettingsModel):
    """Calls per second and at once, by ECS's throttling categories."""

    modify_rate_per_s: Rate = Field(
        default=40.0,
        description="StartTask + RunTask + StopTask calls per second; "
        "lower it if others use the account's share.",
    )
    modify_burst: AtLeastOne = Field(
        default=100, description="StartTask + RunTask + StopTask calls that may come at once."
    )
    read_rate_per_s: Rate = Field(
        default=20.0, description="List and Describe calls per second for tasks and instances."
    )
    read_burst: AtLeastOne = Field(
        default=100, description="List and Describe calls that may come at once."
    )
    budget_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the API rates above that this scheduler takes; "
        "the rest is left to other users of the account.",
    )
