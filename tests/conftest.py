"""What holds for every test: how it is named."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are numbered, not shown: a gzip holds the second it was made in, and two workers that
    collect in different seconds would not agree on the names."""
    return argname if isinstance(val, bytes) else None
