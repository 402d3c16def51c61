"""Times in AWS answers. ECS sends seconds since the epoch; the SDK's own parser takes a fifth of
the time of describing tasks, because it goes through a time zone database for each of them.
"""

from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_timestamp


def parsed(value: Any) -> datetime:
    """The moment, in UTC; whatever is no number is left to the SDK."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, tz=UTC)
    moment: datetime = parse_timestamp(value)
    return moment
