"""The query of GET /v1/jobs."""

from starlette.datastructures import QueryParams

from ecs_queue.errors import InvalidJob
from ecs_queue.listing import Filter
from ecs_queue.states import JobState
from ecs_scheduler.web.presentation import since_ms

KNOWN = ("state", "share", "prefix", "family", "tag", "since", "array", "limit", "offset")
MOST_LISTED, LISTED = 1000, 50


def listing_of(query: QueryParams, now_ms: int) -> tuple[Filter, int, int]:
    """Which jobs, how many, and from which offset on. Raises InvalidJob."""
    for name in query:
        if name not in KNOWN:
            raise InvalidJob(f"{name}: unknown; there are {', '.join(KNOWN)}")
    tags = [each.partition("=") for each in query.getlist("tag")]
    for key, equals, _ in tags:
        if not (key and equals):
            raise InvalidJob("tag: must be KEY=VALUE")
    since = query.get("since")
    wanted = Filter(
        state=_state(query.get("state")),
        share=query.get("share"),
        prefix=query.get("prefix", ""),
        family=query.get("family"),
        tags={key: value for key, _, value in tags},
        since_ms=None if since is None else since_ms(since, now_ms),
    )
    if "array" in query and wanted != Filter(state=wanted.state):
        raise InvalidJob("array: goes together with state, limit and offset only")
    return wanted, _number(query, "limit", LISTED, 1, MOST_LISTED), _number(query, "offset", 0, 0)


def _state(given: str | None) -> JobState | None:
    if given is None:
        return None
    try:
        return JobState(given)
    except ValueError:
        raise InvalidJob(f"state: {given}; there are {', '.join(JobState)}") from None


def _number(query: QueryParams, name: str, default: int, least: int, most: int = 10**9) -> int:
    given = query.get(name, str(default))
    if not (given.isascii() and given.isdecimal() and least <= int(given[:12]) <= most):
        raise InvalidJob(f"{name}: must be a number from {least} to {most}")
    return int(given)
