"""What holds for every test: how it is named, and that logs are as nobody has set them up."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> None:
    """`simulate` and `run` set logging up for the process; a test in it may look for a warning."""
    structlog.reset_defaults()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are numbered, not shown: a gzip holds the second it was made in, and two workers that
    collect in different seconds would not agree on the names."""
    return argname if isinstance(val, bytes) else None
