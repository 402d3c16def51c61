"""Times in AWS answers."""

from datetime import UTC, datetime

import pytest
from botocore.utils import parse_timestamp

from ecs_scheduler.ecs.timestamps import parsed


@pytest.mark.parametrize("value", [0, 1_767_225_600, 1_767_225_600.123, "2026-01-01T00:00:00Z"])
def test_times_are_what_the_sdk_would_make_of_them(value: float | str) -> None:
    """The same moment, whatever way it came."""
    assert parsed(value) == parse_timestamp(value)
    assert parsed(0) == datetime(1970, 1, 1, tzinfo=UTC)
